import json
import os
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.celebdf import LIST, CelebDF
from crossfake.datasets.demographics.annotations import (
    aggregate_by_video,
    find_ambiguous_videos,
    make_video_key,
    match_split_file,
    read_annotations,
    read_frames,
)
from crossfake.datasets.ffpp import FaceForensics
from crossfake.detectors.pgfdd.labels import encode_group

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
        ("youtube", "000"): {"gender": "female"},
        ("youtube", "001"): {},
    }
    assert read_annotations(tmp_path / "A.csv", merge_undefined=True)["youtube", "000"]["race"] == "others"


def test_key_is_the_same_in_all_compressions():
    assert make_video_key(FAKE) == ("Deepfakes", "000_001")
    assert make_video_key("YouTube-real/00001.mp4") == ("YouTube-real", "00001")


def test_table_next_to_the_dataset_gives_the_groups(plant):
    splits = {"train.json": [["000", "001"]], "val.json": [["002", "003"]], "test.json": [["004", "005"]]}
    home = plant({**splits, f"{YOUTUBE}/000.mp4": None, FAKE: None, "A-FF++.csv": FFPP})
    groups = {v.id: v.groups for v in FaceForensics().videos(home, "c40")}
    assert groups[FAKE] == {"gender": "male", "race": "black"}
    assert groups[f"{YOUTUBE}/000.mp4"] == {"gender": "female"}
    assert groups[f"{YOUTUBE}/001.mp4"] == {}


def test_a_users_table_comes_first(plant):
    own = "video,gender\nCeleb-real/id0_0000.mp4,male\n"
    home = plant({LIST: "1 Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4": None, "A-Celeb-DF.csv": CELEB})
    assert CelebDF().videos(home, "")[0].groups == {"gender": "female", "race": "white"}
    plant({"demographics.csv": own})
    assert CelebDF().videos(home, "")[0].groups == {"gender": "male"}


@pytest.mark.parametrize(
    "text", ["video,gender\na,b\n", "path,male\na/b.png\n", "", "path," + "[" * 5000 + "\na/b.png,1\n"]
)
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "A.csv").write_text(text)
    with pytest.raises(BenchError, match=r"A\.csv isn't one of the published annotation tables") as error:
        read_annotations(tmp_path / "A.csv")
    assert len(str(error.value)) < 1000


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "A.csv").write_text(text)
    return tmp_path / "A.csv"


def public(tmp_path: Path, *rows: str) -> Path:
    return table(tmp_path, "\n".join(["path,label,male,asian,white,black", *rows]) + "\n")


@pytest.mark.parametrize(
    ("codes", "apart", "merged"),
    [
        ("1,-1,1,-1", ("male", "white"), ("male", "white")),
        ("-1,1,0,-1", ("female", "asian"), ("female", "asian")),
        ("1,-1,-1,-1", ("male", "others"), ("male", "others")),
        ("1,-1,0,-1", ("male", "undefined"), ("male", "others")),
        ("0,0,0,0", ("undefined", "undefined"), ("undefined", "others")),
        ("1,1,1,-1", ("male", "several"), ("male", "several")),
    ],
)
def test_undefined_is_not_others_unless_asked(tmp_path, codes, apart, merged):
    path = public(tmp_path, f"a/b/1.png,0,{codes}")
    for wanted, merge in ((apart, False), (merged, True)):
        frame = read_frames(path, merge).iloc[0]
        assert (frame["gender"], frame["race"]) == wanted


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a/b/1.png,0,2,-1,1,-1"], r"a value of male other than -1, 0, 1 in row 2\."),
        (["a/b/1.png,0,1,-1,1,-1", "a/b/2.png,0,1,-1,5,-1"], r"a value of white other than -1, 0, 1 .*in row 3"),
        (["a/b/1.png,3,1,-1,1,-1"], r"a value of label other than 0, 1 in row 2\."),
        ([",0,1,-1,1,-1"], r"no path in row 2\."),
        (["a/b/1.png,0,1,-1,1,-1"] * 2, r"a duplicate frame in row 3\."),
        (
            ["a/b/1.png,0,1,-1,1,-1", "a/b/2.png,0,1,-1,1,-1,3"],
            r"A\.csv: 7 cells instead of 6 in row 3\. Fix or remove",
        ),
        (["a/b/1.png,0,1,-1,1,-1", "a/b/2.png,0,1"], r"A\.csv: 3 cells instead of 6 in row 3\."),
        ([], "has a header but no rows"),
    ],
)
def test_bad_rows_are_refused_by_number(tmp_path, rows, message):
    with pytest.raises(BenchError, match=message):
        read_frames(public(tmp_path, *rows))


