from dataclasses import replace
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Video
from crossfake.datasets.demographics.tables import add_groups, read_groups

VIDEOS = [Video(f"a/{i}.mp4", Path(f"a/{i}.mp4"), 0, "real", "test") for i in range(3)]


def merge(tmp_path: Path, text: str) -> list[dict[str, str]]:
    (tmp_path / "demographics.csv").write_text(text, encoding="utf-8")
    return [dict(v.groups) for v in add_groups(VIDEOS, tmp_path / "demographics.csv")]


def test_rows_become_groups_and_empty_cells_do_not(tmp_path):
    text = "video,gender,race,age\na/0.mp4,female,asian,\na/2.mp4, male ,,old\nelsewhere.mp4,male,white,\n"
    assert merge(tmp_path, text) == [{"gender": "female", "race": "asian"}, {}, {"gender": "male", "age": "old"}]


def test_spreadsheets_byte_order_mark_and_blank_lines_do_no_harm(tmp_path):
    assert merge(tmp_path, "\ufeffvideo,gender\n\na/0.mp4,female\n")[0] == {"gender": "female"}


def test_without_a_table_videos_stay_unchanged(tmp_path):
    assert add_groups(VIDEOS, tmp_path / "demographics.csv") is VIDEOS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,gender\na/0.mp4,male\na/1.mp4\n", "row 3: 1 cells, but the header has 2"),
        ("video,gender\na/0.mp4,male,white\n", "row 2: 3 cells"),
        ("video,gender\n,male\n", "row 2: the cell 'video' is empty"),
        ("video,gender\na/0.mp4,male\na/0.mp4,female\n", "row 3: a/0.mp4 has different groups in an earlier row"),
        ("path,gender\na/0.mp4,male\n", "row 1: expected a header such as video,gender,race; found path,gender"),
        ("video,gender,gender\na/0.mp4,male,male\n", "has the column 'gender' twice"),
        ("", "is empty: expected a table with a header"),
        ("video,gender\n0.mp4,male\n", "none of its 1 videos is in this dataset.*such as a/0.mp4"),
    ],
)
def test_bad_tables_are_refused_with_the_row(tmp_path, text, message):
    with pytest.raises(BenchError, match=message):
        merge(tmp_path, text)


def test_a_table_names_transcoded_copies_as_the_publishers_do(tmp_path):
    (tmp_path / "demographics.csv").write_bytes("Video;gender\r\na\\0.MP4;male\r\n".encode("utf-16"))
    copy = [replace(v, id=v.id.replace(".mp4", ".avi")) for v in VIDEOS]
    assert [dict(v.groups) for v in add_groups(copy, tmp_path / "demographics.csv") if v.groups] == [{"gender": "male"}]


@pytest.mark.parametrize("text", ["video,{}\na\n", "video,gender\n{},female\n{},male\n", "{}\na\n"])
def test_a_long_cell_makes_no_long_error(tmp_path, text):
    table = tmp_path / "demographics.csv"
    table.write_text(text.replace("{}", "[" * 5000))
    with pytest.raises(BenchError) as told:
        read_groups(table)
    assert len(str(told.value)) < 600
