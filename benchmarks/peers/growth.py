"""How cost grows with the number of videos, and with workers: `bench eval` from files to a row, in whole processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from .processes import Cost, run_bench
from .videos import copy_clips

COUNTS = (12, 48, 192)
WORKERS = (1, 2)
Found = dict[str, object]


def measure() -> Found:
    """Return processor seconds and megabytes for each number of videos by workers, and the seconds' exponents.

    The seconds of a run with the fewest possible videos are subtracted first: they are imports.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save_weights(root / "meso4.safetensors")
        start = evaluate(root, 2, 1)
        costs = {w: {n: evaluate(root, n, w) for n in COUNTS} for w in WORKERS}
    return {
        "start": start.seconds,
        "runs": {str(w): {str(n): list(cost) for n, cost in found.items()} for w, found in costs.items()},
        "exponents": {str(w): fit_exponent(found, start.seconds) for w, found in costs.items()},
    }


def fit_exponent(found: dict[int, Cost], start: float) -> float:
    """Return the slope of log seconds over log videos."""
    seconds = [max(cost.seconds - start, 1e-3) for cost in found.values()]
    return float(np.polyfit(np.log(list(found)), np.log(seconds), 1)[0])


def evaluate(root: Path, count: int, workers: int) -> Cost:
    """Find the faces of this many clips, score them, and write a row, without using earlier results."""
    data = copy_clips(root / f"{count}.{workers}", count)
    asked = f"eval {root}/meso4.safetensors --test celebdf --no-speed --workers {workers}"
    return run_bench(asked, "--data", data, "--runs", data / "runs")


def save_weights(path: Path) -> None:
    """Write a checkpoint of random weights."""
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    save(create("meso4"), path, {"detector": "meso4", "options": {}})
