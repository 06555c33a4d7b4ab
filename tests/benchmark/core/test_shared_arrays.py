"""Arrays of any size arrive through shared memory as they would through a pipe, and no memory is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.shared_arrays import HELD
from crossfake.benchmark.core.workers import AHEAD, WorkerPool

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd is Linux's")
MAKE = "({'image': __import__('numpy').full((%d, 3), %d, 'u1'), 'label': __import__('numpy').arange(%d)}, ['x'])"


def make(sizes: list[int]) -> list[str]:
    return [MAKE % (size, i % 256, size) for i, size in enumerate(sizes)]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as pool:
        yield pool


def count_open() -> int:
    return sum("memfd:crossfake" in os.readlink(p) for p in Path("/proc/self/fd").iterdir() if p.is_symlink())


@pytest.mark.parametrize("sizes", [[7] * 20, [1, 5000, 3, 0, 9000, 9000, 9000, 2, 9001, 9001, 9001, 9001, 9001, 1]])
def test_results_equal_those_of_a_pipe(pool, sizes):
    for i, (arrays, rest) in enumerate(pool.map(eval, make(sizes), shares=True)):
        assert arrays["image"].shape == (sizes[i], 3)
        assert (arrays["image"] == i).all()
        assert np.array_equal(arrays["label"], np.arange(sizes[i]))
        assert rest == ["x"]
    del arrays  # The last arrays still map their memory.
    assert count_open() == 0


def test_each_result_is_whole_in_any_order(pool):
    found = [int(arrays["image"].mean()) for arrays, _ in pool.map(eval, make([9] * 20), shares=True, ordered=False)]
    assert sorted(found) == list(range(20))


def test_results_stay_valid_while_two_more_are_requested(pool):
    results = pool.map(eval, make([9] * 60), shares=True)
    seen: list[np.ndarray] = []
    for i, (arrays, _) in enumerate(results):
        seen.append(arrays["image"])
        for back in range(min(i, HELD - 1) + 1):
            assert (seen[i - back] == i - back).all()
    assert not any(a.flags.owndata for a in seen[AHEAD + 2 :])  # Shared memory is used once the sizes are known.


def test_shared_memory_of_unfinished_results_is_freed(pool):
    results = pool.map(eval, make([9] * 60), shares=True)
    for _ in range(10):
        next(results)
    assert count_open()
    results.close()
    assert count_open() == 0


def test_without_shared_memory_results_are_sent(pool, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    found = list(pool.map(eval, make([9] * 20), shares=True))
    assert [int(arrays["image"][0, 0]) for arrays, _ in found] == list(range(20))


STOP = f"""
import os, signal
from crossfake.benchmark.core.workers import WorkerPool
from crossfake.benchmark.core.signals import STOPS
with WorkerPool(1) as pool:
    for i, _ in enumerate(pool.map(eval, {make([9]) * 40}, shares=True)):
        if i == 20:
            os.kill(os.getpid(), int(os.environ["NUMBER"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_leaves_no_shared_memory_and_no_message(number):
    before = set(os.listdir("/dev/shm"))
    done = subprocess.run(
        [sys.executable, "-c", STOP], capture_output=True, text=True, env={**os.environ, "NUMBER": str(int(number))}
    )
    assert done.returncode == -number
    assert "leaked shared" not in done.stderr
    left = set(os.listdir("/dev/shm")) - before
    assert not [name for name in left if not name.startswith("sem.")]  # "sem." files belong to other commands' pools.