def test_several_races_at_once_are_reported_and_undefined(tmp_path):
    frames = read_frames(public(tmp_path, "a/v/1.png,0,1,-1,1,-1", "a/w/1.png,1,1,1,1,-1", "a/w/2.png,1,1,1,1,-1"))
    assert find_ambiguous_videos(frames) == ["a/w: more than one race in row 3, taken as undefined"]
    videos, said = aggregate_by_video(frames)
    assert videos["race"].tolist() == ["white", "undefined"]
    assert said == []


AGED = "path,label,male,young,middle_aged,senior,asian,white,black"
AGES = {"0,1,0": "middle_aged", "1,-1,-1": "young", "-1,0,1": "senior", "-1,-1,-1": "undefined", "0,0,0": "undefined"}


@pytest.mark.parametrize("merge", [False, True])
def test_age_is_the_annotated_one_and_never_others(tmp_path, merge):
    rows = [f"a/{i}/1.png,0,1,{codes},-1,1,-1" for i, codes in enumerate([*AGES, "1,1,-1"])]
    frames = read_frames(table(tmp_path, "\n".join([AGED, *rows]) + "\n"), merge)
    assert find_ambiguous_videos(frames) == ["a/5: more than one age in row 7, taken as undefined"]
    videos, said = aggregate_by_video(frames)
    assert videos["age"].tolist() == [*AGES.values(), "undefined"]
    assert said == []


def test_age_is_a_separate_group_next_to_gender_and_race(tmp_path, plant):
    rows = "F/youtube/raw/000/1.png,0,1,1,-1,-1,-1,1,-1\nF/youtube/raw/001/1.png,0,-1,0,0,0,1,-1,-1\n"
    splits = {"train.json": [["000", "001"]], "val.json": [["002", "003"]], "test.json": [["004", "005"]]}
    home = plant({**splits, f"{YOUTUBE}/000.mp4": None, "A-FF++.csv": f"{AGED}\n{rows}"})
    groups = [v.groups for v in FaceForensics().videos(home, "c40") if v.split == "train"]
    assert groups == [{"gender": "male", "race": "white", "age": "young"}, {"gender": "female", "race": "asian"}]
    assert [encode_group(g) for g in groups] == [1, 4]


def test_ages_that_disagree_are_reported_and_two_of_three_columns_give_no_age(tmp_path):
    rows = "a/v/1.png,0,1,1,-1,-1,-1,1,-1\na/v/2.png,0,1,-1,-1,1,-1,1,-1\n"
    videos, said = aggregate_by_video(read_frames(table(tmp_path, f"{AGED}\n{rows}")))
    assert said == ["a/v: age is young, but senior in row 3"]
    assert videos["age"].tolist() == [""]
    assert "age" not in read_frames(table(tmp_path, f"{AGED.replace('senior', 'bald')}\n{rows}"))


def test_split_videos_missing_from_the_table_are_reported(tmp_path):
    videos = pd.Series([f"F/{v}" for v in ("youtube/000", "youtube/003", "Deepfakes/000_003", "Deepfakes/003_000")])
    pairs, lines = tmp_path / "s.json", tmp_path / "s.txt"
    pairs.write_text('[["000", "003"], ["8", "9"]]')
    named, lacking = match_split_file(videos, pairs)
    assert named.tolist() == [True] * 4
    assert lacking == ["8", "9", "8_9", "9_8"]
    lines.write_text("1 youtube/003.mp4\n\n0 Deepfakes/9_8.mp4\n")
    named, lacking = match_split_file(videos, lines)
    assert named.tolist() == [False, True, False, False]
    assert lacking == ["Deepfakes/9_8.mp4"]


