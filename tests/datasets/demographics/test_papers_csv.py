"""The fairness papers' CSVs: read by name or position, even if misnamed; contradicting codes are rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Video
from crossfake.datasets.demographics.annotations import find_ambiguous_videos, read_frames
from crossfake.datasets.demographics.papers_csv import EIGHT, _make_flags, read_paper_csv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEADER = "img_path,label,ismale,isasian,iswhite,isblack,intersec_label"
FLAGS8 = {  # ismale, isasian, iswhite, isblack
    0: (1, 1, -1, -1),
    1: (1, -1, 1, -1),
    2: (1, -1, -1, 1),
    3: (1, -1, -1, -1),
    4: (-1, 1, -1, -1),
    5: (-1, -1, 1, -1),
    6: (-1, -1, -1, 1),
    7: (-1, -1, -1, -1),
}
NAMES8 = [(g, r) for g in ("male", "female") for r in ("asian", "white", "black", "others")]


def row(code: int, number: int = 0, order: tuple[int, ...] = (0, 1, 2, 3), more: str = "") -> str:
    flags = ",".join(str(FLAGS8[code][i]) for i in order)
    return f"/data/v{number}/{number}.png,{number % 2},{flags},{code}{more}"


def write(folder: Path, *lines: str) -> Path:
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def eight(order: tuple[int, ...] = (0, 1, 2, 3), more: str = "") -> list[str]:
    return [row(code, code, order, more) for code in range(8)]


@pytest.mark.parametrize(
    "header", [[HEADER], [], ["a,b,c,d,e,f,g"], [HEADER.replace("iswhite,isblack", "isblack,iswhite")]]
)
def test_codes_decide_whatever_the_header_says(tmp_path, header):
    frames = read_frames(write(tmp_path, *header, *eight()))
    assert list(zip(frames["gender"], frames["race"], strict=True)) == NAMES8
    assert frames["label"].tolist() == [0, 1] * 4
    assert frames["intersection"].tolist() == list(range(8))


def test_swapped_black_and_white_columns_are_detected_by_the_codes(tmp_path):
    frames = read_frames(write(tmp_path, *eight(order=(0, 1, 3, 2))))
    assert list(zip(frames["gender"], frames["race"], strict=True)) == NAMES8


def test_named_columns_in_any_order(tmp_path):
    frames = read_frames(write(tmp_path, "img_path,label,intersec_label,iswhite,isblack,ismale", "p/1.png,0,4,-1,1,-1"))
    assert frames[["gender", "race"]].iloc[0].tolist() == ["female", "black"]


def test_methods_are_read_where_they_are_given(tmp_path):
    frames = read_frames(write(tmp_path, f"{HEADER},spe_label", *eight(more=",5")))
    assert set(frames["method"]) == {"FaceShifter"}


def test_six_groups_of_datasets_without_asian(tmp_path):
    flags = {0: "1,1,-1", 1: "1,-1,1", 2: "1,-1,-1", 3: "-1,1,-1", 4: "-1,-1,1", 5: "-1,-1,-1"}
    for more in ("", ",1"):
        frames = read_frames(write(tmp_path, *(f"p/{c}.png,1,{f},{c}{more}" for c, f in flags.items())))
        assert frames["race"].tolist() == ["white", "black", "others"] * 2
        assert frames["gender"].tolist() == ["male"] * 3 + ["female"] * 3


def test_codes_and_rows_as_pandas_writes_them(tmp_path):
    decimal = [",".join([path, *(f"{cell}.0" for cell in cells)]) for path, *cells in (c.split(",") for c in eight())]
    for lines in ([HEADER, *decimal], decimal):
        frames = read_frames(write(tmp_path, *lines))
        assert list(zip(frames["gender"], frames["race"], strict=True)) == NAMES8
    frames = read_frames(write(tmp_path, f",{HEADER}", *(f"{i},{line}" for i, line in enumerate(eight()))))
    assert frames["path"].tolist() == [line.split(",")[0] for line in eight()]
    assert frames["intersection"].tolist() == list(range(8))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, *eight(), "p/9.png,0,1,-1,1,-1,6"], r"contradicts gender and race in row 10\."),
        ([*eight(), "p/9.png,0,1,1,1,-1,0"], r"contradicts gender and race in row 9\."),
        ([HEADER, *eight(), "p/9.png,0,7,-1,1,-1,1"], r"a value of male other than -1, 0, 1 in row 10\."),
        ([HEADER, *eight(), "p/9.png,0,1,-1,1,-1,8"], r"a value of intersection other than 0, .*in row 10"),
        ([HEADER, *eight(), "p/9.png,2,1,-1,1,-1,1"], r"a value of label other than 0, 1 in row 10\."),
        ([*eight(), row(0)], r"a duplicate frame in row 9\."),
        ([HEADER, *eight(), f"{row(0, 9)},3,4"], r"t\.csv: 9 cells instead of 7 in row 10\. Fix or remove it"),
        ([*eight(), f"{row(0, 9)},3,4"], r"t\.csv: 9 cells instead of 7 in row 9\."),
        ([HEADER, *eight(), "p/9.png,0,0,-1,1,-1,2"], r"contradicts gender and race in row 10\."),
        ([HEADER, *eight(), "p/9.png,0,1,0,0,0,1"], r"contradicts gender and race in row 10\."),
        ([HEADER], "has a header but no rows"),
        (["a,b,c", "1,2,3"], "found a,b,c and 1 rows"),
    ],
)
def test_impossible_codes_are_refused_by_row(tmp_path, lines, message):
    with pytest.raises(BenchError, match=message) as error:
        read_frames(write(tmp_path, *lines))
    assert "\n" not in str(error.value)


def test_a_zero_next_to_minus_ones_is_undefined_and_reported(tmp_path):
    unclear = ["p/8.png,0,0,-1,1,-1,5", "p/9.png,0,0,1,-1,-1,0", "q/1.png,1,1,0,0,0,3", "q/2.png,1,-1,-1,0,-1,7"]
    table = write(tmp_path, HEADER, *eight(), *unclear)
    frames = read_frames(table)
    found = list(zip(frames["gender"], frames["race"], strict=True))
    assert found == [
        *NAMES8,
        ("undefined", "white"),
        ("undefined", "asian"),
        ("male", "undefined"),
        ("female", "undefined"),
    ]
    assert find_ambiguous_videos(frames) == [
        "gender is 0 next to -1 in 2 of 12 rows, row 10 the first: taken as undefined",
        "race is 0 next to -1 in 2 of 12 rows, row 12 the first: taken as undefined",
    ]
    merged = read_frames(table, merge_undefined=True)
    assert merged["race"].tolist()[-4:] == ["white", "asian", "others", "others"]
    assert find_ambiguous_videos(merged) == [
        "gender is 0 next to -1 in 2 of 12 rows, row 10 the first: taken as undefined"
    ]


@pytest.mark.parametrize("merged", [False, True])
def test_zero_means_no_where_nothing_is_minus_one(tmp_path, merged):
    frames = read_frames(write(tmp_path, HEADER, *(line.replace("-1", "0") for line in eight())), merged)
    assert list(zip(frames["gender"], frames["race"], strict=True)) == NAMES8
    assert find_ambiguous_videos(frames) == []


def test_a_video_of_an_undefined_group_is_exported_to_no_list():
    video = Video("a.mp4", Path("a.mp4"), 0, "real", "test", groups={"gender": "undefined", "race": "white"})
    assert _make_flags(video, EIGHT) == "no gender"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(codes=st.lists(st.integers(0, 7), min_size=1, max_size=12), named=st.booleans())
def test_every_table_reads_back(tmp_path, codes, named):
    lines = [HEADER] * named + [row(code, number) for number, code in enumerate(codes)]
    frames = read_frames(write(tmp_path, *lines))
    assert list(zip(frames["gender"], frames["race"], strict=True)) == [NAMES8[c] for c in codes]
    assert frames.index.tolist() == list(range(1 + named, 1 + named + len(codes)))


def test_an_empty_file_is_a_one_line_error(tmp_path):
    (tmp_path / "test.csv").write_bytes(b"")
    with pytest.raises(BenchError, match=r"test\.csv") as raised:
        read_paper_csv(tmp_path / "test.csv")
    assert "\n" not in str(raised.value)
