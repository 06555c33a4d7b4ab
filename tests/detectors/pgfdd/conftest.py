"""Golden vectors of the released code (tests/data/fairness), and the weights and images behind them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import uniform

DATA = Path(__file__).resolve().parents[2] / "data" / "fairness"


def _read(name: str) -> Any:
    path = DATA / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".tsv":
        return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    return _read


@pytest.fixture(scope="session")
def signed() -> Callable[[str, tuple[int, ...], float], np.ndarray]:
    """Float32 numbers from -scale to scale, hashed from a name and an index."""

    def make(name: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
        return np.float32((2 * uniform(name, int(np.prod(shape))) - 1) * scale).reshape(shape)

    return make


@pytest.fixture(scope="session")
def losses() -> Any:
    """The released code's losses and gradients."""
    return _read("losses.json")


def _weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    r = 2 * uniform(key, int(np.prod(shape))) - 1
    if len(shape) >= 2:
        r *= np.sqrt(3 / np.prod(shape[1:]))
    elif key.endswith(("running_var", ".weight")):
        r = 1 + 0.1 * r
    else:
        r *= 0.05
    return r.astype(np.float32).reshape(shape)


@pytest.fixture(scope="session")
def filled() -> Callable[[Mapping[str, Any]], dict[str, np.ndarray]]:
    """Weights for the names and shapes of a state."""
    return lambda state: {k: _weight(k, tuple(v.shape)) for k, v in state.items()}


@pytest.fixture(scope="session")
def image() -> Callable[[int, int], np.ndarray]:
    def make(count: int, side: int) -> np.ndarray:
        b, c, y, x = np.ogrid[:count, :3, :side, :side]
        waves = np.sin((0.05 * (b + 1) * x + 0.03 * (c + 1) * y) * 256 / side + b)
        noise = 2 * uniform("image", count * 3 * side * side).reshape(count, 3, side, side) - 1
        return (0.8 * waves + 0.2 * noise).astype(np.float32)

    return make
