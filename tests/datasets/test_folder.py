"""Users' own data: trees with real and fake folders, and tables. The files are empty; nothing is decoded."""

import pyarrow as pa
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.base import load_videos
from crossfake.datasets.folder import number_pictures
from crossfake.datasets.manifest import Manifest, read_manifest
from crossfake.datasets.spelling import PICTURE_SUFFIXES
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet


def listed(root, name="folder"):
    return {v.id: (v.label, v.method, v.split, len(v.pictures)) for v in load_videos(name, root).videos}


def test_tree_without_splits_is_all_test(plant):
    root = plant(
        dict.fromkeys(["real/a.mp4", "fake/b.MOV", "fake/swap/c.avi", "notes.txt", "real/x.txt", "real/.h.mp4"])
    )
    assert listed(root) == {
        "real/a.mp4": (0, "real", "test", 0),
        "fake/b.MOV": (1, "fake", "test", 0),
        "fake/swap/c.avi": (1, "swap", "test", 0),
    }


@pytest.mark.parametrize("order", ["{split}/{kind}", "{kind}/{split}", "{kind}/swap/{split}"])
def test_splits_are_folders_above_or_below(plant, order):
    every = [(split, kind, i) for split in ("train", "test") for kind in ("real", "Fake") for i in range(3)]
    names = {f"{order.format(split=split, kind=kind)}/a{i}.mp4": (kind, split) for split, kind, i in every}
    found = listed(plant(dict.fromkeys(names)))
    assert found.keys() == names.keys()
    for name, (kind, split) in names.items():
        label, method, is_in, _ = found[name]
        assert label == (kind == "Fake")
        assert is_in in (("train", "val") if split == "train" else ("test",))
        assert method == ("real" if not label else "swap" if "swap" in order else "fake")
    assert {(label, s) for label, _, s, _ in found.values()} >= {(0, "train"), (1, "train"), (0, "val"), (1, "val")}


def test_single_pictures_are_videos_and_those_in_a_folder_are_frames(plant):
    names = ["real/1.png", "real/2.jpg", "real/clip/010.png", "real/clip/009.png", "fake/swap/one/f_3.png"]
    root = plant(dict.fromkeys(names))
    assert listed(root) == {
        "real/1.png": (0, "real", "test", 0),
        "real/2.jpg": (0, "real", "test", 0),
        "real/clip": (0, "real", "test", 2),
        "fake/swap/one": (1, "swap", "test", 1),
    }
    clip = next(v for v in load_videos("folder", root).videos if v.id == "real/clip")
    assert [(p.frame, p.file) for p in clip.pictures] == [(n, str(root / f"real/clip/{n:03d}.png")) for n in (9, 10)]
    assert (clip.path, clip.origin) == (root / "real/clip/009.png", "pictures")


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_picture_suffix_is_recognised_in_lower_and_upper_case(plant, suffix):
    root = plant(dict.fromkeys([f"real/a{suffix}", f"fake/B{suffix.upper()}", f"real/clip/1{suffix}"]))
    assert {v: pictures for v, (*_, pictures) in listed(root).items()} == {
        f"real/a{suffix}": 0,
        f"fake/B{suffix.upper()}": 0,
        "real/clip": 1,
    }


def test_pictures_without_numbers_are_counted(tmp_path):
    assert [p.frame for p in number_pictures(tmp_path, ["b.png", "a.png"])] == [0, 1]
    assert [p.frame for p in number_pictures(tmp_path, ["x1.png", "y1.png"])] == [0, 1]


def test_folder_or_table_is_named_and_missing_ones_are_reported(plant):
    root = plant({"mine/real/a.mp4": None, "list.csv": "path,label\nmine/real/a.mp4,0\n"})
    assert listed(root, "folder:mine").keys() == {"real/a.mp4"}
    assert listed(root, "folder:list.csv") == {"mine/real/a.mp4": (0, "real", "test", 0)}
    with pytest.raises(BenchError, match=r"no folder or CSV .*other: found list\.csv, mine"):
        load_videos("folder:other", root)
    with pytest.raises(BenchError, match=r"no data in .*: looked for folders named real and fake.*found x\. Or"):
        load_videos("folder", plant({"sub/x/y/z/real/a.mp4": None}) / "sub")


