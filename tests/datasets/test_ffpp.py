"""FaceForensics++ and DeepFakeDetection: labels and splits from the layout. The files are empty; nothing is decoded."""

import json
import os
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.dfd import DeepFakeDetection
from crossfake.datasets.ffpp import FaceForensics, read_pairs

YOUTUBE = "original_sequences/youtube/c23/videos"
SPLITS = {"train.json": [["000", "001"]], "val.json": [["002", "003"]], "test.json": [["004", "005"]]}


def fake(method: str, name: str) -> str:
    return f"manipulated_sequences/{method}/c23/videos/{name}.mp4"


FILES = {
    **SPLITS,
    **{f"{YOUTUBE}/00{i}.mp4": None for i in range(5)},  # 005 is missing
    fake("Deepfakes", "000_001"): None,
    fake("Face2Face", "000_001"): None,
    fake("Face2Face", "003_002"): None,
    fake("NeuralTextures", "005_004"): None,
    fake("FaceShifter", "000_001"): None,
    fake("Deepfakes", "000_003"): None,  # Not an official pair: the two people are in different splits.
    fake("Deepfakes", "notes") + ".txt": None,
}


@pytest.fixture
def videos(plant):
    return {v.id: v for v in FaceForensics().videos(plant(FILES), "c23")}


def test_split_and_label_come_from_the_pairs(videos):
    assert {v.id: (v.label, v.method, v.split) for v in videos.values()} == {
        f"{YOUTUBE}/000.mp4": (0, "real", "train"),
        f"{YOUTUBE}/001.mp4": (0, "real", "train"),
        f"{YOUTUBE}/002.mp4": (0, "real", "val"),
        f"{YOUTUBE}/003.mp4": (0, "real", "val"),
        f"{YOUTUBE}/004.mp4": (0, "real", "test"),
        f"{YOUTUBE}/005.mp4": (0, "real", "test"),
        fake("Deepfakes", "000_001"): (1, "Deepfakes", "train"),
        fake("Face2Face", "000_001"): (1, "Face2Face", "train"),
        fake("Face2Face", "003_002"): (1, "Face2Face", "val"),
        fake("NeuralTextures", "005_004"): (1, "NeuralTextures", "test"),
        fake("FaceShifter", "000_001"): (1, "FaceShifter", "train"),
    }


