"""Look-ahead over worker processes: order, errors, and bounds are those of doing it here."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.workers import available_cores, map_ahead


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order(workers):
    assert list(map_ahead(math.factorial, range(40), workers)) == [math.factorial(i) for i in range(40)]


@pytest.mark.parametrize("workers", [0, 2])
def test_no_items_no_results(workers):
    assert list(map_ahead(math.sqrt, [], workers)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_at_its_place(workers):
    results = map_ahead(math.sqrt, [4, 9, -1, 16], workers)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(results)


def test_the_work_is_done_in_other_processes():
    pids = set(map_ahead(eval, ["__import__('os').getpid()"] * 8, 1))
    assert len(pids) == 1
    assert os.getpid() not in pids
    assert set(map_ahead(eval, ["__import__('os').getpid()"], 0)) == {os.getpid()}


def test_items_are_asked_for_only_a_little_ahead():
    asked = []

    def items():
        for i in range(100):
            asked.append(i)
            yield i

    results = map_ahead(math.sqrt, items(), 1)
    assert next(results) == 0
    assert len(asked) == 4
    results.close()
    assert len(asked) == 4


def test_classes_of_the_users_own_file_reach_the_workers(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Add:\n    def __init__(self, n): self.n = n\n    def __call__(self, item): return item + self.n\n"
    )
    from crossfake.benchmark.core.registry import import_target

    add = import_target(f"{path}:Add")(5)
    assert list(map_ahead(add, [1, 2], 1, f"{path}:Add")) == [6, 7] == list(map_ahead(add, [1, 2], 0))


def test_a_worker_that_dies_is_told_in_one_line():
    with pytest.raises(BenchError, match=r"a worker process ended too soon: .* with fewer --workers") as error:
        list(map_ahead(os._exit, [1], 1))
    assert "\n" not in str(error.value)


def test_workers_end_when_their_parent_is_killed():
    code = """
import os, sys
from crossfake.benchmark.core.workers import map_ahead
for pid in map_ahead(eval, ["__import__('os').getpid()"], 1):
    print(pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    # The worker writes to the same pipe, so that reading it doesn't end before the worker has.
    parent = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, timeout=60)
    assert parent.returncode == -9
    assert parent.stdout.strip().isdigit()


def test_there_is_a_core_to_use():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