TABLE = """path,label,split,method,source,identity,gender
b.mp4,FAKE,train,swap,a.mp4,anna+bea,female
a.mp4, real,train,,,anna,
c.mp4,1,test,,,,male
"""


def test_table_gives_everything_that_is_known(plant):
    root = plant({"list.csv": TABLE})
    videos = {v.id: v for v in load_videos("folder:list.csv", root).videos}
    assert list(videos) == ["a.mp4", "b.mp4", "c.mp4"]
    b = videos["b.mp4"]
    assert (b.label, b.method, b.split, b.original, b.identities) == (1, "swap", "train", "a.mp4", ("anna", "bea"))
    assert (b.path, b.groups) == (root / "b.mp4", {"gender": "female"})
    assert (videos["a.mp4"].label, videos["a.mp4"].method, videos["a.mp4"].groups) == (0, "real", {})
    assert (videos["c.mp4"].method, videos["c.mp4"].original, videos["c.mp4"].identities) == ("fake", None, ())


def test_rows_of_one_video_are_its_pictures(plant, tmp_path):
    rows = "\ufeffpath,label,video,frame\nx/9.png,0,x,9\ny/1.png,1,y,1\nx/3.png,0,x,3\n"
    videos = read_manifest(plant({"list.csv": rows}) / "list.csv")
    assert isinstance(videos, Manifest)
    assert [(v.id, [p.frame for p in v.pictures], v.label) for v in videos] == [("x", [3, 9], 0), ("y", [1], 1)]
    assert videos[-1] == videos[1]
    assert videos[:2] == list(videos)
    assert videos[0].path == tmp_path / "x/3.png"
    with pytest.raises(IndexError):
        videos[2]


def test_parquet_is_read_like_csv(tmp_path):
    parquet.write_table(pa.table({"path": ["b", "a"], "label": [1, 0]}), tmp_path / "t.parquet")
    assert [(v.id, v.label) for v in read_manifest(tmp_path / "t.parquet")] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,0\n", r"no column 'path'\..*Found: file, label"),
        ("path,lable\na,0\n", r"no column 'label'\. Did you mean 'lable'\?"),
        ("path,label\n", "has no rows"),
        ("path,label\na,0\nb,2\n", "row 3: label is 2; expected 0, real, 1, fake"),
        ("path,label\na,0\nb,\n", "row 3: label is None"),
        ("path,label,split\na,0,tset\n", "row 2: split is tset; expected train, val, test"),
        ("path,label\na,0\n,1\n", "row 3: the cell 'path' is empty"),
        ("path,label\nb,0\na,0\nb,0\n", "row 4: b is listed twice"),
        ("path,label,video,frame\na,0,x,1\nb,1,x,2\n", "row 3: x has a different label in another row"),
        ("path,label,video,frame\na,0,x,1\nb,0,x,1\n", "row 3: x has the same frame twice"),
        ("path,label,video,frame\na,0,x,one\n", "can't be read as a table.*one"),
        ("path,label\na,0,7\n", "can't be read as a table"),
    ],
)
def test_bad_tables_are_refused_with_the_row(plant, text, message):
    with pytest.raises(BenchError, match=message):
        read_manifest(plant({"list.csv": text}) / "list.csv")


@given(st.lists(st.tuples(st.text("abcé", min_size=1), st.booleans()), min_size=1, unique_by=lambda r: r[0]))
def test_any_table_is_read_back_sorted_and_complete(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    parquet.write_table(pa.table({"path": [r[0] for r in rows], "label": [str(int(r[1])) for r in rows]}), path)
    videos = read_manifest(path)
    assert [(v.id, bool(v.label)) for v in videos] == sorted(rows, key=lambda r: r[0].encode())
    assert len(videos) == len(rows)
    assert [videos[i] for i in range(len(rows))] == list(videos)
