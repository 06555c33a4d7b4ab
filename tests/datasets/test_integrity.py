"""`bench data check` reports where it looked, missing, extra and duplicate videos, and likely causes."""

import json
import os
import shutil
from pathlib import Path

import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.integrity import check

ALL = ("train", "val", "test")
YOUTUBE = "original_sequences/youtube/c23/videos"
ACTORS = "original_sequences/actors/c23/videos"
FAKES = "manipulated_sequences/{}/c23/videos"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
DEEPFAKES = FAKES.format("Deepfakes")
SPLITS = {"train.json": [["000", "001"]], "val.json": [["002", "003"]], "test.json": [["004", "005"]]}
LIST = "1 Celeb-real/id0_0000.mp4\n"


def full(names, content="x"):
    return {name: f"{content} {name}" for name in names}


def test_missing_videos_are_named_with_their_split(plant):
    root = plant({**SPLITS, **full([f"{YOUTUBE}/00{i}.mp4" for i in range(5)]), **full([f"{DEEPFAKES}/000_001.mp4"])})
    report = check("ff++", root, ALL)
    pairs = ("000_001", "001_000", "002_003", "003_002", "004_005", "005_004")
    missing = [f"{FAKES.format(method)}/{pair}.mp4" for method in METHODS for pair in pairs]
    assert report.missing == [*missing[1:], f"{YOUTUBE}/005.mp4"]  # 000_001 is there
    assert [c.partition(": ")[0] for c in report.causes] == [f"no folder {FAKES.format(m)}" for m in METHODS[1:]]
    assert {(c.split, c.kind): (c.found, c.official) for c in report.counts if c.kind in ("real", "Deepfakes")} == {
        ("train", "real"): (2, 720),
        ("val", "real"): (2, 140),
        ("test", "real"): (1, 140),
        ("train", "Deepfakes"): (1, 720),
        ("val", "Deepfakes"): (0, 140),
        ("test", "Deepfakes"): (0, 140),
    }
    assert "FaceShifter" not in {c.kind for c in report.counts}
    only = check("ff++:c23", root, ("test",))
    assert {c.split for c in only.counts} == {"test"}
    assert only.missing == [m for m in missing if "4_005" in m or "5_004" in m] + [f"{YOUTUBE}/005.mp4"]


def test_every_present_compression_is_checked_unless_one_is_named(plant):
    root = plant({**SPLITS, **full([f"{YOUTUBE}/000.mp4", f"{YOUTUBE}/000.mp4".replace("c23", "c40")])})
    assert {c.compression for c in check("ff++", root, ALL).counts} == {"c23", "c40"}
    assert {c.compression for c in check("ff++:c40", root, ALL).counts} == {"c40"}
    assert check("ff++:raw", root, ALL).causes[0].startswith("no raw videos")


def test_four_methods_are_checked_without_the_fifth(tiny_world):
    four, five = (check(name, tiny_world, ("train",)) for name in ("ff++:c23:4m", "ff++:c23"))
    assert four.status == five.status == "complete"
    assert not four.foreign
    (found,) = [c for c in four.counts if c.kind == "fake"]
    (whole,) = [c for c in five.counts if c.kind == "fake"]
    assert found.found == found.official < whole.found == whole.official


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({}, "no FaceForensics++ in"),
        ({f"downloads/mine/{YOUTUBE}/000.mp4": "x"}, "use --data {root}/downloads/mine"),
    ],
)
def test_an_empty_root_says_where_the_dataset_may_be(plant, files, cause):
    root = plant({"notes.txt": "hello", **files})
    report = check("ff++", root, ALL)
    assert report.status == "nothing"
    assert cause.format(root=root) in report.causes[0]


@pytest.mark.parametrize("deep", ["original_sequences", YOUTUBE])
def test_a_root_too_deep_is_answered_with_the_right_one(plant, deep):
    root = plant({f"FF/{YOUTUBE}/000.mp4": "x"})
    assert f"use --data {root / 'FF'}" in check("ff++", root / "FF" / deep, ALL).causes[0]


@pytest.mark.parametrize(
    ("name", "video", "cause"),
    [
        ("celebdf", "Celeb-synthesis/id0_id1_0000.mp4", "no List_of_testing_videos.txt, the test list of Celeb-DF"),
        ("celebdf-v1", "Celeb-real/id0_0000.mp4", "no List_of_testing_videos.txt, the test list of Celeb-DF"),
        ("ff++", f"{YOUTUBE}/000.mp4", "no train.json, the split file of FaceForensics++"),
        ("dfdc", "test/aaaaaaaaaa.mp4", "no labels.csv, the labels of DFDC's test set"),
        ("dfdc", "dfdc_test/videos/aaaaaaaaaa.mp4", "no labels.csv, the labels of DFDC's test set"),
        ("dfdc", "dfdc_train_part_0/aaaaaaaaaa.mp4", "no metadata.json, the labels of a DFDC training part"),
        ("dfdcp", "method_A/1/1_A_000.mp4", "no dataset.json, the labels and sets of the DFDC preview"),
    ],
)
def test_a_missing_list_is_incomplete_and_named(plant, name, video, cause):
    report = check(name, plant({video: "x"}), ALL)
    assert report.status == "incomplete"
    assert report.causes[0].startswith(f"{cause}: expected at")


def test_fakes_without_the_real_videos_are_incomplete(plant):
    report = check("ff++", plant({**SPLITS, f"{DEEPFAKES}/000_001.mp4": "x"}), ALL)
    assert report.status == "incomplete"
    assert report.causes[0].startswith("no c23 videos in")


