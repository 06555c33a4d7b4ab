"""`bench check` says which part of the contract a plugin violates, and accepts plugins that meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import bench

DETECTOR = """
import numpy as np

class Mine:
    def score(self, frames):
        {body}
"""
GOOD = "return frames.mean(axis=(1, 2, 3)) / 255"

DATASET = """
from pathlib import Path
from crossfake.benchmark.core.types import Video

class Mine:
    def home(self, root):
        return root

    def videos(self, home, compression):
        found = [
            Video(f"{kind}/{i}.mp4", home / kind / f"{i}.mp4", int(kind == "fake"), kind, split)
            for kind in ("fake", "real") for i, split in enumerate(("train", "val", "test"))
        ]
        BODY
        return found
"""


def verdicts(path: Path, capsys: pytest.CaptureFixture[str], **options: object) -> tuple[int, dict[str, str]]:
    code = bench("check", f"{path}:Mine", "--json", **options)
    parts = json.loads(capsys.readouterr().out)["parts"]
    return code, {part["part"]: part["failure"] for part in parts}


@pytest.mark.parametrize(
    ("body", "broken", "says"),
    [
        ("return np.stack([frames.mean((1, 2, 3))] * 2, 1) / 255", "shape", "shape (5, 2) for 5 images, not (5,)"),
        ("return (frames.mean((1, 2, 3)) > 99).astype(int)", "dtype", "int64, expected a floating type"),
        ("return frames.mean((1, 2, 3)) / frames.std((1, 2, 3)) / 1e9", "NaN", "2 of 5 images: black, white"),
        ("return frames.mean((1, 2, 3))", "range", "scores from 0 to 255; P(fake) must be from 0 to 1"),
        ("return np.random.default_rng().random(len(frames))", "determinism", "twice gave scores"),
        ("m = frames.mean((1, 2, 3)); return m / max(m.max(), 1)", "batch size", "scored one by one"),
        ("frames[:] = 0; return np.zeros(len(frames))", "input", "changed the images"),
        ("return frames.mean_of_all()", "scores", "no attribute 'mean_of_all' (mine.py, line 6)"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_each_broken_part_of_a_detector_is_named(body, broken, says, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(DETECTOR.format(body=body))
    code, parts = verdicts(tmp_path / "mine.py", capsys)
    assert code == 1
    assert says in parts[broken]
    others = {part for part, failure in parts.items() if failure} - {broken}
    assert others <= {"determinism": {"batch size"}}.get(broken, set())


def test_a_good_detector_keeps_its_contract(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(DETECTOR.format(body=GOOD))
    assert bench("check", f"{tmp_path / 'mine.py'}:Mine") == 0
    out = capsys.readouterr().out
    assert out.count("ok   ") == 10
    assert "local/mine meets the contract" in out


CROPPER = """
    def cropper(self):
        {made}
"""


@pytest.mark.parametrize(
    ("made", "broken", "says"),
    [
        ("return lambda face: face.crop", "pickling", "Can't"),
        ("return cut_float", "crops", "the cropper gives float64, expected uint8"),
        ("return cut_grey", "crops", "shape (128, 128), expected (S, S, 3)"),
        ("return cut_unlike", "crops", "the crops differ in shape"),
    ],
)
def test_broken_croppers_are_named(made, broken, says, tmp_path, capsys):
    functions = (
        "def cut_float(face): return face.crop / 2\n"
        "def cut_grey(face): return face.crop[..., 0]\n"
        "def cut_unlike(face): return face.crop[: 64 + face.frame]\n"
    )
    (tmp_path / "mine.py").write_text(DETECTOR.format(body=GOOD) + CROPPER.format(made=made) + functions)
    code, parts = verdicts(tmp_path / "mine.py", capsys)
    assert (code, [part for part, failure in parts.items() if failure]) == (1, [broken])
    assert says in parts[broken]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("class Mine: ...", "has no method score(frames)"),
        ("class Mine:\n    def __init__(self, depth): ...", "'depth'"),
    ],
)
def test_a_detector_that_cannot_be_built_is_reported(code, says, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(code)
    code, parts = verdicts(tmp_path / "mine.py", capsys)
    assert code == 1
    assert says in parts["making"]


def test_a_shipped_trainable_detector_keeps_the_whole_contract(capsys):
    pytest.importorskip("torch")
    assert bench("check meso4 --json --set options.input_size=64") == 0
    parts = {part["part"]: part["seen"] for part in json.loads(capsys.readouterr().out)["parts"]}
    assert parts["crops"] == "uint8 (5, 64, 64, 3)"
    assert {"samples", "checkpoint", "pickling"} <= parts.keys()


def plant(folder: Path) -> None:
    for kind in ("real", "fake"):
        (folder / kind).mkdir()
        for i in range(3):
            (folder / kind / f"{i}.mp4").write_bytes(b"1234")


@pytest.mark.parametrize(
    ("body", "broken", "says"),
    [
        ("pass", "", ""),
        ("found.append(found[-1])", "ids", "two videos have the id real/2.mp4"),
        ("found.reverse()", "ids", "aren't sorted by id"),
        ("import dataclasses as d; found[0] = d.replace(found[0], label=2)", "labels", "has the label 2"),
        (
            "import dataclasses as d; found[0] = d.replace(found[0], method='real')",
            "labels",
            "label 1 and method 'real'",
        ),
        ("import dataclasses as d; found[0] = d.replace(found[0], split='dev')", "splits", "in the split 'dev'"),
        ("found = found[1:]", "splits", "train has [1, 0] real and fake videos"),
        ("import dataclasses as d; found[0] = d.replace(found[0], original='no.mp4')", "originals", "'no.mp4', is not"),
        ("found = []", "listing", "no videos in"),
        ("found[0] = 'real/1.mp4'", "listing", "videos gave a str"),
        ("self.n = getattr(self, 'n', 0) + 1; found = found[: 7 - self.n] or found", "repeatable", "gave two lists"),
    ],
)
def test_each_broken_part_of_a_dataset_is_named(body, broken, says, tmp_path, capsys):
    plant(tmp_path)
    (tmp_path / "mine.py").write_text(DATASET.replace("BODY", body))
    code, parts = verdicts(tmp_path / "mine.py", capsys, data=tmp_path)
    assert code == (1 if broken else 0)
    assert not broken or says in parts[broken]


def test_a_dataset_without_its_files_is_reported(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(DATASET.replace("BODY", "pass"))
    _, parts = verdicts(tmp_path / "mine.py", capsys, data=tmp_path)
    assert "none of the files exists" in parts["files"]
    assert bench("check", f"{tmp_path / 'mine.py'}:Mine") == 2
    assert "Say where its files are: --data ROOT" in capsys.readouterr().err


def test_shipped_datasets_keep_the_contract(tiny_world, capsys):
    assert bench("check celebdf", data=tiny_world) == 0
    assert "celebdf meets the contract" in capsys.readouterr().out
