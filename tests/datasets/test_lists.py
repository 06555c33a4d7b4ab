"""Official lists: test videos are never used for training, however they are spelled; errors are one line."""

import json
import shutil

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.base import load_videos
from crossfake.datasets.spelling import VIDEO_SUFFIXES, get_stem, make_stem_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_ffpp import SPLITS, YOUTUBE, fake
from .test_imports import POINTS

LISTED = [f"Celeb-real/id{i}_0000" for i in range(4)] + ["Celeb-synthesis/id0_id1_0000", "YouTube-real/00000"]


def spell(data, stem):
    """Draw a spelling of a file name: another suffix, capitals, or a second suffix."""
    folder, _, name = stem.rpartition("/")
    name = "".join(c.upper() if data.draw(st.booleans()) else c for c in name)
    suffix = data.draw(st.sampled_from(sorted(VIDEO_SUFFIXES)))
    suffix = data.draw(st.sampled_from([suffix, suffix.upper(), f".mp4{suffix}"]))
    return f"{folder}/{name}{suffix}"


def write(root, files):
    shutil.rmtree(root, ignore_errors=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_celebdf_never_trains_on_what_it_tests(tmp_path, data):
    tested = data.draw(st.sets(st.sampled_from(LISTED), min_size=1))
    copies = [spell(data, stem) for stem in LISTED for _ in range(data.draw(st.integers(0, 2)))]
    lines = "".join(f"{int('synth' not in t)} {t}{data.draw(st.sampled_from(['.mp4', '', '.MP4']))}\n" for t in tested)
    root = write(
        tmp_path / "celeb", {"List_of_testing_videos.txt": lines, "Celeb-real/x": "", **dict.fromkeys(copies, "")}
    )
    videos = load_videos("celebdf", root).videos
    keys = {make_stem_key(t) for t in tested}
    assert {make_stem_key(v.id) for v in videos if v.split == "test"} == keys
    assert not keys & {make_stem_key(v.id) for v in videos if v.split != "test"}
    assert len({make_stem_key(v.id) for v in videos}) == len(videos)
    there = {make_stem_key(c) for c in copies}
    assert all(v.path.is_file() == (make_stem_key(v.id) in there) for v in videos)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_ffpps_split_follows_the_pair_whatever_the_file_is_called(tmp_path, data):
    split_of = {f"00{i}": ("train", "val", "test")[i // 2] for i in range(6)}
    reals = {spell(data, f"{YOUTUBE}/{clip}") for clip in split_of}
    fakes = {spell(data, fake("Deepfakes", pair).removesuffix(".mp4")) for pair in ("000_001", "003_002", "004_005")}
    videos = load_videos("ff++", write(tmp_path / "ff", {**SPLITS, **dict.fromkeys(reals | fakes, "")})).videos
    assert {v.id for v in videos} == reals | fakes
    assert all(v.split == split_of[get_stem(v.id)[:3]] and v.path.is_file() for v in videos)
    assert all(v.original in reals for v in videos if v.label)


def test_dfdc_and_its_preview_find_files_of_other_suffixes(plant):
    root = plant(
        {
            "DFDC/test/labels.csv": "\ufefffilename;Label\naa.mp4;REAL\nbb.mp4;1.0\n",
            **dict.fromkeys(["DFDC/test/AA.MOV", "DFDC/test/bb.mp4.avi", "DFDC/dfdc_train_part_0/AA.mkv"]),
            "DFDC/dfdc_train_part_0/metadata.json": {
                "aa.mp4": {"label": "REAL"},
                "cc.mp4": {"label": "REAL"},
                "dd.mp4": {"label": "FAKE", "original": "cc.mp4"},
            },
            "DFDC/dfdc_train_part_0/cc.MP4": None,
            "DFDCP/dataset.json": {"original_videos/1/a.mp4": {"label": "real", "set": "test"}},
            "DFDCP/original_videos/1/A.webm": None,
        }
    )
    part = "dfdc_train_part_0"
    videos = {v.id: v for v in load_videos("dfdc", root).videos}
    assert {v.id for v in videos.values() if v.split == "test"} == {"test/AA.MOV", "test/bb.mp4.avi"}
    assert videos.keys() == {"test/AA.MOV", "test/bb.mp4.avi", f"{part}/cc.MP4", f"{part}/dd.mp4"}  # aa is a test video
    assert videos[f"{part}/dd.mp4"].original == f"{part}/cc.MP4"
    assert [v.id for v in load_videos("dfdcp", root).videos] == ["original_videos/1/A.webm"]


def test_two_files_of_one_stem_are_one_video_and_reported(plant, capsys):
    files = ["Celeb-real/id0_0000.avi", "Celeb-real/id0_0000.mp4", "Celeb-real/id1_0000.MP4", "Celeb-real/id1_0000.mkv"]
    root = plant({"List_of_testing_videos.txt": "1 Celeb-real/id0_0000.mp4\n", **dict.fromkeys(files)})
    assert [v.id for v in load_videos("celebdf", root).videos] == [files[1], files[2]]
    assert "id0_0000.mp4 = id0_0000.avi" in capsys.readouterr().err


def test_kaggles_copy_of_ffpp_is_read_once_the_lists_exist(plant):
    home = "FaceForensics++_C23"
    root = plant(dict.fromkeys([f"{home}/original/000.mp4", f"{home}/Deepfakes/000_001.mp4", f"{home}/csv/x.csv"]))
    with pytest.raises(BenchError, match=r"no train\.json.*dataset/splits"):
        load_videos("ff++", root)
    plant({f"{home}/{name}": pairs for name, pairs in SPLITS.items()})
    loaded = load_videos("ff++", root)
    there = {v.id: (v.label, v.split, v.original, v.compression) for v in loaded.videos if v.path.is_file()}
    assert there == {
        "original/000.mp4": (0, "train", None, "c23"),
        "Deepfakes/000_001.mp4": (1, "train", "original/000.mp4", "c23"),
    }
    with pytest.raises(BenchError, match=r"no c40 videos in .*Use ff\+\+:c23"):
        load_videos("ff++:c40", root)


def entry(label, points=POINTS):
    return {"landmark": points.tolist(), "source_path": "x/frame_0", "label": label}


def test_caddms_test_frames_are_not_trained_on(plant):
    name = "original_sequences/youtube/c23/frames"
    root = plant(
        {
            "train_images/ldm.json": {f"./train_images/{name}/000/frame_0": entry(0), f"{name}/001/frame_0": entry(0)},
            "test_images/ldm.json": {f"./test_images/{name}/000/frame_0": entry(0)},
        }
    )
    videos = {v.id: v.split for v in load_videos("caddm-frames", root).videos}
    assert videos == {f"test_images/{name}/000": "test", f"train_images/{name}/001": "train"}


CELEB = "List_of_testing_videos.txt"
LABELS, META, SET, LDM, DFB = (
    "test/labels.csv",
    "dfdc_train_part_0/metadata.json",
    "dataset.json",
    "ldm.json",
    "F.json",
)
REAL, FAKE = {"label": "real", "set": "train"}, {"label": "fake", "set": "test"}
ROWS = "img_path,label,ismale,isasian,iswhite,isblack,intersec_label\n"


def crops(label, frames):
    return {label: {"train": {"a": {"label": label, "frames": frames}}}}


CADDM, BENCH = "caddm-frames", "deepfakebench:F"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        # a video that appears twice, with one label or both
        ("celebdf", {CELEB: "1 Celeb-real/id0_0000.mp4\n1 Celeb-real\\ID0_0000.avi\n"}, "line 2: .*twice.*line 1"),
        ("dfdc", {LABELS: "filename,label\na.mp4,0\nb.mp4,1\nA.mp4 ,1\n"}, "row 4: A.mp4 is listed twice.*row 2 as a"),
        ("dfdc", {META: '{"a.mp4": {"label": "REAL"}, "a.mp4": {"label": "FAKE"}}'}, "key a.mp4 is given twice"),
        ("dfdcp", {SET: {"method_A/1/a.mp4": FAKE, "method_A/1/a.MP4": REAL}}, "is listed twice"),
        ("ff++", {**SPLITS, "test.json": [["004", "005"], ["005", "004"]]}, "the pair .*005.* is listed twice"),
        ("ff++", {**SPLITS, "test.json": [["004", "001"]]}, r"'001'.* is also in train\.json"),
        (CADDM, {LDM: {"a/frame_0": entry(0), "./a/frame_0": entry(0)}}, "frame_0 is listed twice"),
        (CADDM, {LDM: {"a/frame_0": entry(0), "a/frame_1": entry(1)}}, "a is real in one entry and"),
        (BENCH, {DFB: {"F": crops("real", ["F/a/0.png"]) | crops("fake", ["F/A/0.png"])}}, "listed as real and fake"),
        ("crops-csv", {"test.csv": f"{ROWS}a/1.png,0,1,-1,1,-1,1\na/1.png,0,1,-1,1,-1,1\n"}, r"row 3: .*twice"),
        # JSON of another shape
        ("dfdc", {META: "[]"}, r"metadata\.json holds \[\]; expected keys and values"),
        ("dfdc", {META: {"a.mp4": {"label": "FAKE", "original": 5}}}, "expected the path of a video, found 5"),
        ("ff++", {**SPLITS, "train.json": "5"}, r"train\.json holds 5; expected a list"),
        ("ff++", {**SPLITS, "train.json": [[71, 54]]}, r"expected pairs of ids .*, found \[71, 54\]"),
        ("ff++", {**SPLITS, "train.json": [["../x", "1"]]}, "expected pairs of ids"),
        ("dfdcp", {SET: {"a.mp4": REAL}}, r"a\.mp4 isn't in a folder"),
        ("dfdcp", {SET: {"method_A/1/a.mp4": {**FAKE, "swapped_id": []}}}, r"has the people \[None, \[\]\]"),
        (CADDM, {LDM: []}, r"ldm\.json holds \[\]"),
        (CADDM, {LDM: {"a/frame_0": {**entry(0), "source_path": 5}}}, "in CADDM's format"),
        (CADDM, {LDM: json.dumps({"a/frame_0": entry(0)}).replace('label": 0', 'label": 1e400')}, "in CADDM's format"),
        (CADDM, {LDM: {"../../a/frame_0": entry(0)}}, "climbs out of its folder"),
        (BENCH, {DFB: {"F": {"FF-real": []}}}, r"FF-real holds \[\]; expected DeepfakeBench's"),
        ("ff++", {"train.json": [], "val.json": [], "test.json": []}, r"test\.json and the other split files list no"),
        (BENCH, {DFB: {"F": {"FF-real": {"test": {"a": 5, "b": {"frames": ["F/b/0.png"]}}}}}}, "FF-real, a holds 5"),
        (BENCH, {DFB: {"F": crops("real", ["F/a/0.png"]) | crops("fake", ["F/b/../a/0.png"])}}, "real and fake"),
        (BENCH, {DFB: {"F": crops("real", "x")}}, "frames are x; expected a list"),
        (BENCH, {DFB: {"F": crops("real", ["../../1.png"])}}, "climbs out of its folder"),
        (BENCH, {DFB: {"F": crops("real", ["a/1.png", "a/1.png"])}}, "a/1.png is listed twice"),
        # too deep, not UTF-8, invalid file names
        ("ff++", {**SPLITS, "train.json": "[" * 50_000 + "]" * 50_000}, "is nested more than 100 levels deep"),
        ("celebdf", {CELEB: "1 Celeb-real/../../x.mp4\n"}, "line 1: the path ../x.mp4 climbs out"),
        ("celebdf", {CELEB: f"1 Celeb-real/{'é' * 130}.mp4\n"}, "over 255 bytes"),
        ("dfdc", {LABELS: "filename,label\n/etc/a.mp4,0\n"}, "row 2: the path /etc/a.mp4 is absolute"),
    ],
)  # fmt: skip
def test_impossible_lists_are_refused_with_one_line(plant, name, files, message):
    root = plant({**files, **dict.fromkeys([f"{YOUTUBE}/000.mp4", "Celeb-real/x", "original_videos/x", "F/a/0.png"])})
    with pytest.raises(BenchError, match=message) as caught:
        list(load_videos(name, root).videos)
    assert "\n" not in str(caught.value)


def test_lists_as_windows_saves_them(plant):
    root = plant({"Celeb-real/id0_0000.mp4": None, "test/a.mp4": None})
    (root / CELEB).write_bytes("1 Celeb-real\\id0_0000.mp4\r\n".encode("utf-16"))
    (root / LABELS).write_bytes("filename\tlabel\r\na.mp4\t1\r\n".encode("utf-16"))
    assert [(v.id, v.split) for v in load_videos("celebdf", root).videos] == [("Celeb-real/id0_0000.mp4", "test")]
    assert [(v.id, v.label) for v in load_videos("dfdc", root).videos] == [("test/a.mp4", 1)]
    (root / LABELS).write_bytes(b"filename,label\na\xe9.mp4,1\n")
    with pytest.raises(BenchError, match=r"labels\.csv, row 2: not UTF-8"):
        load_videos("dfdc", root)
