"""PyTorch and JAX side by side: scoring and a training step for each detector, without compiling, in float32.

FLOPs and bytes of the compiled JAX programs go into `extra_info`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create

pytest.importorskip("torch")
pytest.importorskip("flax")

DEMO = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [16, 32, 64, 128], "stem_width": 16}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "meso4 96": ("meso4", {"input_size": 96}),
    "caddm demo 112": ("caddm", {**DEMO, "input_size": 112, "scale_input": True}),
    "resnet34 96": ("resnet34", {"input_size": 96}),
    "xception 96": ("xception", {"input_size": 96}),
    "efficientnet-b4 96": ("efficientnet-b4", {"input_size": 96}),
    "caddm resnet34 224": ("caddm", {"backbone": "resnet34"}),
    "pgfdd demo 96": ("pgfdd", {**DEMO, "width": 64, "input_size": 96, "checkpointing": False}),
}
BATCH = 16


def batch_for(detector: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    size = detector.input_size
    conf = np.zeros((BATCH, 168), np.int64)
    conf[BATCH // 2 :, -2:] = 1
    return {
        "image": rng.integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8),
        "label": np.arange(BATCH) * 2 // BATCH,
        "loc_targets": np.zeros((BATCH, 168, 4), np.float32),
        "conf_targets": conf,
        "label_spe": np.arange(BATCH) * 2 // BATCH,
        "intersec_label": np.arange(BATCH) % 8,
    }


@pytest.fixture(params=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=CASES)
def detector(request: pytest.FixtureRequest, backend: str) -> Any:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    name, options = CASES[request.param]
    return create(name, backend=backend, **options)


def test_scoring(benchmark: Any, detector: Any, request: pytest.FixtureRequest, backend: str) -> None:
    case = request.node.callspec.params["detector"]
    benchmark.group = f"score {BATCH} images: {case}"
    frames = batch_for(detector)["image"]
    benchmark.pedantic(detector.score, [frames], rounds=5, warmup_rounds=1)
    benchmark.extra_info["images_per_s"] = BATCH / benchmark.stats.stats.min
    if backend == "jax":
        benchmark.extra_info |= {"compile_s": detector.compile_seconds, **cost(detector.compile_scoring(frames.shape))}


def test_training(benchmark: Any, detector: Any, request: pytest.FixtureRequest, backend: str) -> None:
    case = request.node.callspec.params["detector"]
    benchmark.group = f"training step of {BATCH}: {case}"
    session = detector.training(TrainSettings(batch_size=BATCH, balance=True, threads=1), 100, 100)
    batch = batch_for(detector)
    if backend == "jax":
        benchmark.extra_info |= cost(session.update.lower(*session.make_step_arguments(batch)).compile())
    benchmark.pedantic(session.step, [batch], rounds=3, warmup_rounds=1)
    benchmark.extra_info["steps_per_s"] = 1 / benchmark.stats.stats.min


def cost(compiled: Any) -> dict[str, float]:
    found = compiled.cost_analysis()
    return {"flops": found["flops"], "bytes": found["bytes accessed"]}
