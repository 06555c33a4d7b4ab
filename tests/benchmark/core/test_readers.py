"""One reader per format: real files are read, and malicious files give a one-line error with their name."""

from __future__ import annotations

import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.readers import (
    normalise_id,
    open_csv,
    parse_yaml,
    read_arrow,
    read_csv_frame,
    read_csv_rows,
    read_json,
    read_safetensors_metadata,
    read_text,
    read_yaml,
    safe_relative_path,
    shorten,
)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(call, *arguments):
    with pytest.raises(BenchError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_with_or_without_a_mark(write, encoding):
    assert read_text(write("a.txt", "Zoë\nb".encode(encoding))) == "Zoë\nb"


def test_other_text_is_refused_by_row(write):
    assert "a.txt, row 2: not UTF-8 (byte 0xeb)" in refusal(read_text, write("a.txt", "a\nZoë".encode("latin-1")))
    assert "row 1: contains a NUL" in refusal(read_text, write("a.txt", "ab".encode("utf-16-le")))
    assert "b.txt can't be read: No such file" in refusal(read_text, write("a.txt", "").with_name("b.txt"))
    assert "at most 3 are read" in refusal(read_text, write("a.txt", "abcd"), 3)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[" * 50_000, "nested more than 100 levels"),
        ('{"a": ' * 150 + "1" + "}" * 150, "nested more than 100 levels"),
        ("[1]", "expected keys and values"),
        ('{"a": 1', "can't be read as JSON"),
        ('{"a": "\\ud800"}', "can't be read as JSON"),
        ('{"a": ' + "1" * 5000 + "}", "can't be read as JSON"),
    ],
)
def test_hostile_json_is_a_one_line_error(write, content, told):
    text = refusal(read_json, write("a.json", content), dict, "Download it again")
    assert "a.json" in text
    assert told in text
    assert text.endswith("Download it again")


def test_deep_json_never_overflows_the_stack(write, monkeypatch):
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("Python's own reader recurses to the end"))
    assert "nested more than 100 levels" in refusal(read_json, write("a.json", "[" * 50_000), dict)


def test_json_of_the_expected_type_is_returned(write):
    assert read_json(write("a.json", '{"a": "\\ud83d\\ude00"}'), dict) == {"a": "😀"}
    assert read_json(write("a.json", json.dumps([1]).encode("utf-16")), list) == [1]


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
TOWER = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BOMB, "more than 100,000 values once its aliases are expanded"),
        (TOWER, "more than 100 levels once its aliases are expanded"),
        ("a: &a [*a]", "an alias contains itself"),
        ("a: &a {b: *a}", "an alias contains itself"),
        ("[" * 3000, "nested more than 100 levels"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice (line 3)"),
        ("lr: .inf", "isn't finite"),
        ("a: [.nan]", "isn't finite"),
        ("a: 2001-99-99", "not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not YAML"),
        ("? [a]\n: 1", "not YAML"),
    ],
)
def test_hostile_yaml_is_a_one_line_error(write, content, told):
    assert told in refusal(read_yaml, write("a.yaml", content))
    assert told.partition(" (line")[0] in refusal(parse_yaml, content, "--set a")


def test_yaml_aliases_are_read():
    assert parse_yaml("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}", "x")["d"] == {"b": 1, "e": 2}


def test_values_in_messages_are_short_however_large():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    assert len(shorten(deep)) <= 100
    assert len(shorten(["x" * 10**6] * 10)) <= 100
    assert shorten("two\nlines \x1b[2J") == "two lines \\x1b[2J"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_dialects(write, mark):
    text = "\n".join(mark.join(row) for row in [(" Video", "LABEL ", "Skin Tone"), ("a ", "1", "2"), ("", "", "")])
    rows = read_csv_rows(write("a.csv", text.encode("utf-8-sig")), ["video", "label"])
    assert [(r.number, r.cells) for r in rows] == [(2, {"video": "a", "label": "1", "Skin Tone": "2"})]
    wide = write("a.csv", text.encode("utf-16"))
    packed = open_csv(wide, ["video", "label"])
    assert packed.names == ["video", "label", "Skin Tone"]
    assert read_csv_frame(wide, packed, packed.names)["label"].iloc[0] == 1
    assert read_arrow(write("a.csv", text), ["video", "label"])["label"].to_pylist()[0] == "1"


