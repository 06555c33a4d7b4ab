"""Every runtime and precision compared with the released code's way, in processor seconds: one table per network.

    OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n0 -s benchmarks/test_runtimes.py

The released code's way is the plain network: eager, contiguous float32 maps, separate batch norms, and for PG-FDD all
three encoders. Weights are random, but batch norms have the images' statistics, so that scores vary.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from crossfake.detectors import create
from crossfake.detectors.runtimes import Way, list_ways
from peers.scoring import score_as_released, start
from tabulate import tabulate

torch = pytest.importorskip("torch")

CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "caddm resnet34": ("caddm", {"backbone": "resnet34"}, 8),
    "caddm efficientnet-b4": ("caddm", {"backbone": "efficientnet-b4"}, 8),
    "pgfdd": ("pgfdd", {}, 8),
}
ROUNDS = 5
LEFT_OUT = ("compile",)  # Its start takes minutes; see docs/performance.md.
LIMITS = {"fp32": 1e-4}  # Of score differences; runs check other precisions, on trained weights.


@pytest.mark.parametrize("case", CASES)
def test_scoring(case: str) -> None:
    torch.set_num_threads(1)
    name, options, batch = CASES[case]
    plain = create(name, **options)
    size = plain.input_size
    frames = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    take_statistics(plain, frames)
    ways = list_ways(plain)
    own = {way: start(plain, way, frames) for way in ways if is_tried(way, ways)}
    runs: dict[str, Callable[[], np.ndarray]] = {"the released code's way": lambda: score_as_released(plain, frames)}
    runs |= {str(way): lambda made=made: made.score(frames) for way, made in own.items()}
    seconds, scores = measure(runs)
    expected = scores["the released code's way"]
    rows = [describe(label, seconds, expected, scores[label], batch) for label in runs]
    for row, made in zip(rows[1:], own.values(), strict=True):
        row["start, s"] = made.compile_seconds
    print(f"\n{case}, {size} px, batches of {batch}, {ROUNDS} rounds\n")
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g"))
    print("\n".join(f"{way}: {why}" for way, why in ways.items() if why and way.precision != "int8"))
    for way in own:
        assert np.abs(scores[str(way)] - expected).max() < LIMITS.get(way.precision, 1)


def is_tried(way: Way, ways: dict[Way, str]) -> bool:
    return not ways[way] and way.runtime not in LEFT_OUT


def take_statistics(detector: Any, frames: np.ndarray) -> None:
    """Give batch norms the statistics of some images."""
    x = detector.normalise(torch.from_numpy(frames[:4]))
    for module in detector.network.modules():
        if hasattr(module, "running_mean"):
            module.momentum = None  # The mean of all batches, of which this is the only one.
            module.reset_running_stats()
    with torch.no_grad():
        detector.network.train()
        detector.network(x)
        detector.network.eval()


def measure(runs: dict[str, Callable[[], np.ndarray]]) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Run each in turn, a few rounds after one that isn't counted; return processor seconds and results."""
    scores = {label: run() for label, run in runs.items()}
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(ROUNDS):
        for label, run in runs.items():
            before = time.process_time()
            run()
            seconds[label].append(time.process_time() - before)
    return seconds, scores


def describe(
    label: str, seconds: dict[str, list[float]], expected: np.ndarray, scores: np.ndarray, batch: int
) -> dict[str, object]:
    ratios = np.divide(seconds["the released code's way"], seconds[label])
    return {
        "way": label,
        "ms an image": 1000 * float(np.median(seconds[label])) / batch,
        "ratio": float(np.median(ratios)),
        "from": float(ratios.min()),
        "to": float(ratios.max()),
        "largest difference": float(np.abs(scores - expected).max()),
    }
