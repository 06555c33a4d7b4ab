"""Tables of videos in common formats, and invalid tables."""

import json

import pyarrow as pa
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.base import load_videos
from crossfake.datasets.manifest import read_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet


@pytest.mark.parametrize(
    "content",
    [
        b"path,label,split\na.mp4,REAL,Training\nb.mp4,Fake,valid\nc.mp4,0.0,DEV\nd.mp4,True,testing\n",
        "Path;LABEL;Split\r\na.mp4;real;train\r\n b.mp4 ;1.0;val\r\nc.mp4;False;Dev\r\nd.mp4;1; TEST".encode("utf-16"),
        "\ufeffpath\tlabel\tsplit\na.mp4\t0\ttrain\nb.mp4\t1\tval\nc.mp4\t0\tval\nd.mp4\t1\ttest\n".encode(),
    ],
)
def test_dialects_labels_and_splits(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    videos = load_videos("folder:list.csv", tmp_path).videos
    assert [(v.id, v.label, v.split) for v in videos] == [
        ("a.mp4", 0, "train"),
        ("b.mp4", 1, "val"),
        ("c.mp4", 0, "val"),
        ("d.mp4", 1, "test"),
    ]


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], ["Real", "FAKE"]])
def test_labels_of_any_type_in_parquet(tmp_path, labels):
    parquet.write_table(pa.table({"path": ["a", "b"], "label": labels}), tmp_path / "t.parquet")
    assert [v.label for v in read_manifest(tmp_path / "t.parquet")] == [0, 1]


def test_paths_may_be_windows_and_absolute_within_the_data(tmp_path):
    (tmp_path / "lists").mkdir()
    table = tmp_path / "lists" / "l.csv"
    table.write_text(f"path,label\n..\\a\\1.mp4,0\n{tmp_path}/b.mp4,1\n./c.mp4,1\n")
    videos = load_videos("folder:lists/l.csv", tmp_path).videos
    assert {v.id: v.path.resolve() for v in videos} == {
        "../a/1.mp4": tmp_path / "a/1.mp4",
        f"{tmp_path}/b.mp4": tmp_path / "b.mp4",
        "./c.mp4": tmp_path / "lists/c.mp4",
    }
    with pytest.raises(BenchError, match=r"row 2: the path \.\./a/1\.mp4 leads out of .*lists/\. Name a --data folder"):
        load_videos("folder:l.csv", tmp_path / "lists")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,0\n./a.mp4,1\n", r"row 3: \./a\.mp4 is listed twice \(see row 2\)"),
        ("path,label\nx\\a.mp4,0\n x/a.mp4,0\n", r"row 3: x/a\.mp4 is listed twice"),
        ("path,label,video\na.png,0,v\na.png,0,v\n", r"row 3: a\.png is listed twice"),
        ("path,label,video\na.png,0,v\na.png,1,w\n", r"row 3: a\.png is listed twice"),
        ("path,label,video\na.png,0,v\nb.png,0,./v\n", r"v is one video in two spellings"),
        ("path,label,split\na.mp4,0,train\nA.MP4,0,test\n", r"A\.MP4 \(row 3\) and a\.mp4 \(row 2\) are one video"),
        ("path,label,split\nx/a.mp4,0,val\nx/a.avi,0,test\nq.mp4,1,test\n", "are one video by their names"),
        ("path,label,video,split\na.png,0,V 1,train\nb.png,0,v 1,test\n", "are one video by their names"),
        ("path,label\n/etc/passwd,0\n", "row 2: the path /etc/passwd leads out of"),
        ("path,label\n../x.mp4,0\n", r"row 2: the path \.\./x\.mp4 leads out of"),
        ("path,label\na/../../x.mp4,0\n", "leads out of"),
        ("path,label,video\na.png,0,../../v\n", r"row 2: the video \.\./\.\./v leads out of"),
        (f"path,label\n{'é' * 130}.mp4,0\n", "has a name of over 255 bytes"),
        ("path,label\n'a\x1bb',0\n", "has a control character in it"),
        ("path,label,label\na,0,1\n", "has the column 'label' twice"),
        ("path,label,video,frame\na,0,v,-1\n", "row 2: frame is -1; expected 0 or more"),
        ("path,label\n  ,0\n", "row 2: the cell 'path' is empty"),
        ("path,label\na,{x}\n", "row 2: label is {x}; expected 0, real, 1, fake"),
    ],
)  # fmt: skip
def test_impossible_tables_are_refused_with_the_row(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BenchError, match=message) as caught:
        read_manifest(tmp_path / "list.csv")
    assert "\n" not in str(caught.value)


