"""Golden vectors of the released code (tests/data/caddm), and helpers for comparing with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.types import Face
from golden import uniform

DATA = Path(__file__).resolve().parents[2] / "data" / "caddm"
Arrays = dict[str, np.ndarray]


class Replay:
    """The draws of numpy's legacy generator with the method names of the new one."""

    def __init__(self, seed: int):
        self.legacy = np.random.RandomState(seed)
        self.random = self.legacy.random_sample
        self.uniform = self.legacy.uniform
        self.integers = self.legacy.randint

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:
        drawn = self.legacy.standard_normal(size)
        return drawn if size is None else drawn.astype(dtype)


def _read(name: str) -> Arrays:
    """Read a golden file; images (BGR) are kept as PNG in it."""
    with np.load(DATA / name) as file:
        arrays = dict(file)
    return {
        k.removesuffix(".png"): cv2.imdecode(v, cv2.IMREAD_COLOR) if k.endswith(".png") else v
        for k, v in arrays.items()
    }


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Arrays]:
    return _read


@pytest.fixture
def assert_golden(make_input: Callable[..., np.ndarray]) -> Callable[..., None]:
    """Compare a port's outputs with the released code's for the same weights."""

    def check(detector: Any, expected: Arrays, atol: float) -> None:
        out = detector.outputs(make_input((2, 3, 224, 224)))
        np.testing.assert_allclose(out["features"][:, :8], expected["feat_slice"], atol=atol)
        named = {"global_features": "global_feat", "adm_features": "adm_final", "loc": "loc", "conf": "conf"}
        for ours, theirs in {**named, "logits": "logits"}.items():
            np.testing.assert_allclose(out[ours], expected[theirs], atol=atol, err_msg=ours)

    return check


@pytest.fixture(scope="session")
def preprocessing() -> Arrays:
    return _read("preprocessing.npz")


@pytest.fixture(scope="session")
def replay() -> type[Replay]:
    return Replay


@pytest.fixture
def make_face(preprocessing: Arrays) -> Callable[..., Face]:
    """Cut a context crop (RGB) from the golden `fake` or `source` frame; by default, the whole frame."""

    def make(name: str, x0: int = 0, y0: int = 0, x1: int = 320, y1: int = 240) -> Face:
        crop = np.ascontiguousarray(preprocessing[name][y0:y1, x0:x1, ::-1])
        landmarks = (preprocessing["landmarks"] - [x0, y0]).astype(np.float32)
        box = np.concatenate([landmarks.min(0), landmarks.max(0)])
        return Face(crop, landmarks, box, 0, (x0, y0), (320, 240))

    return make


def _weight(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    u = uniform(key, int(np.prod(shape)))
    if len(shape) >= 2:
        value = (2 * u - 1) * gain * np.sqrt(3 / np.prod(shape[1:]))
    elif key.endswith("running_mean"):
        value = 0.2 * u - 0.1
    elif key.endswith(("running_var", "weight")):
        value = 0.8 + 0.4 * u
    else:
        value = 0.1 * (2 * u - 1)
    return value.astype(np.float32).reshape(shape)


@pytest.fixture(scope="session")
def weight() -> Callable[[str, tuple[int, ...], float], np.ndarray]:
    return _weight


@pytest.fixture(scope="session")
def make_input() -> Callable[..., np.ndarray]:
    def make(shape: tuple[int, ...], key: str = "input", low: float = -1, high: float = 1) -> np.ndarray:
        return (low + (high - low) * uniform(key, int(np.prod(shape)))).astype(np.float32).reshape(shape)

    return make
