"""What the processor can do at best, and how much of that each detector gets: one thread, processor seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from crossfake.benchmark.stages.cost import count_flops
from crossfake.benchmark.stages.timing import ShowNewPictures
from crossfake.detectors import create
from crossfake.detectors.runtimes import Way, list_ways, use_way

SIZE = 2048
BATCH = 4
DETECTORS: dict[str, dict[str, object]] = {
    "meso4": {},
    "xception": {},
    "caddm": {"backbone": "resnet34"},
    "efficientnet-b4": {},
    "pgfdd": {},
    "clip-probe": {},
}
WAYS = {
    "fp32": [Way("torch", "fp32"), Way("onnxruntime", "fp32"), Way("openvino", "fp32")],
    "bf16": [Way("torch", "bf16"), Way("openvino", "bf16")],
}
Found = dict[str, object]


def measure() -> Found:
    """Return the peaks in GFLOP a second, and of each detector its cost and speed by each way."""
    peaks = {"fp32": measure_peak(torch.float32), "bf16": measure_peak(torch.bfloat16)}
    return {"peaks": peaks, "detectors": {name: measure_detector(name) for name in DETECTORS}}


def measure_peak(dtype: torch.dtype) -> float:
    """Return the GFLOP a second of the best of many large matrix products."""
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / time_best(lambda: a @ b, 20) / 1e9


def measure_detector(name: str) -> Found:
    """Return GFLOP an image, and images a second by each way that can be had."""
    detector: Any = create(name, **DETECTORS[name])
    size = detector.input_size
    frames = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
    obstacles = list_ways(detector)
    found: dict[str, float] = {}
    score = ShowNewPictures(lambda batch: detector.score(batch))  # What is remembered of a picture counts for nothing.
    for way in [way for ways in WAYS.values() for way in ways if obstacles.get(way) == ""]:
        use_way(detector, way)
        found[str(way)] = len(frames) / time_best(lambda: score(frames), 3)
    use_way(detector, Way("torch", "fp32"))
    return {"size": size, "gflop": (count_flops(detector, frames[0]) or 0) / 1e9, "images": found}


def time_best(run: Callable[[], object], rounds: int) -> float:
    """Return the processor seconds of the quickest round, after one that isn't counted."""
    taken = []
    for _ in range(rounds + 1):
        before = time.process_time()
        run()
        taken.append(time.process_time() - before)
    return min(taken[1:])
