import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import datasets
from crossfake.benchmark.core.types import Face, Video
from crossfake.datasets.base import hold_out, label_dataset, load_videos, parse_name

FFPP = {
    "original_sequences/youtube/c40/videos/000.mp4": None,
    "train.json": [["000", "001"]],
    "val.json": [["002", "003"]],
    "test.json": [["004", "005"]],
}


@pytest.mark.parametrize(
    ("name", "entry", "compression"),
    [
        ("ff++", "ff++", "c23"),
        ("ff++:c40", "ff++", "c40"),
        ("FaceForensics++:raw", "ff++", "raw"),
        ("ffpp", "ff++", "c23"),
        ("celeb-df-v2", "celebdf", ""),
        ("DFDC", "dfdc", ""),
        ("dfd:c23", "dfd", "c23"),
        ("ff++:methods=4", "ff++", "c23"),
        ("ff++:methods=4:raw", "ff++", "raw"),
    ],
)
def test_names_aliases_and_compressions(name, entry, compression):
    found, quality = parse_name(name)
    assert (found.name, quality) == (entry, compression)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ff++:c32", r"ff\+\+ has no compression 'c32'\. Did you mean 'c23'\? It has raw, c23, c40"),
        ("celebdf:c23", "celebdf has no compression 'c23'.*write 'celebdf'"),
        ("celebdg", r"no dataset named 'celebdg'\. Did you mean 'celebdf'"),
        ("ff++:c23:methods=3", r"ff\+\+ has no methods=3\. Did you mean 'methods=[45]'\? It has methods=5, methods=4"),
        ("ff++:c23:method=4", r"ff\+\+ has no option 'method'\. Did you mean 'methods'\? It has methods=5, methods=4"),
        ("ff++:c23:5m", r"ff\+\+ has no compression '5m'\. Did you mean '4m'"),
        ("ff++:c23:c40", r"ff\+\+:c23:c40 names two compressions"),
        ("ff++:4m:methods=5", r"ff\+\+:4m:methods=5 names two numbers of methods"),
        ("dfd:c23:methods=4", r"dfd has no option 'methods'\. Leave it out"),
        ("celebdf:methods=4", r"celebdf has no option 'methods'\. Leave it out"),
    ],
)
def test_unknown_names_get_the_nearest_name_as_a_suggestion(name, text):
    with pytest.raises(BenchError, match=text):
        parse_name(name)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ff++:c23:methods=4", "ff++:c23:4m"),
        ("ffpp:methods=4:c40", "ff++:c40:4m"),
        ("ff++:c23:4m", "ff++:c23:4m"),
        ("ff++:4m", "ff++:c23:4m"),
        ("ff++:methods=5", "ff++:c23"),
        ("celeb-df", "celebdf"),
    ],
)
def test_a_label_contains_what_is_unusual(name, label):
    assert label_dataset(*parse_name(name)) == label
    assert label_dataset(*parse_name(label)) == label


def test_every_adapter_card_is_complete():
    for name in ("ff++", "dfd", "celebdf", "dfdc"):
        card = datasets.find(name).card
        assert card.keys() >= {"title", "compressions", "default_compression", "splits", "url", "license"}
        assert card["default_compression"] in (*card["compressions"], "")


def test_load_videos_reports_what_it_loaded(plant):
    root = plant({f"FF++/{name}": content for name, content in FFPP.items()})
    loaded = load_videos("ffpp:c40", root)
    assert (loaded.name, loaded.entry.name, loaded.compression) == ("ff++:c40", "ff++", "c40")
    assert loaded.home == root / "FF++"
    assert [v.path.stem for v in loaded.videos if v.split == "train"] == ["000", "001"]


def test_a_users_dataset_is_loaded_from_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def home(self, root):\n        return root\n"
        "    def videos(self, home, compression):\n        return []\n"
    )
    loaded = load_videos(f"{tmp_path}/mine.py:Mine", tmp_path)
    assert loaded.name == "local/mine"
    assert loaded.videos == []


def test_held_out_share_is_about_a_tenth():
    names = [f"person{i}" for i in range(2000)]
    assert 150 < len(hold_out(names, names, "x")) < 250
    assert hold_out(names, names, "x") != hold_out(names, names, "y")


def test_nothing_is_held_out_that_would_leave_no_training():
    assert hold_out(["a"], ["a"], "x") in (set(), {"a"})
    assert len(hold_out(["a", "b"], ["a", "b"], "x") & {"a", "b"}) >= 1


def test_the_former_name_of_a_fakes_original_still_works():
    old = Video("fake.mp4", Path("fake.mp4"), 1, "swap", "test", source="real.mp4")
    assert old.original == old.source == "real.mp4"
    assert old == Video("fake.mp4", Path("fake.mp4"), 1, "swap", "test", original="real.mp4")
    assert pickle.loads(pickle.dumps(old)) == old
    assert replace(old, source="other.mp4").original == replace(old, original="other.mp4").original == "other.mp4"
    assert replace(old, split="val").original == "real.mp4"


def test_the_former_name_of_a_crops_top_left_still_works():
    old = Face(np.zeros((2, 2, 3), np.uint8), np.zeros((81, 2)), np.zeros(4), 0, origin=(3, 4), frame_size=(9, 9))
    assert old.top_left == old.origin == (3, 4)
    assert replace(old, origin=(5, 6)).top_left == (5, 6)