def test_frames_that_disagree_are_reported_and_their_video_has_no_value(tmp_path):
    path = public(tmp_path, "a/v/1.png,0,1,-1,1,-1", "a/v/2.png,0,-1,-1,1,-1", "a/w/1.png,1,1,-1,1,-1")
    videos, said = aggregate_by_video(read_frames(path))
    assert said == ["a/v: gender is male, but female in row 3"]
    assert videos.to_dict("list") == {
        "video": ["a/v", "a/w"],
        "label": [0, 1],
        "gender": ["", "male"],
        "race": ["white", "white"],
    }
    with pytest.raises(BenchError, match="gender is male, but female in row 3"):
        read_annotations(path)


AIFACE1 = (
    "Image Path,Uncertainty Score Gender,Ground Truth Gender,Ground Truth Age,Ground Truth Race,Intersection,Target"
)
AIFACE2 = "Image Path,Predicted Gender,Predicted Age,Skin Tone,Target,Skin Tone Group,Intersection"


def test_ai_face_of_both_versions(tmp_path):
    one = read_frames(table(tmp_path, f"{AIFACE1}\na/1.png,.9,1,2,0,0,1\na/2.png,.9,0,3,3,7,0\n"))
    assert one.drop(columns="path").to_dict("list") == {
        "label": [1, 0],
        "gender": ["male", "female"],
        "race": ["asian", "others"],
        "age": ["senior", "others"],
        "intersection": [0, 7],
    }
    two = read_frames(table(tmp_path, f"{AIFACE2}\na/1.png,1,0,7,1,dark,5\na/2.png,0,4,3,0,light,0\n"))
    assert two["skin_tone"].tolist() == ["dark", "light"]
    assert two["age"].tolist() == ["child", "senior"]
    assert two["intersection"].tolist() == [5, 0]


def test_an_ai_face_table_without_rows_is_refused(tmp_path):
    with pytest.raises(BenchError, match="has a header but no rows"):
        read_frames(table(tmp_path, AIFACE2 + "\n"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/1.png,1,0,7,1,dark,2", r"an intersection that contradicts the other columns in row 2\."),
        ("a/1.png,1,5,7,1,dark,5", "a value of Predicted Age other than 0, 1, 2, 3, 4"),
        ("a/1.png,1,0,11,1,dark,5", "a value of Skin Tone other than 1, .*10 in row 2"),
        ("a/1.png,x,0,7,1,dark,5", "a value of Predicted Gender other than 0, 1"),
        ("a/1.png,1,0,7,1,light,5", r"a Skin Tone Group that contradicts the skin tone in row 2\. Fix"),
        ("a/1.png,1,0,7,1,dark,5\na/2.png,0,4,3,0,purple,0", r"a Skin Tone Group that contradicts .* in row 3\."),
        ("a/1.png,1,0,7,1,dark,5\na/2.png,0,4,3,0,light,0,9,9", r"A\.csv: 9 cells instead of 7 in row 3\. Fix"),
        ("a/1.png,1,0,7,1,dark,5,9", r"A\.csv: 8 cells instead of 7 in row 2\."),
    ],
)
def test_ai_face_rows_that_mean_nothing_are_refused(tmp_path, row, message):
    with pytest.raises(BenchError, match=message):
        read_frames(table(tmp_path, f"{AIFACE2}\n{row}\n"))


@pytest.mark.skipif("BENCH_TEST_DATA" not in os.environ, reason="BENCH_TEST_DATA names no folder with the tables")
def test_real_videos_of_the_official_test_split_by_cell(tmp_path):
    given = Path(os.environ["BENCH_TEST_DATA"])
    with zipfile.ZipFile(given / "A-FF++.zip") as archive:
        archive.extract("A-FF++.csv", tmp_path)
    groups = read_annotations(tmp_path / "A-FF++.csv")
    pairs = json.loads((given / "ffpp_splits" / "test.json").read_text())
    found = Counter((g.get("gender"), g.get("race")) for pair in pairs for v in pair if (g := groups["youtube", v]))
    assert len(groups) == 6000
    ages = Counter(g.get("age") for (folder, _), g in groups.items() if folder == "youtube")
    assert ages == {"young": 341, "middle_aged": 56, "senior": 45, None: 558}
    assert (found["male", "others"], found["female", "others"]) == (6, 2)
    assert found["male", "white"] == 40
    assert found["male", "asian"] == 3
    assert found["male", "black"] == 1
    assert found["female", "white"] == 45
    assert found["female", "asian"] == 7
    assert found["female", "black"] == 0
