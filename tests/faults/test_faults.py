"""Kills, signals, full disks and concurrent commands: repeating the command gives the undisturbed result."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from command_line import words

pytestmark = pytest.mark.slow
TOY = f"{Path(__file__).parents[1] / 'benchmark' / 'toy.py'}:Brightness"
FAULTY = Path(__file__).parents[1] / "support" / "faulty.py"
KILLS, STOPS = 50, 12
PARTS = 5
"""A test with many kills is split into this many tests, of minutes each."""
STOPPED = "bench: stopped; finished work is kept, and the same command continues from there"


class Place:
    """Where a command runs: a data root, a folder of runs and a separate cache."""

    def __init__(self, world: Path, folder: Path):
        self.world, self.folder = world, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.runs, self.cache = folder / "runs", folder / "cache"

    def ask(self, fault: str = "none", workers: int = 0, prefix: tuple[str, ...] = ()) -> list[str]:
        line = "run --train ff++ --test dfdc --set score.draws=50 --no-speed"
        asked = words(line, detector=TOY, data=self.world, runs=self.runs, workers=workers)
        return [*prefix, sys.executable, str(FAULTY), fault, *asked]

    def start(self, fault: str = "none", workers: int = 0, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        environment = {**os.environ, "BENCH_CACHE": str(self.cache)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.ask(fault, workers, prefix), env=environment, start_new_session=True, **pipes)

    def finish(self, fault: str = "none", prefix: tuple[str, ...] = ()) -> tuple[int, str]:
        done = self.start(fault, prefix=prefix)
        _, told = done.communicate(timeout=300)
        return done.returncode, told

    def list_half_written(self) -> list[str]:
        """Return unfinished files and notes about lock holders; the lock files themselves stay."""
        begun = (".unfinished.parquet", ".owner")
        return [str(p) for p in self.folder.rglob("*") if ".tmp" in p.name or p.name.endswith(begun)]

    def read(self) -> dict[str, bytes]:
        """Return the predictions and the board's table, without speeds and paths."""
        told = pd.read_csv(self.runs / "leaderboard.csv", dtype=str)
        table = told.drop(columns=["path", "command", "images_per_s", "images_per_s_on"])
        found = {str(p.relative_to(self.runs)): p.read_bytes() for p in self.runs.rglob("predictions.parquet")}
        return {**found, "board": table.to_csv().encode()}

    def check(self, sound: dict[str, bytes]) -> None:
        """Run the command to its end, and require the results of an undisturbed run and no leftover files."""
        code, told = self.finish()
        assert code == 0, told
        assert self.read() == sound
        assert self.list_half_written() == []


@pytest.fixture(scope="module")
def sound(tiny_world, tmp_path_factory) -> dict[str, bytes]:
    place = Place(tiny_world, tmp_path_factory.mktemp("sound"))
    assert place.finish()[0] == 0
    return place.read()


@pytest.fixture
def place(tiny_world, tmp_path) -> Place:
    return Place(tiny_world, tmp_path / "place")


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_before_and_after_each_rename(place, sound, part):
    code, told = place.finish("after 0")
    count = int(told.split()[-1])
    assert code == 0
    assert count >= 8
    chosen = range(1 + part, count + 1, PARTS)
    for number in chosen:
        for when in ("before", "after"):
            shutil.rmtree(place.folder)
            assert place.finish(f"{when} {number}")[0] == -signal.SIGKILL
            place.check(sound)
    print(f"faults: {2 * len(chosen)} kills before and after renames {[*chosen]} of {count}, each fixed")


