"""How long calls take, how fast batches of each size are, and what else the machine does meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.speeds import BatchRate, Latency, Load, Rate
from ..core.workers import available_cores
from .out_of_memory import is_out_of_memory

BATCHES = tuple(2**i for i in range(10))
"""1 to 512."""
LEAST_RUNS = 5
"""For each batch size."""
GAIN = 1.03
"""The least gain from a larger batch; two sizes in a row without it end the search."""
FOR_P99 = 100
"""Runs needed for a 99th percentile."""
Clock = Callable[[], float]


class Effort(NamedTuple):
    """How long to measure one detector: `seconds` in all, and at least this many runs of a single image."""

    seconds: float
    latency_runs: int


FULL, SHORT = Effort(60.0, FOR_P99), Effort(20.0, 20)
"""The efforts of `bench speed` and of `bench run` at its end; fast detectors finish sooner."""


def time_calls(
    call: Callable[[], object], least: int, seconds: float, most: int | None = None, clock: Clock = time.perf_counter
) -> list[float]:
    """Return the seconds of each call: `least` calls, and more that start within `seconds`, at most `most`."""
    taken: list[float] = []
    started = now = clock()
    while len(taken) < least or (now - started < seconds and (most is None or len(taken) < most)):
        call()
        before, now = now, clock()
        taken.append(now - before)
    return taken


class ShowNewPictures:
    """Scores images (N, H, W, 3) uint8, none of them twice: a running number is written into their first bytes.

    Some detectors cache results per image, and the cache would be timed instead.
    """

    def __init__(self, score: Callable[[np.ndarray], object]) -> None:
        self.score, self.shown = score, 0

    def __call__(self, frames: np.ndarray) -> object:
        """Number the images in place, and score them."""
        numbers = np.arange(self.shown, self.shown + len(frames), dtype="<u4")
        frames.reshape(len(frames), -1)[:, :4] = numbers.view(np.uint8).reshape(-1, 4)
        self.shown += len(frames)
        return self.score(frames)


def summarise_latency(taken: list[float]) -> Latency:
    """Return the percentiles of single images' durations, in seconds."""
    p50, p95, p99 = (float(q) * 1000 for q in np.percentile(taken, (50, 95, 99)))
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99 if len(taken) >= FOR_P99 else None, runs=len(taken))


def summarise_rate(taken: list[float], each: int = 1) -> Rate:
    """Return the rate per second, given runs' durations and `each` items per run."""
    slow, middle, fast = (each / float(q) for q in np.percentile(taken, (75, 50, 25)))
    return Rate(value=middle, lo=slow, hi=fast, runs=len(taken))


def time_batches(
    score: Callable[[np.ndarray], object],
    crop: np.ndarray,
    deadline: float,
    seconds: float,
    sizes: Iterable[int] = BATCHES,
    clock: Clock = time.perf_counter,
) -> Iterator[BatchRate]:
    """Time batches of copies of a crop (H, W, 3), each larger than the previous one.

    Stops when two in a row gain nothing, when the next would pass the clock's `deadline`, or when memory runs out. Each
    size is called once before timing, then for `seconds`, or LEAST_RUNS times.
    """
    best, idle, last, warming = 0.0, 0, 0.0, 0.0
    for size in sizes:
        started = clock()
        if best and started + warming + 2 * last * LEAST_RUNS > deadline:
            return
        frames = np.repeat(crop[None], size, axis=0)
        try:
            score(frames)
            warm, own = clock(), time.process_time()
            taken = time_calls(partial(score, frames), LEAST_RUNS, seconds, clock=clock)
            own = time.process_time() - own
            warming, last = warm - started, (clock() - warm) / len(taken)
        except (MemoryError, RuntimeError) as error:
            if not best or not is_out_of_memory(error):
                raise
            return
        rate = summarise_rate(taken, size)
        per_core = size * len(taken) / own if own else None
        yield BatchRate(value=rate.value, lo=rate.lo, hi=rate.hi, runs=rate.runs, batch=size, per_core_s=per_core)
        idle = 0 if rate.value > best * GAIN else idle + 1
        best = max(best, rate.value)
        if idle == 2:
            return


class LoadMeter:
    """Counts the processor time of this process and of the whole machine since its creation."""

    def __init__(self) -> None:
        self.started, self.own, self.machine = time.perf_counter(), time.process_time(), _machine_seconds()

    def read(self) -> Load:
        """Return the cores in use since then; `others` is None if the system doesn't say."""
        wall = time.perf_counter() - self.started
        own, machine = time.process_time() - self.own, _machine_seconds()
        others = None
        if machine is not None and self.machine is not None:
            others = max(0.0, machine - self.machine - own) / wall
        return Load(own=own / wall, others=others, cores=available_cores())


def _machine_seconds() -> float | None:
    """Return all processors' busy seconds since the start, for any process; None if unknown."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def reset_peak() -> None:
    """Reset the process's peak memory, if the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # Not supported or not allowed: the peak is then since the process began.
        return


def read_peak() -> int | None:
    """Return this process's peak memory in bytes; None if unknown."""
    return _read_status("VmHWM")


def read_rss() -> int | None:
    """Return this process's current memory in bytes; None if unknown."""
    return _read_status("VmRSS")


def _read_status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
