"""If a store's videos aren't visible, every command uses the store as it is, with or without `--faces-only`."""

from __future__ import annotations

import shutil
from pathlib import Path

import crossfake
import numpy as np
import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.types import Face, PrepareResult
from crossfake.benchmark.stages.detectors import load_resolved_settings
from crossfake.benchmark.stages.sources import find_root, open_source
from crossfake.datasets.faces import prepare as preparing
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import list_shards, write_shard
from crossfake.datasets.faces.prepare import make_store_settings

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
FRAMES = "--set faces.frames=2"
PREPARE = f"data prepare dfdc --split test --workers 0 {FRAMES}"


def face(frame: int, grey: int) -> Face:
    points = np.linspace(20, 60, 162, dtype=np.float32).reshape(81, 2)
    box = np.array([10, 10, 70, 70], np.float32)
    return Face(np.full((80, 80, 3), grey, np.uint8), points, box, frame, (0, 0), (80, 80))


@pytest.fixture
def lists(tiny_world, tmp_path, monkeypatch) -> Path:
    """A root with DFDC's lists but no videos; the cache has made-up faces of its test set."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    source = open_source("dfdc", find_root(tiny_world, Reporter(quiet=True)))
    faces = load_resolved_settings("caddm", demo=True, overrides=["faces.frames=2"]).faces
    videos = source.split("test")
    results = [
        (
            PrepareResult(v.id, "ok", 2, 2, (0, 9), size=v.path.stat().st_size, mtime_ns=1),
            [(f, encode(f.crop, "png")) for f in (face(i, 20 * number + i) for i in (0, 9))],
        )
        for number, v in enumerate(videos)
    ]
    write_shard(source.store_folder(faces) / "a.arrow", make_store_settings(faces), results)
    for name in ("crossfake-demo.json", "DFDC/test/labels.csv", "DFDC/demographics.csv"):
        (tmp_path / "lists" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_world / name, tmp_path / "lists" / name)
    return tmp_path / "lists"


def read_store(lists: Path) -> dict[str, bytes]:
    (folder,) = (lists.parent / "cache" / "faces").glob("dfdc-*")
    return {path.name: path.read_bytes() for path in list_shards(folder)}


def test_faces_of_hidden_videos_are_used_and_never_overwritten(lists, capsys, monkeypatch):
    before, folders = read_store(lists), []
    monkeypatch.setattr(preparing, "prepare_video", lambda *a: pytest.fail("a video was looked at"))
    for option in ("", "--faces-only"):
        assert bench(f"{PREPARE} {option}", data=lists) == 0
        assert "dfdc: 4 videos, 0 of them with remarks" in capsys.readouterr().out
        assert bench(f"eval {TOY} --test dfdc {FRAMES} --dry-run {option}", data=lists) == 0
        folders.append([word for word in capsys.readouterr().out.split() if "/test.dfdc." in word])
    assert len(folders[0]) == 1
    assert folders[0] == folders[1]  # Both have the same key.
    settings, runs = ["faces.frames=2", "score.draws=20"], lists.parent / "runs"
    found = crossfake.evaluate(
        TOY, "dfdc", data=lists, settings=settings, runs=runs, faces_only=True, workers=0, speed=False, progress=False
    )
    assert found.cards[0].coverage.scored == 4
    assert "--faces-only" in found.cards[0].provenance.command
    assert read_store(lists) == before


@pytest.mark.parametrize(
    "typed",
    [
        f"data prepare dfdc {FRAMES}",
        f"run --detector {TOY} --train ff++ --test dfdc {FRAMES}",
        f"plan --detector {TOY} --train ff++ --test dfdc {FRAMES}",
        f"eval {TOY} --test dfdc {FRAMES}",
        f"train meso4 --train ff++ {FRAMES}",
    ],
)
def test_faces_only_without_a_store_fails_with_one_line_even_with_videos(
    typed, tiny_world, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert bench(f"{typed} --faces-only", data=tiny_world) == 2
    told = read_mistake(capsys)
    assert "no store has their faces" in told or "Copy the store there, or leave out --faces-only" in told
    assert not (tmp_path / "cache" / "faces").exists()
