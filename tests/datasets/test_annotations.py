import json
import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.datasets.annotations import key_of_video, read_annotations
from crossfake.datasets.celebdf import LIST, CelebDF
from crossfake.datasets.ffpp import FaceForensics

FFPP = """,path,label,male,young,asian,white,black
0,FaceForensics++/manipulated_sequences/Deepfakes/raw/face_images/000_001/frame1.png,1,1,0,-1,-1,1
1,FaceForensics++/manipulated_sequences/Deepfakes/raw/face_images/000_001/frame2.png,1,1,0,-1,-1,1
2,FaceForensics++/original_sequences/youtube/raw/face_images/000/frame1.png,0,-1,0,0,0,-1
3,FaceForensics++/original_sequences/youtube/raw/face_images/001/frame1.png,0,0,0,1,1,-1
"""
CELEB = ",path,label,male,white,black\n0,Celeb-DF-v2_faces_single/Celeb-real/id0_0000/frame1.png,0,-1,1,-1\n"
YOUTUBE = "original_sequences/youtube/c40/videos"
FAKE = "manipulated_sequences/Deepfakes/c40/videos/000_001.mp4"


def test_frames_become_videos_with_their_one_race(tmp_path):
    (tmp_path / "A.csv").write_text(FFPP)
    assert read_annotations(tmp_path / "A.csv") == {
        ("Deepfakes", "000_001"): {"gender": "male", "race": "black"},
        ("youtube", "000"): {"gender": "female", "race": "others"},
        ("youtube", "001"): {},
    }


def test_key_is_the_same_in_all_compressions():
    assert key_of_video(FAKE) == ("Deepfakes", "000_001")
    assert key_of_video("YouTube-real/00001.mp4") == ("YouTube-real", "00001")


def test_table_beside_the_dataset_gives_the_groups(plant):
    splits = {"train.json": [["000", "001"]], "val.json": [], "test.json": []}
    home = plant({**splits, f"{YOUTUBE}/000.mp4": None, FAKE: None, "A-FF++.csv": FFPP})
    groups = {v.id: v.groups for v in FaceForensics().videos(home, "c40")}
    assert groups[FAKE] == {"gender": "male", "race": "black"}
    assert groups[f"{YOUTUBE}/000.mp4"] == {"gender": "female", "race": "others"}
    assert groups[f"{YOUTUBE}/001.mp4"] == {}


def test_ones_own_table_comes_first(plant):
    own = "video,gender\nCeleb-real/id0_0000.mp4,male\n"
    home = plant({LIST: "1 Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4": None, "A-Celeb-DF.csv": CELEB})
    assert CelebDF().videos(home, "")[0].groups == {"gender": "female", "race": "white"}
    plant({"demographics.csv": own})
    assert CelebDF().videos(home, "")[0].groups == {"gender": "male"}


@pytest.mark.parametrize("text", ["video,gender\na,b\n", "path,male\na/b.png\n", ""])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "A.csv").write_text(text)
    with pytest.raises(BenchError, match=r"A\.csv isn't one of the published annotation tables"):
        read_annotations(tmp_path / "A.csv")


@pytest.mark.skipif("BENCH_TEST_DATA" not in os.environ, reason="BENCH_TEST_DATA names no folder with the tables")
def test_real_videos_of_the_official_test_split_by_cell(tmp_path):
    given = Path(os.environ["BENCH_TEST_DATA"])
    with zipfile.ZipFile(given / "A-FF++.zip") as archive:
        archive.extract("A-FF++.csv", tmp_path)
    groups = read_annotations(tmp_path / "A-FF++.csv")
    pairs = json.loads((given / "ffpp_splits" / "test.json").read_text())
    found = Counter((g.get("gender"), g.get("race")) for pair in pairs for v in pair if (g := groups["youtube", v]))
    assert len(groups) == 6000
    assert found["male", "white"] == 40
    assert found["male", "asian"] == 3
    assert found["male", "black"] == 1
    assert found["female", "white"] == 45
    assert found["female", "asian"] == 7
    assert found["female", "black"] == 0
