"""Each official layout with real video files: listed, checked and prepared; and video files of every kind."""

import json
from pathlib import Path

import pytest
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.datasets.base import load_videos
from crossfake.datasets.faces.prepare import prepare
from crossfake.datasets.integrity import check

SETTINGS = FaceSettings(finder="mediapipe", frames=2)
ALL = ("train", "val", "test")
YOUTUBE = "original_sequences/youtube/c23/videos"
ACTORS = "original_sequences/actors/c23/videos"
FAKES = "manipulated_sequences/{}/c23/videos"
PART = "dfdc_train_part_7"

LAYOUTS = {
    "ff++": {
        "home": "FaceForensics++",
        "texts": {"train.json": [["000", "001"]], "val.json": [["002", "003"]], "test.json": [["004", "005"]]},
        "videos": {
            f"{YOUTUBE}/000.mp4": ("train", 0),
            f"{YOUTUBE}/003.mp4": ("val", 0),
            f"{YOUTUBE}/004.mp4": ("test", 0),
            f"{FAKES.format('Deepfakes')}/001_000.mp4": ("train", 1),
            f"{FAKES.format('Face2Face')}/002_003.mp4": ("val", 1),
            f"{FAKES.format('FaceSwap')}/004_005.mp4": ("test", 1),
            f"{FAKES.format('NeuralTextures')}/004_005.mp4": ("test", 1),
            f"{FAKES.format('FaceShifter')}/005_004.mp4": ("test", 1),
        },
    },
    "dfd": {
        "home": "FaceForensics++",
        "texts": {},
        "videos": {
            f"{ACTORS}/01__kitchen_pan.mp4": ("test", 0),
            f"{FAKES.format('DeepFakeDetection')}/01_02__kitchen_pan__ABCD1234.mp4": ("test", 1),
        },
    },
    "celebdf": {
        "home": "Celeb-DF-v2",
        "texts": {
            "List_of_testing_videos.txt": "1 Celeb-real/id0_0001.mp4\n1 YouTube-real/00170.mp4\n"
            "0 Celeb-synthesis/id0_id1_0001.mp4\n"
        },
        "videos": {
            "Celeb-real/id0_0001.mp4": ("test", 0),
            "YouTube-real/00170.mp4": ("test", 0),
            "Celeb-synthesis/id0_id1_0001.mp4": ("test", 1),
            "Celeb-real/id2_0000.mp4": ("train", 0),
            "Celeb-synthesis/id2_id3_0000.mp4": ("train", 1),
        },
    },
    "celebdf-v1": {
        "home": "Celeb-DF-v1",
        "texts": {"List_of_testing_videos.txt": "1 YouTube-real/00002.mp4\n0 Celeb-synthesis/id0_id1_0001.mp4\n"},
        "videos": {
            "YouTube-real/00002.mp4": ("test", 0),
            "Celeb-synthesis/id0_id1_0001.mp4": ("test", 1),
            "Celeb-real/id2_0000.mp4": ("train", 0),
        },
    },
    "dfdc": {
        "home": "DFDC",
        "texts": {
            "test/labels.csv": "filename,label\naalscayrfi.mp4,0\naayrffkzxn.mp4,1\n",
            f"{PART}/metadata.json": {
                "aabqyygbaa.mp4": {"label": "REAL", "split": "train"},
                "aahncigwte.mp4": {"label": "FAKE", "split": "train", "original": "aabqyygbaa.mp4"},
            },
        },
        "videos": {
            "test/aalscayrfi.mp4": ("test", 0),
            "test/aayrffkzxn.mp4": ("test", 1),
            f"{PART}/aabqyygbaa.mp4": ("train", 0),
            f"{PART}/aahncigwte.mp4": ("train", 1),
        },
    },
    "dfdcp": {
        "home": "DFDCP",
        "texts": {
            "dataset.json": {
                "original_videos/1229387/1229387_C.mp4": {"label": "real", "set": "train", "target_id": None},
                "original_videos/643049/643049_K.mp4": {"label": "real", "set": "test", "target_id": 643049},
                "method_A/643049/643049_A_000.mp4": {
                    "label": "fake", "set": "test", "augmentations": [], "target_id": 643049, "swapped_id": 1229387,
                },
                "method_B/1229387/1229387_643049/643049_A_000.mp4": {
                    "label": "fake", "set": "train", "augmentations": [], "target_id": 1229387, "swapped_id": 643049,
                },
            }
        },
        "videos": {
            "original_videos/1229387/1229387_C.mp4": ("train", 0),
            "original_videos/643049/643049_K.mp4": ("test", 0),
            "method_A/643049/643049_A_000.mp4": ("test", 1),
            "method_B/1229387/1229387_643049/643049_A_000.mp4": ("train", 1),
        },
    },
}  # fmt: skip