def test_ids_that_differ_only_in_case_stay_two_and_are_reported(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("path,label\na.mp4,0\nA.mp4,1\nb.mp4,1\nB.mp4,1\nc.avi,0\nc.mp4,1\n")
    assert len(read_manifest(tmp_path / "list.csv")) == 6
    said = capsys.readouterr().err
    assert "A.mp4 (row 3) and a.mp4 (row 2) differ only in case and count as two videos, as do 1 more" in said


def test_columns_named_like_ours_or_with_braces(tmp_path):
    folder = tmp_path / "{x}"
    folder.mkdir()
    (folder / "list.csv").write_text("path,label,row,{label}\na,0,5,q\na,1,5,q\n")
    with pytest.raises(BenchError, match="row 3: a has a different label"):
        read_manifest(folder / "list.csv")
    (folder / "list.csv").write_text("path,label,row,{label}\na,0,5,q\n")
    assert read_manifest(folder / "list.csv")[0].groups == {"row": "5", "{label}": "q"}


def test_parquet_columns_of_odd_types_are_refused(tmp_path):
    parquet.write_table(pa.table({"path": ["a"], "label": ["0"], "who": [[{"x": 1}]]}), tmp_path / "t.parquet")
    with pytest.raises(BenchError, match="can't be read as a table"):
        read_manifest(tmp_path / "t.parquet")


def read_or_refuse(read):
    """Return the videos, or none if the list is rejected with a one-line error; any other error fails the test."""
    refusal = ""
    try:
        return list(read())
    except BenchError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) == 1
    return []


CELLS = st.sampled_from(
    ["a.mp4", "A.mp4", "./a.mp4", "a\\b.mp4", "0", "1", "real", "fake", "train", "test", "", " ", "é", '"']
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["path,label", "path,label,split", "path,label,video,frame", "label;path", "path\tlabel\tsource"]),
    ROWS,
    st.binary(max_size=3),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_any_table_is_read_or_refused_in_one_line(tmp_path, header, rows, junk, encoding):
    mark = next((c for c in ",;\t" if c in header), ",")
    text = "\n".join([header, *(mark.join(row) for row in rows)])
    (tmp_path / "t.csv").write_bytes(text.encode(encoding) + junk)
    videos = read_or_refuse(lambda: read_manifest(tmp_path / "t.csv"))
    ids = [v.id for v in videos]
    assert len(set(ids)) == len(ids)
    assert all(v.label in (0, 1) and v.split in ("train", "val", "test") for v in videos)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.sampled_from([None, True, 0, 1.5, "", "a.mp4", "../x", "REAL", "fake", "train", 10**400]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a.mp4", "label", "set", "frames", "train", "F"]), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused_in_one_line(tmp_path, content):
    text = json.dumps(content)
    lists = [
        "train.json",
        "val.json",
        "test.json",
        "dataset.json",
        "ldm.json",
        "F.json",
        "dfdc_train_part_0/metadata.json",
    ]
    for name in [*lists, "original_sequences/youtube/c23/videos/0.mp4", "original_videos/x"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("ff++", "dfdcp", "dfdc", "caddm-frames", "deepfakebench:F"):
        read_or_refuse(lambda name=name: load_videos(name, tmp_path).videos)
