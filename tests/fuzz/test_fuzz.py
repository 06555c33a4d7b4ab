"""Every reader reads corrupted files or gives a one-line error: no crash, no hang, no file outside its folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS
from mutations import mutate

WORKER = Path(__file__).parents[1] / "support" / "fuzz_worker.py"
PIECE = 1000
"""Inputs a process: memory that is never given back shows, and a signal costs little."""
MOST_MEGABYTES = 2048


def read_pieces(folder: Path, name: str, count: int) -> list[str]:
    """Read `count` inputs in separate processes; return the failures with the seeds that reproduce them."""
    found = []
    for first in range(0, count, PIECE):
        asked = [folder / "inside", name, first, min(PIECE, count - first)]
        done = subprocess.run(
            [sys.executable, WORKER, *map(str, asked)], capture_output=True, text=True, check=False, timeout=3600
        )
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
        found += [f"{name}, seed {line['seed']}: {line['finding']}" for line in told if "finding" in line]
        if done.returncode or "done" not in told[-1]:
            seed = (folder / f"{name}.seed").read_text()
            found.append(f"{name}, seed {seed}: exit code {done.returncode}\n{done.stderr[-500:]}")
        elif told[-1]["megabytes"] > MOST_MEGABYTES:
            found.append(f"{name}, inputs {first} to {first + PIECE}: {told[-1]['megabytes']} MB")
    return found


def read_changed(folder: Path, name: str, count: int) -> list[str]:
    (folder / "inside").mkdir()
    (folder / "beside.txt").write_text("as it was")
    found = read_pieces(folder, name, count)
    assert (folder / "beside.txt").read_text() == "as it was"
    assert {p.name for p in folder.iterdir()} == {"inside", "beside.txt", f"{name}.seed"}
    print(f"fuzz {name}: {count} inputs, {len(found)} findings")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_are_read_or_refused_with_one_line(name, tmp_path):
    if name.endswith(".pth"):
        pytest.importorskip("torch")
    assert read_changed(tmp_path, name, TARGETS[name].inputs) == []


def test_every_kind_of_failure_is_found(tmp_path, monkeypatch):
    """It reports readers that raise, print several lines, hang or end the process."""
    (tmp_path / "fuzz_targets.py").write_text(
        "import os, time\n"
        "from crossfake.benchmark.core.errors import BenchError\n"
        "from typing import NamedTuple\n"
        "class Target(NamedTuple):\n    make: object\n    read: object\n"
        "def make(path):\n    path.write_bytes(b'sound')\n    return path\n"
        "def of(act):\n    return Target(make, lambda path: path.read_bytes() == b'sound' or act())\n"
        "def lines(): raise BenchError('a\\nb')\n"
        "TARGETS = {'raises': of(lambda: 1 / 0), 'lines': of(lines), 'ends': of(lambda: os.abort())}\n"
        "TARGETS['hangs'] = of(lambda: time.sleep(9))\n"
    )
    worker = (WORKER.read_text().replace("ASLEEP = 120", "ASLEEP = 1")).replace(
        "sys.path.insert(0, str(Path(__file__).parent))",
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(WORKER.parent)!r}]",
    )
    (tmp_path / "worker.py").write_text(worker)
    monkeypatch.setattr(sys.modules[__name__], "WORKER", tmp_path / "worker.py")
    (tmp_path / "inside").mkdir()
    expected = {"raises": "ZeroDivisionError", "lines": "several lines", "ends": "exit code -6", "hangs": "a hang"}
    for name, told in expected.items():
        found = read_pieces(tmp_path, name, 1)
        assert len(found) == 1
        assert f"{name}, seed " in found[0]
        assert told in found[0]


def test_changes_can_be_repeated():
    sound = json.dumps({"a": [1, 2, {"b": "text"}], "c": 0.5}).encode()
    changed = [mutate(sound, seed) for seed in range(200)]
    assert changed == [mutate(sound, seed) for seed in range(200)]
    assert len({*changed} - {sound}) > 150
    assert mutate(b"", 3) == mutate(b"", 3)