@pytest.fixture
def tree(plant, clips):
    """Write a layout with two alternating clips, and return its root."""

    def write(name: str) -> Path:
        layout = LAYOUTS[name]
        videos = {v: clips[("h264", "mpeg4")[i % 2]] for i, v in enumerate(layout["videos"])}
        return plant({f"{layout['home']}/{path}": c for path, c in {**layout["texts"], **videos}.items()})

    return write


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_video_of_the_layout_has_its_split_and_label_and_a_face(name, tree, tmp_path):
    wanted = LAYOUTS[name]["videos"]
    loaded = load_videos(name, tree(name))
    there = {v.id: (v.split, v.label) for v in loaded.videos if v.path.is_file()}
    assert there == wanted
    store = prepare([v for v in loaded.videos if v.id in wanted][:3], SETTINGS, tmp_path / "store")
    assert {o.status for o in store.outcomes().values()} == {"ok"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_check_counts_what_is_there_against_the_release(name, tree):
    wanted = LAYOUTS[name]["videos"]
    report = check(name, tree(name), ALL)
    assert report.status == "incomplete"
    assert sum(c.found for c in report.counts) == len(wanted)
    assert all(c.official > c.found for c in report.counts)
    assert not set(wanted) & set(report.missing)
    assert report.foreign == {}
    assert json.loads(json.dumps(report.as_json()))["status"] == "incomplete"


def test_official_counts_are_the_published_ones(tree):
    total = {name: sum(c.official for c in check(name, tree(name), ALL).counts) for name in LAYOUTS}
    assert total == {"ff++": 6000, "dfd": 3431, "celebdf": 6529, "celebdf-v1": 1203, "dfdc": 124154, "dfdcp": 5250}


def test_kinds_of_files_as_prepared(plant, clips, tmp_path):
    root = plant({f"real/{name}.mp4": path for name, path in clips.items()})
    videos = load_videos("folder", root).videos
    outcomes = prepare(videos, SETTINGS, tmp_path / "store").outcomes()
    assert {Path(v).stem: o.status for v, o in outcomes.items()} == {
        **dict.fromkeys(("h264", "mpeg4", "odd", "vfr", "turned", "two", "other", "truncated"), "ok"),
        "none": "no_face",
        **dict.fromkeys(("audio", "empty", "text"), "unreadable"),
    }
    several = {Path(v).stem for v, o in outcomes.items() if o.several}
    assert several == {"two"}
    assert outcomes["real/vfr.mp4"].frames == outcomes["real/h264.mp4"].frames == (0, 5)
    assert "the file says it has 24 frames, but" in outcomes["real/truncated.mp4"].reason


def test_kinds_of_files_as_checked(plant, clips):
    root = plant({f"real/{name}.mp4": path for name, path in clips.items()} | {"real/again.mp4": clips["h264"]})
    quick = check("folder", root, ALL)
    assert quick.unreadable == {"real/empty.mp4": "the file is empty"}
    assert quick.duplicates == [["real/again.mp4", "real/h264.mp4"]]
    deep = check("folder", root, ALL, deep=True)
    assert {Path(v).stem for v in deep.unreadable} == {"empty", "text", "audio", "truncated"}
    assert deep.status == "incomplete"
    both = plant({"all/fake/x.mp4": clips["h264"], "all/real/x.mp4": clips["other"]}) / "all"
    assert check("folder", both, ALL, deep=True).status == "complete"
