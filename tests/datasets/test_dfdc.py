"""DFDC: labels and splits from labels.csv and metadata.json. The files are empty; nothing is decoded."""

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.dfdc import Dfdc

LABELS = "filename,label\naa.mp4,0\nbb.mp4,1\ncc.mp4,1\n"


def part(number: int, pairs: int) -> dict[str, object]:
    facts: dict[str, object] = {}
    for i in range(pairs):
        facts[f"r{number}x{i}.mp4"] = {"label": "REAL", "split": "train"}
        facts[f"f{number}x{i}.mp4"] = {"label": "FAKE", "split": "train", "original": f"r{number}x{i}.mp4"}
    return facts


@pytest.mark.parametrize(("folder", "within"), [("test", "test"), ("test", "test/videos"), ("dfdc_test", "dfdc_test")])
def test_label_one_means_fake_wherever_the_videos_are(plant, folder, within):
    home = plant({f"{folder}/labels.csv": LABELS, f"{within}/aa.mp4": None, f"{within}/bb.mp4": None})
    videos = Dfdc().videos(home, "")
    assert [(v.id, v.label, v.method, v.split, v.path.exists()) for v in videos] == [
        (f"{within}/aa.mp4", 0, "real", "test", True),
        (f"{within}/bb.mp4", 1, "DFDC", "test", True),
        (f"{within}/cc.mp4", 1, "DFDC", "test", False),
    ]


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_training_parts_give_labels_and_sources(plant, prefix):
    folder = f"{prefix}dfdc_train_part_0"
    home = plant({f"{folder}/metadata.json": part(0, 30), f"{folder}/r0x1.mp4": None})
    videos = {v.id: v for v in Dfdc().videos(home, "")}
    assert len(videos) == 60
    fake = videos[f"{folder}/f0x1.mp4"]
    assert (fake.label, fake.original) == (1, f"{folder}/r0x1.mp4")
    assert videos[f"{folder}/f0x2.mp4"].original == f"{folder}/r0x2.mp4"  # It is listed, though the file is missing.
    assert videos[f"{folder}/r0x1.mp4"].label == 0


def test_videos_are_the_same_without_visible_files(plant):
    lists = {"dfdc_train_part_0/metadata.json": {**part(0, 3), "x.mp4": {"label": "FAKE", "original": "nowhere.mp4"}}}
    there = plant({f"there/{name}": content for name, content in lists.items()}) / "there"
    for name in lists["dfdc_train_part_0/metadata.json"]:
        (there / "dfdc_train_part_0" / name).touch()
    bare = plant({f"bare/{name}": content for name, content in lists.items()}) / "bare"
    seen, blind = ([(v.id, v.label, v.split, v.original) for v in Dfdc().videos(home, "")] for home in (there, bare))
    assert seen == blind
    assert {video: original for video, *_, original in seen}["dfdc_train_part_0/x.mp4"] is None


def test_held_out_originals_are_few_and_keep_their_fakes(plant):
    home = plant({f"dfdc_train_part_{n}/metadata.json": part(n, 30) for n in (0, 1)})
    split = {v.path.name: v.split for v in Dfdc().videos(home, "")}
    assert set(split.values()) == {"train", "val"}
    assert 1 <= sum(s == "val" for s in split.values()) // 2 <= 15
    assert all(split[name] == split["f" + name[1:]] for name in split if name[0] == "r")


def test_held_out_originals_are_the_same_under_train(plant):
    splits = []
    for prefix in ("", "train/"):
        home = plant({f"{prefix or 'flat/'}dfdc_train_part_0/metadata.json": part(0, 30)})
        splits.append({v.path.name: v.split for v in Dfdc().videos(home if prefix else home / "flat", "")})
    assert splits[0] == splits[1]


def test_home_is_found_by_its_content(plant):
    root = plant({"DFDC/test/labels.csv": LABELS})
    assert Dfdc().home(root) == root / "DFDC"
    with pytest.raises(BenchError, match=r"no DFDC in .*looked for test/labels\.csv"):
        Dfdc().home(root / "DFDC" / "test")


def test_bad_row_of_the_labels_is_named(plant):
    with pytest.raises(BenchError, match=r"labels\.csv, row 3: expected filename,label"):
        Dfdc().videos(plant({"test/labels.csv": "filename,label\naa.mp4,0\nbb.mp4,2\n"}), "")


def test_unknown_label_of_a_training_video_is_named(plant):
    home = plant({"dfdc_train_part_0/metadata.json": {"x.mp4": {}}})
    with pytest.raises(BenchError, match=r"metadata\.json: x\.mp4 has label None; expected REAL or FAKE"):
        Dfdc().videos(home, "")


def test_part_without_metadata_is_named(plant):
    home = plant({"dfdc_train_part_7/r.mp4": None})
    with pytest.raises(BenchError, match=r"no metadata\.json, the labels of a DFDC training part: .*part_7"):
        Dfdc().videos(home, "")


def test_an_original_that_is_not_a_name_is_reported(plant):
    home = plant({"dfdc_train_part_0/metadata.json": {"x.mp4": {"label": "FAKE", "original": {"a": 1}}}})
    with pytest.raises(BenchError, match=r"metadata\.json: expected the path of a video, found \{'a': 1\}"):
        Dfdc().videos(home, "")
