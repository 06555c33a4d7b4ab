"""How long calls take, how fast batches of each size are, and what else the machine was doing meanwhile."""

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
"""Of each batch size."""
GAIN = 1.03
"""What a larger batch must gain, or two in a row end the search."""
FOR_P99 = 100
"""Runs that a 99th percentile needs."""
Clock = Callable[[], float]


class Effort(NamedTuple):
    """How long to measure one detector: `seconds` in all, and at least so many runs of a single image."""

    seconds: float
    latency_runs: int


FULL, SHORT = Effort(60.0, FOR_P99), Effort(20.0, 20)
"""What `bench speed` takes, and `bench run` at its end; a detector that is quick is done sooner."""


def time_calls(
    call: Callable[[], object], least: int, seconds: float, most: int | None = None, clock: Clock = time.perf_counter
) -> list[float]:
    """Return the seconds of each call: of `least`, and of as many more as begin within `seconds`, `most` in all."""
    taken: list[float] = []
    started = now = clock()
    while len(taken) < least or (now - started < seconds and (most is None or len(taken) < most)):
        call()
        before, now = now, clock()
        taken.append(now - before)
    return taken


class ShowNewPictures:
    """Scores pictures (N, H, W, 3) uint8, none of them twice: a running number is written into their first bytes.

    Some detectors remember what they computed of a picture, and would be timed at remembering.
    """

    def __init__(self, score: Callable[[np.ndarray], object]) -> None:
        self.score, self.shown = score, 0

    def __call__(self, frames: np.ndarray) -> object:
        """Number the pictures in place, and score them."""
        numbers = np.arange(self.shown, self.shown + len(frames), dtype="<u4")
        frames.reshape(len(frames), -1)[:, :4] = numbers.view(np.uint8).reshape(-1, 4)
        self.shown += len(frames)
        return self.score(frames)


def summarise_latency(taken: list[float]) -> Latency:
    """Return the percentiles of how long single images took, in seconds."""
    p50, p95, p99 = (float(q) * 1000 for q in np.percentile(taken, (50, 95, 99)))
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99 if len(taken) >= FOR_P99 else None, runs=len(taken))


def summarise_rate(taken: list[float], each: int = 1) -> Rate:
    """Return how many a second, where each run of so many seconds did `each`."""
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
    """Time batches of copies of a crop (H, W, 3), each larger than the one before.

    It ends where two in a row gain nothing, where the next would pass the `deadline` of the clock, or where there
    is no memory for it. Each size is called once before it is timed, and then for `seconds`, or LEAST_RUNS times.
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
    """Counts the processor time of this process, and of the whole machine, since it was made."""

    def __init__(self) -> None:
        self.started, self.own, self.machine = time.perf_counter(), time.process_time(), _machine_seconds()

    def read(self) -> Load:
        """Return the cores in use since then; `others` is None where the system doesn't tell."""
        wall = time.perf_counter() - self.started
        own, machine = time.process_time() - self.own, _machine_seconds()
        others = None
        if machine is not None and self.machine is not None:
            others = max(0.0, machine - self.machine - own) / wall
        return Load(own=own / wall, others=others, cores=available_cores())


def _machine_seconds() -> float | None:
    """Return the seconds that all processors were at work since the start, by any process; None where unknown."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def reset_peak() -> None:
    """Let the process's memory at its highest be counted from now on, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # Not this system, or not allowed: the highest is then since the process began.
        return


def read_peak() -> int | None:
    """Return the bytes of memory that this process had at its highest; None where unknown."""
    return _read_status("VmHWM")


def read_rss() -> int | None:
    """Return the bytes of memory that this process has now; None where unknown."""
    return _read_status("VmRSS")


def _read_status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
