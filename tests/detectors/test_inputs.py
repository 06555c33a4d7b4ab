"""Detectors in both backends take uint8 RGB crops of their size or normalised input; others give a one-line error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create

SMALL = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [4, 8, 8, 8], "stem_width": 8}}
CASES: dict[str, dict[str, Any]] = {
    "caddm": {**SMALL, "input_size": 112},
    "meso4": {"input_size": 64},
    "resnet34": {"input_size": 64, "arch_args": {"channels": (4, 4, 8, 8)}},
    "pgfdd": {**SMALL, "input_size": 64, "width": 16},
}


@pytest.fixture(scope="module", params=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    for package in {"torch": ("torch", "timm"), "jax": ("jax", "flax", "optax")}[request.param]:
        pytest.importorskip(package)
    return request.param


QUICK = ("caddm", "meso4")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CASES]
)
def detector(request: pytest.FixtureRequest, backend: str) -> Any:
    return create(request.param, backend=backend, **CASES[request.param])


def crops(size: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda f: f / 255, r"got float64 \(3, \d+, \d+, 3\) of 0 to 1\."),
        (lambda f: f.astype(np.float32), r"got float32 .* of 0 to 255\."),
        (lambda f: f.astype(np.int64), r"got int64 .* of 0 to 255\."),
        (lambda f: f.transpose(0, 3, 1, 2), r"got uint8 \(3, 3, \d+, \d+\)"),
        (lambda f: f[..., :1], r"got uint8 \(3, \d+, \d+, 1\)"),
        (lambda f: f[0], r"got uint8 \(\d+, \d+, 3\)"),
        (lambda f: f[:, :9, :9], r"got uint8 \(3, 9, 9, 3\)"),
        (lambda f: f[:0, 0], r"got uint8 \(0, \d+, 3\)\."),
    ],
)
def test_frames_that_are_not_crops_are_a_one_line_error(detector, change, got):
    frames = change(crops(detector.input_size))
    for method in (detector.score, detector.outputs_of):
        with pytest.raises(BenchError, match=got) as raised:
            method(frames)
        assert "\n" not in str(raised.value)
        assert "detector.crop(face) makes them" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda x: x.transpose(0, 2, 3, 1), r"got float32 \(3, \d+, \d+, 3\)"),
        (lambda x: (128 * x + 128).astype(np.uint8), r"got uint8 \(3, 3, \d+, \d+\)"),
        (lambda x: x[:, :, :9, :9], r"got float32 \(3, 3, 9, 9\)"),
        (lambda x: x[0], r"got float32 \(3, \d+, \d+\)"),
    ],
)
def test_invalid_input_is_a_one_line_error(detector, change, got):
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 3, detector.input_size, detector.input_size))
    with pytest.raises(BenchError, match=got) as raised:
        detector.outputs(change(x.astype(np.float32)))
    assert "\n" not in str(raised.value)
    assert "go to outputs_of(frames)" in str(raised.value)


def test_no_frames_give_no_scores(detector):
    frames = crops(detector.input_size, 0)
    assert detector.score(frames).shape == (0,)
    assert detector.score(frames).dtype == np.float32
    whole = detector.outputs_of(crops(detector.input_size))
    for none in (detector.outputs_of(frames), detector.outputs(frames.transpose(0, 3, 1, 2).astype(np.float32))):
        assert {k: (v.shape, v.dtype) for k, v in none.items()} == {
            k: ((0, *v.shape[1:]), np.float32) for k, v in whole.items()
        }


def test_double_precision_is_converted_to_single(detector):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, detector.input_size, detector.input_size))
    found, expected = detector.outputs(x), detector.outputs(x.astype(np.float32))
    assert all(np.array_equal(found[k], v) and v.dtype == np.float32 for k, v in expected.items())


@pytest.mark.parametrize("name", ["resnet34", pytest.param("pgfdd", marks=pytest.mark.slow)])
def test_some_networks_accept_any_size(backend, name):
    assert create(name, backend=backend, **CASES[name]).score(crops(96, 2)).shape == (2,)


@pytest.mark.parametrize("name", ["meso4", "caddm"])
def test_other_networks_accept_only_their_own_size(backend, name):
    message = r"uint8 \(N, (64, 64|112, 112), 3\) of 0 to 255, got uint8 \(2, 96, 96, 3\)"
    with pytest.raises(BenchError, match=message):
        create(name, backend=backend, **CASES[name]).score(crops(96, 2))


def test_transformers_accept_only_their_own_size():
    timm = pytest.importorskip("timm")
    detector = create("timm:test_vit", input_size=160)
    assert timm.get_pretrained_cfg("test_vit").fixed_input_size
    with pytest.raises(BenchError, match=r"uint8 \(N, 160, 160, 3\)"):
        detector.score(crops(96, 2))


def test_a_subclass_without_a_size_accepts_any_size():
    torch = pytest.importorskip("torch")
    from crossfake.detectors.common_torch.detector import TorchDetector

    class Mine(TorchDetector):
        def __init__(self):
            super().__init__()
            self.network = torch.nn.Linear(3, 2)

        def normalise(self, frames):
            return frames.float().permute(0, 3, 1, 2)

        def forward(self, x):
            return {"logits": self.network(x.mean((2, 3)))}

    assert Mine().score(crops(50, 2)).shape == (2,)