def test_csv_flaws_are_reported_by_row(write):
    assert "the column 'label' twice" in refusal(read_csv_rows, write("a.csv", "label,x,Label\n1,2,3"), ["label"])
    assert "row 3: 1 cells" in refusal(read_csv_rows, write("a.csv", "a,b\n1,2\n3\n"))
    assert "no column 'label'. Did you mean 'lable'?" in refusal(
        read_csv_rows, write("a.csv", "path,lable\n1,2\n"), ["label"]
    )
    assert "is empty" in refusal(read_csv_rows, write("a.csv", "\n"))
    assert "row 2: can't be read" in refusal(read_csv_rows, write("a.csv", "a\n" + "x" * 200_000))
    long = write("a.csv", "a,b\n1,2,3\n")
    assert "a.csv" in refusal(read_arrow, long)
    assert "more cells than the header" in refusal(read_csv_frame, long, open_csv(long), ["a", "b"])
    unclosed = write("u.csv", 'a,b\n1,2\n"3,4\n5,6\n')
    for rows, cells in (("1,2\n1,2,3\n", 3), ("1,2,3\n1,2,3,4\n", 4)):
        ragged = write("r.csv", f"a,b\n{rows}")
        told = refusal(read_csv_frame, ragged, open_csv(ragged), ["a", "b"])
        assert f"row 3 has {cells} cells, but the header has 2" in told
    assert "row 3: a quotation mark is never closed" in refusal(
        read_csv_frame, unclosed, open_csv(unclosed), ["a", "b"]
    )


def test_damaged_parquet_is_reported_by_name(tmp_path, write):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"Video ": ["a"] * 100, "score": [0.5] * 100}), whole)
    assert read_arrow(whole, ["video"]).column_names == ["video", "score"]
    content = whole.read_bytes()
    for damaged in (content[:-40], b"PAR1" + b"\xff" * (len(content) - 12) + content[-8:], b"", b"PAR1xPAR1"):
        assert "cut.parquet can't be read as a table" in refusal(read_arrow, write("cut.parquet", damaged))


def test_parquet_that_inflates_is_refused(tmp_path):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": pa.nulls(20_000_000, pa.bool_())}), path)
    assert "20,000,000 rows" in refusal(read_arrow, path)


@pytest.mark.parametrize(("text", "id"), [("a\\b.mp4", "a/b.mp4"), (" ./a//b/ ", "a/b"), ("a/../b", "b"), ("", "")])
def test_ids_have_one_spelling(text, id):
    assert normalise_id(text) == id


@pytest.mark.parametrize("text", ["../a", "a/../../b", "..\\a", "/a", "C:\\a", "C:/a", "\\\\host\\a", "", ".", "a\0"])
def test_paths_that_leave_their_folder_are_refused(text):
    assert "labels.csv, row 3: the path" in refusal(safe_relative_path, text, "labels.csv, row 3")


LONG = [("é" * 127, True), ("é" * 128, False), ("a/" * 1999, True), ("a/" * 2001, False)]


@pytest.mark.parametrize(("text", "fits"), LONG)
def test_paths_no_system_accepts_are_refused(text, fits):
    if fits:
        assert safe_relative_path(text, "a card") == text.rstrip("/")
    else:
        assert "which no file can have" in refusal(safe_relative_path, text, "a card")


def test_tensors_are_checked_against_the_size_of_their_file(write):
    def packed(shape, end, numbers=16, start=0):
        header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}}).encode()
        return write("a.safetensors", struct.pack("<Q", len(header)) + header + b"0" * numbers)

    assert read_safetensors_metadata(packed([2, 2], 16)) == {}
    assert "doesn't match its shape" in refusal(read_safetensors_metadata, packed([2**40, 2**40], 16))
    assert "doesn't match its shape" in refusal(read_safetensors_metadata, packed([-2, -2], 16))
    assert "tensors don't end where the file does" in refusal(read_safetensors_metadata, packed([2, 2], 16, numbers=12))
    assert "its header doesn't fit" in refusal(read_safetensors_metadata, write("b", struct.pack("<Q", 2**60) + b"{}"))