def test_four_methods_are_the_papers_without_faceshifter(plant):
    home = plant({**FILES, fake("FaceSwap", "001_000"): None})
    four = FaceForensics(methods=4).videos(home, "c23")
    assert {v.method for v in four} == {"real", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    assert four == [v for v in FaceForensics().videos(home, "c23") if v.method != "FaceShifter"]


def test_four_methods_must_all_be_there(plant):
    told = r"ff\+\+:c23:4m has four methods, .* no videos of FaceSwap\. Get them .*, or use ff\+\+:c23"
    with pytest.raises(BenchError, match=told):
        FaceForensics(methods=4).videos(plant(FILES), "c23")


def test_same_name_under_two_methods_stays_two_videos(videos):
    assert fake("Deepfakes", "000_001") in videos
    assert fake("Face2Face", "000_001") in videos


def test_a_listed_real_missing_on_disk_is_still_listed(videos):
    assert not videos[f"{YOUTUBE}/005.mp4"].path.exists()


def test_source_is_the_targets_real_video_where_it_exists(videos):
    assert videos[fake("Face2Face", "003_002")].original == f"{YOUTUBE}/003.mp4"
    assert videos[fake("NeuralTextures", "005_004")].original is None
    assert videos[f"{YOUTUBE}/000.mp4"].original is None


def test_identities_are_target_first(videos):
    assert videos[fake("Face2Face", "003_002")].identities == ("003", "002")
    assert videos[f"{YOUTUBE}/000.mp4"].identities == ("000",)


def test_videos_are_sorted_and_point_into_the_home(plant):
    home = plant(FILES)
    videos = FaceForensics().videos(home, "c23")
    assert [v.id for v in videos] == sorted(v.id for v in videos)
    assert all(v.path == home / v.id and v.compression == "c23" for v in videos)


def test_split_files_are_also_found_under_splits(plant):
    home = plant({f"splits/{name}": pairs for name, pairs in SPLITS.items()})
    assert read_pairs(home)["001", "000"] == "train"


def test_missing_split_file_is_named_with_its_place(plant):
    home = plant({name: content for name, content in FILES.items() if name != "val.json"})
    with pytest.raises(BenchError, match=r"no val\.json, the split file of FaceForensics\+\+.*splits.*ondyari"):
        FaceForensics().videos(home, "c23")


def test_broken_split_files_are_refused(plant):
    with pytest.raises(BenchError, match=r"train\.json.*pairs of ids.*found \['000'\]"):
        FaceForensics().videos(plant({**FILES, "train.json": [["000"]]}), "c23")
    with pytest.raises(BenchError, match=r"train\.json can't be read as JSON"):
        FaceForensics().videos(plant({"train.json": "[[0"}), "c23")


def test_missing_compression_names_what_is_there(plant):
    with pytest.raises(BenchError, match=r"no c40 videos.*found c23.*-c c40"):
        FaceForensics().videos(plant(FILES), "c40")


@pytest.mark.parametrize("name", ["FaceForensics++", "FF++", "ff++"])
def test_home_is_the_root_or_a_usual_folder_in_it(plant, name):
    root = plant({f"{name}/{YOUTUBE}/000.mp4": None})
    assert FaceForensics().home(root) == root / name
    assert FaceForensics().home(root / name) == root / name


def test_missing_data_errors_say_what_was_found_and_where_to_get_it(plant, tmp_path):
    root = plant({"Celeb-DF-v2/x.mp4": None, "notes.txt": "hi"})
    with pytest.raises(
        BenchError, match=r"no FaceForensics\+\+ in .*looked for .*found Celeb-DF-v2, notes\.txt.*https://"
    ):
        FaceForensics().home(root)
    with pytest.raises(BenchError, match="no such folder"):
        FaceForensics().home(tmp_path / "nowhere")


DFD = {
    "original_sequences/actors/c23/videos/01__kitchen_pan.mp4": None,
    "original_sequences/actors/c23/videos/02__kitchen_pan.mp4": None,
    "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__kitchen_pan__ABCD1234.mp4": None,
    "manipulated_sequences/DeepFakeDetection/c23/videos/02_01__hugging_happy__ABCD1234.mp4": None,
}


def test_dfd_is_only_a_test_split_and_knows_sources_and_actors(plant):
    root = plant({f"FF++/{name}": content for name, content in DFD.items()})
    home = DeepFakeDetection().home(root)
    assert home == root / "FF++"
    found = {Path(v.id).name: v for v in DeepFakeDetection().videos(home, "c23")}
    assert len(found) == 4
    assert {v.split for v in found.values()} == {"test"}
    swapped = found["01_02__kitchen_pan__ABCD1234.mp4"]
    assert (swapped.label, swapped.method, swapped.identities) == (1, "DeepFakeDetection", ("01", "02"))
    assert swapped.source == "original_sequences/actors/c23/videos/01__kitchen_pan.mp4"
    assert found["02_01__hugging_happy__ABCD1234.mp4"].original is None
    assert found["02__kitchen_pan.mp4"].identities == ("02",)


def test_files_not_named_like_dfds_are_not_its_videos(plant):
    strays = ("actors/c23/videos/notes__old.mp4", "actors/c23/videos/01_02__kitchen_pan__ABCD1234.mp4")
    strays = tuple(f"original_sequences/{name}" for name in strays)
    home = plant(
        DFD | dict.fromkeys((*strays, "manipulated_sequences/DeepFakeDetection/c23/videos/01__kitchen_pan.mp4"))
    )
    assert {v.id for v in DeepFakeDetection().videos(home, "c23")} == DFD.keys()


def test_dfd_reads_its_own_demographics_in_the_shared_folder(plant):
    real = "original_sequences/actors/c23/videos/01__kitchen_pan.mp4"
    home = plant(
        {**DFD, "demographics_dfd.csv": f"video,gender\n{real},male\n", "demographics.csv": "video,gender\nx,y\n"}
    )
    videos = DeepFakeDetection().videos(home, "c23")
    assert {v.id: v.groups for v in videos if v.groups} == {real: {"gender": "male"}}


def test_dfd_leaves_out_a_file_not_named_like_its_own(plant):
    before = DeepFakeDetection().videos(plant(DFD), "c23")
    home = plant({"original_sequences/actors/c23/videos/holiday.mp4": None})
    assert DeepFakeDetection().videos(home, "c23") == before


@pytest.mark.skipif("BENCH_TEST_DATA" not in os.environ, reason="BENCH_TEST_DATA names no folder with ffpp_splits")
def test_official_split_has_its_known_counts(plant):
    given = Path(os.environ["BENCH_TEST_DATA"]) / "ffpp_splits"
    home = plant({f"{s}.json": json.loads((given / f"{s}.json").read_text()) for s in ("train", "val", "test")})
    plant({f"{YOUTUBE}/000.mp4": None})
    splits = [v.split for v in FaceForensics().videos(home, "c23")]
    assert [splits.count(s) for s in ("train", "val", "test")] == [720, 140, 140]


def test_masks_belong_to_their_fakes_and_a_real_has_its_first_fakes_mask(plant):
    masks = {"manipulated_sequences/Face2Face/masks/videos/000_001.mp4": None}
    home = plant({**FILES, **masks})
    found = {v.id: v.mask for v in FaceForensics().videos(home, "c23")}
    mask = home / next(iter(masks))
    assert {video for video, named in found.items() if named == mask} == {
        fake("Face2Face", "000_001"),
        f"{YOUTUBE}/000.mp4",
        # Fakes of the same video without masks: the same person is forged in them.
        fake("Deepfakes", "000_001"),
        fake("FaceShifter", "000_001"),
    }
    assert {named for named in found.values() if named != mask} == {None}


def test_masks_of_actors(plant):
    folder = "manipulated_sequences/DeepFakeDetection"
    name = "01_02__hugging_happy__ABCDEFGH.mp4"
    files = ("original_sequences/actors/c23/videos/01__hugging_happy.mp4", f"{folder}/c23/videos/{name}")
    home = plant({**dict.fromkeys(files), f"{folder}/masks/videos/{name}": None})
    assert {v.id: v.mask for v in DeepFakeDetection().videos(home, "c23")} == dict.fromkeys(
        files, home / folder / "masks" / "videos" / name
    )


def test_a_split_may_be_empty_as_in_the_leak_worlds_new_donors(plant):
    home = plant({**SPLITS, "train.json": [], "val.json": []})
    assert read_pairs(home) == {("004", "005"): "test", ("005", "004"): "test"}