@pytest.mark.parametrize(
    ("name", "own", "stray", "named"),
    [
        ("celebdf", "Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/000_003.mp4", "FaceForensics++"),
        ("celebdf", "YouTube-real/00001.mp4", "YouTube-real/abcdefghij.mp4", "DFDC"),
        ("dfd", f"{ACTORS}/01__podium.mp4", f"{ACTORS}/000.mp4", "FaceForensics++"),
    ],
)
def test_files_of_other_datasets_are_foreign_if_no_list_names_the_own_ones(plant, name, own, stray, named):
    root = plant({"List_of_testing_videos.txt": LIST, own: "own", stray: "stray", "Celeb-synthesis/x": "x"})
    report = check(name, root, ALL)
    assert report.foreign == {stray: f"not in any list; named like videos of {named}"}
    assert sum(c.found for c in report.counts) == 1


def test_frames_instead_of_videos_are_pointed_out(plant):
    root = plant({**SPLITS, f"{YOUTUBE}/000.mp4": "x", "manipulated_sequences/FaceSwap/c23/frames/000_001/0.png": "x"})
    above = root / "manipulated_sequences/FaceSwap/c23"
    told = f"no folder {FAKES.format('FaceSwap')}: videos are looked for there; found frames in {above}"
    assert told in check("ff++", root, ALL).causes


def test_strays_are_reported_with_the_names_they_resemble(plant):
    strays = {"000_003": "FaceForensics++", "id0_0000": "Celeb-DF", "01__podium": "DeepFakeDetection", "holiday": None}
    root = plant({**SPLITS, f"{YOUTUBE}/000.mp4": "0", **full(f"{DEEPFAKES}/{name}.mp4" for name in strays)})
    assert check("ff++", root, ALL).foreign == {
        f"{DEEPFAKES}/{name}.mp4": "not in any list" + (f"; named like videos of {of}" if of else "")
        for name, of in strays.items()
    }


def test_the_other_versions_test_list_is_recognised(plant):
    lines = "".join(f"1 YouTube-real/{i:05d}.mp4\n" for i in range(100))
    root = plant({"List_of_testing_videos.txt": lines, "Youtube-real/00001.mp4": "x", "Celeb-synthesis/a": "x"})
    causes = check("celebdf", root, ALL).causes
    assert causes[0] == "List_of_testing_videos.txt has 100 lines, like that of Celeb-DF v1; this version's has 518"
    assert causes[1].startswith("Youtube-real is officially spelt YouTube-real")
    assert check("celebdf-v1", root, ALL).causes == causes[1:]


def test_kaggles_samples_and_missing_parts_of_dfdc_are_reported(plant):
    part = {"dfdc_train_part_3/metadata.json": {"aaaaaaaaaa.mp4": {"label": "REAL", "split": "train"}}}
    root = plant({**part, "dfdc_train_part_3/aaaaaaaaaa.mp4": "x", "test_videos/bbbbbbbbbb.mp4": "x"})
    causes = check("dfdc", root, ALL).causes
    assert causes[0].endswith("test_videos is one of Kaggle's samples of 400, not of this release")
    assert causes[1].startswith("no training parts 0, 1, 2, 4, 5")


def test_unknown_names_are_mistakes(tmp_path):
    with pytest.raises(BenchError, match=r"no dataset named 'celebfd'\. Did you mean 'celebdf'"):
        check("celebfd", tmp_path, ALL)


def test_the_demo_world_is_checked_against_its_own_counts(tiny_world, capsys):
    assert bench("data check ff++,celebdf,dfd,dfdc --json", data=tiny_world) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [r["status"] for r in reports] == ["complete"] * 4
    assert all(c["found"] == c["official"] > 0 for r in reports for c in r["counts"])


def test_exit_codes_and_the_printed_list(plant, capsys):
    root = plant({"Celeb-DF-v2/List_of_testing_videos.txt": LIST, "Celeb-DF-v2/Celeb-synthesis/id0_id1_0000.mp4": "x"})
    assert bench("data check celebdf", data=root) == 1
    said = capsys.readouterr().out
    assert "looked for videos in: Celeb-real, YouTube-real, Celeb-synthesis" in said
    assert "missing: 1\n    Celeb-real/id0_0000.mp4" in said
    assert "| train   | fake   |       1 |       5299 |" in said
    assert bench("data check celebdf,dfdc", data=root) == 2
    assert "dfdc in" in capsys.readouterr().out


@pytest.mark.skipif("BENCH_TEST_DATA" not in os.environ, reason="BENCH_TEST_DATA names no folder with ffpp_splits")
def test_every_official_fake_of_a_method_is_known_by_name(plant):
    given = Path(os.environ["BENCH_TEST_DATA"]) / "ffpp_splits"
    splits = {f"{s}.json": json.loads((given / f"{s}.json").read_text()) for s in ALL}
    root = plant({**splits, f"{YOUTUBE}/000.mp4": "x", f"{DEEPFAKES}/notes.txt": "x"})
    missing = check("ff++:c23", root, ALL).missing
    assert len(missing) == 999 + 4 * 1000
    assert f"{DEEPFAKES}/000_003.mp4" in missing
    assert len(check("ff++:c23", root, ("test",)).missing) == 139 + 4 * 140  # 000 is in the test split


def test_a_lost_demo_video_is_missing_by_name(tiny_world, tmp_path):
    shutil.copytree(tiny_world, tmp_path / "world")
    lost = next((tmp_path / "world" / "FaceForensics++" / "manipulated_sequences").rglob("*.mp4"))
    lost.unlink()
    report = check("ff++", tmp_path / "world", ALL)
    assert (report.status, report.missing) == ("incomplete", [lost.relative_to(report.home).as_posix()])