@pytest.mark.parametrize("part", range(PARTS))
def test_kills_at_random(place, sound, part):
    rng, finished, killed = random.Random(part), 0, 0
    began = time.monotonic()
    place.finish()
    usual = time.monotonic() - began
    while killed < KILLS // PARTS:
        if rng.random() < 0.3:
            shutil.rmtree(place.folder)
            place.folder.mkdir()
        running = place.start(workers=rng.choice([0, 1]))
        time.sleep(rng.uniform(0.2, usual))
        running.kill()
        running.communicate(timeout=60)
        killed += running.returncode == -signal.SIGKILL
        if rng.random() < 0.25:
            place.check(sound)
            finished += 1
    place.check(sound)
    print(f"faults: {killed} kills at random, {finished + 1} times run to the end")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_stops_at_random(place, sound, number, code):
    rng, stopped = random.Random(number), 0
    for turn in range(STOPS):
        shutil.rmtree(place.folder)
        place.folder.mkdir()
        running = place.start(workers=turn % 2)
        time.sleep(rng.uniform(1.5, 5))  # Python needs this long to start.
        running.send_signal(number)
        _, told = running.communicate(timeout=60)
        assert running.returncode in (0, code), told
        assert "leaked" not in told
        assert "Traceback" not in told
        assert running.returncode == 0 or told.rstrip().endswith(STOPPED)
        assert place.list_half_written() == []
        stopped += running.returncode == code
    place.check(sound)
    assert stopped
    print(f"faults: {stopped} of {STOPS} {signal.Signals(number).name} came before the end, each told in one line")


@pytest.mark.parametrize("seconds", [86400 * 400, -86400 * 400])
def test_a_clock_that_jumps(place, sound, seconds):
    code, told = place.finish(f"clock {seconds}")
    assert code == 0, told
    place.check(sound)


def test_two_commands_at_once(place, sound):
    for _ in range(4):
        shutil.rmtree(place.folder)
        place.folder.mkdir()
        both = [place.start(workers=1) for _ in range(2)]
        told = [one.communicate(timeout=300)[1] for one in both]
        assert [one.returncode for one in both] == [0, 0], told
        place.check(sound)
    print("faults: 4 times two concurrent commands, always with the same results")


def can_mount() -> bool:
    found = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return found.returncode == 0


needs_mount = pytest.mark.skipif("not can_mount()", reason="no right to mount a tmpfs: full and read-only disks")


@needs_mount
@pytest.mark.parametrize("part", ["runs", "cache"])
def test_full_disks(place, sound, part):
    full = 0
    for size in (4, 12, 24, 40, 64, 96, 160, 256):
        shutil.rmtree(place.folder)
        for folder in (place.runs, place.cache):
            folder.mkdir(parents=True)
        where = getattr(place, part)
        left = f'find {where} -name ".*.tmp*" -printf "LEFT %f" >&2'
        script = f'mount -t tmpfs -o size={size}k tmpfs {where} && "$@"; code=$?; {left}; exit $code'
        code, told = place.finish(prefix=("unshare", "-m", "sh", "-c", script, "sh"))
        assert code in (0, 1, 2), told  # 1: a cell failed because its faces don't fit.
        assert "LEFT" not in told
        assert "Traceback" not in told
        if code:
            why = next(line for line in told.splitlines() if "No space left on device" in line or "Make room" in line)
            assert str(where) in why
            assert ("--runs" if part == "runs" else "BENCH_CACHE") in why
            full += 1
    assert full >= 2
    place.check(sound)
    print(f"faults: {full} full disks ({part}), each named with its remedy")


@needs_mount
def test_a_read_only_disk(place, sound):
    place.check(sound)
    (place.runs / "leaderboard.md").unlink()
    script = f'mount --bind {place.folder} {place.folder} && mount -o remount,ro,bind {place.folder} && "$@"'
    code, told = place.finish(prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert code == 0
    assert "no leaderboard: " in told
    assert "can't be written (Read-only file system). Elsewhere: bench leaderboard --runs" in told
    assert place.read() == sound
    shutil.rmtree(place.runs)
    place.runs.mkdir()
    code, told = place.finish(prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert code == 2
    assert "--runs" in told.rstrip().splitlines()[-1]
    assert "Traceback" not in told
    print("faults: read-only disks, with complete runs and without")
