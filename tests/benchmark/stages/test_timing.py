"""Timing with a clock that the tests control, so that every result is known."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from crossfake.benchmark.stages import timing

CROP = np.zeros((2, 2, 3), np.uint8)


class Clock:
    """Time passes only while a batch is scored: `cost(batch)` seconds."""

    def __init__(self, cost):
        self.now, self.cost, self.sizes = 0.0, cost, []

    def __call__(self):
        return self.now

    def score(self, frames):
        self.sizes.append(len(frames))
        self.now += self.cost(len(frames))


def test_calls_run_for_a_set_time_within_a_minimum_and_maximum_count():
    clock = Clock(lambda n: 0.5)
    count = lambda *asked: len(timing.time_calls(lambda: clock.score(CROP), *asked, clock=clock))  # noqa: E731
    assert (count(3, 0.0), count(3, 5.0), count(3, 5.0, 4)) == (3, 10, 4)


def test_latency_is_given_in_percentiles_and_the_99th_needs_a_hundred_runs():
    taken = [i / 1000 for i in range(1, 102)]
    found = timing.summarise_latency(taken)
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.runs) == pytest.approx((51, 96, 100, 101))
    assert timing.summarise_latency(taken[:99]).p99_ms is None


def test_a_rate_is_the_median_runs_and_its_spread_the_middle_half():
    found = timing.summarise_rate([1.0, 2.0, 4.0, 5.0, 10.0], each=20)
    assert (found.value, found.lo, found.hi, found.runs) == (5.0, 4.0, 10.0, 5)


def test_batches_grow_until_two_in_a_row_gain_nothing():
    clock = Clock(lambda n: 1.0 + n / 4 if n <= 8 else n / 2)  # 0.8, 1.3, 2, 2.7, and then 2 images per second.
    found = list(timing.time_batches(clock.score, CROP, 1e9, 0.0, clock=clock))
    assert [rate.batch for rate in found] == [1, 2, 4, 8, 16, 32]
    best = max(found, key=lambda rate: rate.value)
    assert (best.batch, best.value, best.runs) == (8, pytest.approx(8 / 3), timing.LEAST_RUNS)
    assert clock.sizes.count(16) == timing.LEAST_RUNS + 1  # One of them warms up.


def test_batches_end_before_the_deadline_but_there_is_always_one():
    clock = Clock(lambda n: 1.0)  # A batch twice as large costs the same: it would continue up to 512.
    found = list(timing.time_batches(clock.score, CROP, 20.0, 0.0, clock=clock))
    assert [rate.batch for rate in found] == [1, 2]
    assert clock.now <= 20
    assert len(list(timing.time_batches(clock.score, CROP, 0.0, 0.0, clock=clock))) == 1
    assert [r.batch for r in timing.time_batches(clock.score, CROP, 0.0, 0.0, (64,), clock=clock)] == [64]


def test_a_batch_too_large_for_memory_ends_the_search_without_an_error():
    def cost(n):
        if n > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return 1.0

    clock = Clock(cost)
    found = list(timing.time_batches(clock.score, CROP, 1e9, 0.0, clock=clock))
    assert [rate.batch for rate in found] == [1, 2, 4]
    with pytest.raises(RuntimeError, match="out of memory"):
        list(timing.time_batches(clock.score, CROP, 1e9, 0.0, (8,), clock=clock))


def test_no_picture_is_shown_twice_since_some_detectors_remember():
    seen: list[bytes] = []
    score = timing.ShowNewPictures(lambda frames: seen.extend(frame.tobytes() for frame in frames))
    same = np.zeros((300, 2, 2, 3), np.uint8)
    for frames in (same, same, CROP[None].copy()):
        score(frames)
    assert len(seen) == len(set(seen)) == 601


def test_other_errors_of_a_batch_are_not_hidden():
    def fail(frames):
        if len(frames) > 1:
            raise RuntimeError("sizes differ")

    with pytest.raises(RuntimeError, match="sizes differ"):
        list(timing.time_batches(fail, CROP, 1e9, 0.0))


def test_the_load_of_others_excludes_this_process():
    if not os.path.exists("/proc/stat"):
        pytest.skip("only Linux tells")
    meter = timing.LoadMeter()
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    found = meter.read()
    wall = time.perf_counter() - meter.started
    assert found.others * wall >= 0.2  # Ticks of the clock are 10 ms long.
    assert found.own < found.others
    assert found.cores >= 1


def test_peak_memory_counts_what_was_freed_meanwhile():
    if timing.read_rss() is None:
        pytest.skip("only Linux tells")
    timing.reset_peak()
    before = timing.read_peak()
    with mmap.mmap(-1, 64 * 2**20) as much:  # Fresh pages, since freed memory may be reused.
        much.write(bytes(b"1" * len(much)))
    assert timing.read_peak() - before > 60 * 2**20
    assert timing.read_rss() < timing.read_peak()
