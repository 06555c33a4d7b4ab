"""What DFDC's size costs: the exponent by which processor time grows from 1,000 to 120,000 videos, and the time there.

The files are one byte each and the faces' outcomes made up: what is measured is listing, keys, a store's table of
contents, and what a run's cells and processes are sent.

    OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n0 benchmarks/test_scale.py -s
"""

from __future__ import annotations

import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.types import PrepareResult
from crossfake.benchmark.stages.cells import Cell
from crossfake.benchmark.stages.plan import Request, make_plan
from crossfake.datasets.faces.face_store import FaceStore
from crossfake.datasets.faces.store_index import Entry, measure_shards, write_index
from crossfake.datasets.ffpp import FAKES, METHODS, REALS

COUNTS = (1_000, 120_000)
PARTS, FRAMES, CHUNK = 50, 32, 16
MOST_GROWTH = 1.05


class World(NamedTuple):
    """A root with so many training videos of DFDC, FaceForensics++ in proportion, and a store of the former."""

    videos: int
    root: Path
    store: Path


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    home = tmp_path_factory.mktemp("scale")
    for count in COUNTS:
        _write_dfdc(home / f"{count}", count)
        _write_ffpp(home / f"{count}" / "FaceForensics++", count // 120)
    yield [World(n, home / f"{n}", _write_store(home / f"store{n}", n)) for n in COUNTS]
    shutil.rmtree(home)


def _write_dfdc(root: Path, count: int) -> None:
    names = [f"v{i:06d}.mp4" for i in range(count)]
    for part in range(PARTS):
        folder = root / "DFDC" / f"dfdc_train_part_{part}"
        folder.mkdir(parents=True)
        mine, facts = names[part::PARTS], {}
        for i, name in enumerate(mine):
            fake = {"label": "FAKE", "split": "train", "original": mine[i - i % 6]}
            facts[name] = fake if i % 6 else {"label": "REAL", "split": "train"}
            (folder / name).write_bytes(b"x")
        (folder / "metadata.json").write_text(json.dumps(facts))
    (root / "DFDC" / "test").mkdir()
    rows = [(f"t{i:05d}.mp4", i % 2) for i in range(max(20, count // 24))]
    (root / "DFDC" / "test" / "labels.csv").write_text("filename,label\n" + "".join(f"{v},{y}\n" for v, y in rows))
    for name, _ in rows:
        (root / "DFDC" / "test" / name).write_bytes(b"x")


def _write_ffpp(home: Path, count: int) -> None:
    """Write so many originals (at least eight), each with a fake by five methods: 1,000 are as many as there are."""
    names = [f"{i:03d}" for i in range(max(8, count))]
    pairs = list(zip(names[::2], names[1::2], strict=False))
    tenth = max(1, len(pairs) // 7)
    fakes = [f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])]
    _touch(home / REALS / "c23" / "videos", names)
    for method in METHODS:
        _touch(home / FAKES / method / "c23" / "videos", fakes)
    for split, part in (("val", pairs[:tenth]), ("test", pairs[tenth : 2 * tenth]), ("train", pairs[2 * tenth :])):
        (home / f"{split}.json").write_text(json.dumps(part))


def _touch(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.mp4").write_bytes(b"x")


def _write_store(folder: Path, count: int) -> Path:
    """Write a store's table of contents, with empty files for the shards, which nothing here opens."""
    folder.mkdir()
    shards = [folder / f"{i:020x}.arrow" for i in range(-(-count // CHUNK))]
    for path in shards:
        path.touch()
    frames, sums = tuple(range(0, 320, 10)), np.arange(FRAMES, dtype=np.uint32)
    entries = {}
    for i in range(count):
        video = f"dfdc_train_part_{i % PARTS}/v{i:06d}.mp4"
        outcome = PrepareResult(video, "ok", FRAMES, FRAMES, frames, size=1, mtime_ns=i)
        entries[video] = Entry(shards[i // CHUNK], i % CHUNK, outcome, sums)
    write_index(folder, measure_shards(shards), [{}], entries)
    return folder


def plan(world: World) -> list[Cell]:
    request = Request(("meso4", "mesoinception4"), "dfdc", ("ff++", "dfdc"), seeds=(0, 1, 2))
    cells = make_plan(request, world.root, Reporter(quiet=True))
    assert len({cell.test_folder for cell in cells}) == 12
    return cells


def open_store(world: World) -> None:
    """Open it and read what a worker needs of a batch."""
    store = FaceStore(world.store)
    assert all(len(store.frames(f"dfdc_train_part_{i % PARTS}/v{i:06d}.mp4")) == FRAMES for i in range(32))


def list_outcomes(world: World) -> None:
    assert len(FaceStore(world.store).outcomes()) == world.videos


@pytest.mark.parametrize("work", [plan, open_store, list_outcomes])
def test_time_grows_as_the_number_of_videos(
    worlds: list[World], work: Callable[[World], object], record_property: Callable[[str, object], None]
) -> None:
    work(worlds[0])  # Imports.
    seconds = [_time(work, world) for world in worlds]
    growth = float(np.polyfit(np.log(COUNTS), np.log(seconds), 1)[0])
    told = ", ".join(f"{n:,} videos {s:.3f} s" for n, s in zip(COUNTS, seconds, strict=True))
    print(f"\n{work.__name__}: {told}; exponent {growth:.2f}")
    record_property("exponent", growth)
    assert growth <= MOST_GROWTH


def _time(work: Callable[[World], object], world: World) -> float:
    """Return the least processor seconds of three tries."""
    found = []
    for _ in range(3):
        before = time.process_time()
        work(world)
        found.append(time.process_time() - before)
    return min(found)


def test_a_cell_is_small_to_send_whatever_it_tests(worlds: list[World]) -> None:
    sizes = [len(pickle.dumps(plan(world)[0])) for world in worlds]
    print(f"\na pickled cell: {sizes} bytes")
    assert max(sizes) < 100_000
