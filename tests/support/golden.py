"""The weights and pictures behind the golden vectors in tests/data/field: hashes of names, and sinusoids."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FIELD = Path(__file__).resolve().parents[1] / "data" / "field"
Arrays = dict[str, np.ndarray]


def read_golden(name: str) -> Arrays:
    """Read the vectors of a detector."""
    with np.load(FIELD / f"{name}.npz") as file:
        return dict(file)


def read_norms(name: str) -> dict[str, float]:
    """Read the norms of a detector's gradients, by the reference's names."""
    with (FIELD / f"{name}_gradnorms.tsv").open() as file:
        return {row["key"]: float(row["l2"]) for row in csv.DictReader(file, delimiter="\t")}


def uniform(name: str, count: int) -> np.ndarray:
    """Return numbers in [0, 1), hashed from a name and an index in 32-bit integers, which wrap around."""
    x = np.arange(count, dtype=np.uint32)
    x *= np.uint32(2654435761)
    x += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    return (x ^ (x >> np.uint32(16))) / 2.0**32


def make_weight(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """Return the weight with this name in the reference."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    u = uniform(name, int(np.prod(shape)))
    if name.endswith("running_mean"):
        value = 0.2 * u - 0.1
    elif name.endswith("running_var") or (len(shape) < 2 and name.endswith("weight")):
        value = 0.8 + 0.4 * u
    elif len(shape) >= 2:
        value = (2 * u - 1) * gain * np.sqrt(3 / np.prod(shape[1:]))
    else:
        value = 0.1 * (2 * u - 1)
    return value.astype(np.float32).reshape(shape)


def fill(shapes: Mapping[str, Any], gain: float, constant: Iterable[str] = ()) -> Arrays:
    """Return weights for a detector's state, by name and shape; names that contain `constant` are kept."""
    return {
        name: np.asarray(value)
        if any(part in name for part in constant)
        else make_weight(name, tuple(value.shape), gain)
        for name, value in shapes.items()
    }


def load_filled(detector: Any, gain: float, constant: Iterable[str] = ()) -> Any:
    """Load these weights into a detector."""
    return detector.load(fill(detector.to_reference(detector.names()), gain, constant))


def make_input(shape: tuple[int, ...], name: str, low: float = -1, high: float = 1) -> np.ndarray:
    """Return uniform noise, float32."""
    return (low + (high - low) * uniform(name, int(np.prod(shape)))).astype(np.float32).reshape(shape)


def smooth_input(shape: tuple[int, ...], name: str, low: float = -1, high: float = 1) -> np.ndarray:
    """Return pictures (N, C, H, W) of sinusoids with a fifth of noise, float32."""
    n, c, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    waves = 0.5 * np.sin(0.11 * (n + 1) * x + 0.07 * (c + 1) * y + n) + 0.3 * np.cos(0.023 * (c + 2) * x - 0.05 * y)
    value = waves + 0.2 * (2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1)
    return (low + (high - low) * (value + 1) / 2).astype(np.float32)


def make_face(height: int, width: int, name: str) -> np.ndarray:
    """Return a smooth picture with noise, uint8 (H, W, 3)."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    waves = np.sin(2 * np.pi * (x / width) * (1 + c) + 0.7 * c) * np.cos(2 * np.pi * (y / height) * 1.5 + c)
    noise = 2 * uniform(name, height * width * 3).reshape(height, width, 3) - 1
    return np.clip(np.floor(128 + 70 * waves + 30 * noise), 0, 255).astype(np.uint8)


def assert_trains_as_released(detector: Any, batch: Arrays, name: str, loss: float, rel: float = 0.02) -> Any:
    """Run a pass in training mode without dropout, compare the loss and all gradient norms, and return all losses."""
    import torch

    for module in detector.network.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    losses = detector.losses({k: torch.as_tensor(v) for k, v in batch.items()})
    losses["loss"].backward()
    assert abs(losses["loss"].item() - loss) < 1e-4 * max(1.0, abs(loss))
    own = {k: p.grad.norm().item() for k, p in detector.network.named_parameters() if p.grad is not None}
    found, expected = detector.to_reference(own), read_norms(name)
    assert found.keys() == expected.keys()
    largest = max(expected.values())
    for key, norm in expected.items():
        assert abs(found[key] - norm) <= rel * norm + 1e-5 * largest, key
    return losses
