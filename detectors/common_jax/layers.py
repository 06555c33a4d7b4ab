"""Flax NNX layers that compute like PyTorch's, with its initialisation and names, on images (N, H, W, C).

Weights keep PyTorch's shapes, (out, in, height, width) and (out, in), so that a checkpoint needs no conversion. A layer
computes in its input's number format; batch statistics are float32, or float64 if the input is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax
from jax.typing import DTypeLike

Padding = int | str  # Pixels on each side, or "SAME": TensorFlow's padding, with the odd pixel at the right and bottom.


class Idle(nnx.Variable):
    """A weight in the checkpoint that is never used: neither trained nor decayed."""


@dataclass(frozen=True)
class Mode:
    """How a network is run.

    `present` (N,) is 1 for the rows that count and 0 for padding, which batch statistics and `mean` ignore. `rngs`
    gives dropout its keys; without them nothing is dropped. `remat` is for `run_block`.
    """

    train: bool = False
    present: Array | None = None
    rngs: nnx.Rngs | None = None
    dtype: Any = jnp.float32
    remat: bool = False

    def mean(self, values: Array) -> Array:
        """Return the mean of (N,) values over the rows that count."""
        return values.mean() if self.present is None else (values * self.present).sum() / self.present.sum()

    def where_present(self, values: Array, other: int) -> Array:
        """Return (N,) values, with `other` in rows that don't count."""
        return jnp.asarray(values) if self.present is None else jnp.where(self.present > 0, values, other)


EVALUATION = Mode()


def run_block(block: Callable[..., Array], *args: object, mode: Mode) -> Array:
    """Return `block(*args, mode)`, the result of a part of a network; `args` are its layers and its inputs.

    With `mode.remat`, only the inputs are kept for the backward pass, which runs the block again (Chen et al. 2016,
    section 4): dropout then draws the same, and running statistics have changed once.
    """
    if not mode.remat:
        return block(*args, mode)

    def run(rngs: nnx.Rngs | None, *args: object) -> Array:
        return block(*args, replace(mode, rngs=rngs))

    rerun: Callable[..., Array] = nnx.remat(run)
    return rerun(mode.rngs, *args)


Drawn = np.ndarray | jax.ShapeDtypeStruct  # Initial weights, or only their shape.


class Init:
    """Draws initial weights with NumPy, so that nothing has to be compiled; without a seed, returns only shapes."""

    def __init__(self, seed: int | None = None):
        self.rng = None if seed is None else np.random.default_rng(seed)

    def uniform(self, shape: tuple[int, ...], bound: float) -> Drawn:
        """Draw from -bound..bound."""
        if self.rng is None:
            return jax.ShapeDtypeStruct(shape, np.float32)
        return (2 * bound) * self.rng.random(shape, np.float32) - np.float32(bound)

    def normal(self, shape: tuple[int, ...], deviation: float) -> Drawn:
        """Draw from a normal distribution around 0."""
        if self.rng is None:
            return jax.ShapeDtypeStruct(shape, np.float32)
        return self.rng.standard_normal(shape, np.float32) * np.float32(deviation)

    def full(self, shape: tuple[int, ...], value: float, dtype: DTypeLike = np.float32) -> Drawn:
        """Return a constant."""
        return jax.ShapeDtypeStruct(shape, dtype) if self.rng is None else np.full(shape, value, dtype)


class Conv(nnx.Module):
    """A convolution; `groups` is 1 or, for a depthwise one, the number of channels.

    It is initialised like PyTorch's, or, with `fan_out`, like timm's networks: from a normal distribution of variance 2
    / (outputs that a weight reaches), where `fan_out` (1 or the groups) divides that number.
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        kernel: int,
        init: Init,
        *,
        stride: int = 1,
        padding: Padding = 0,
        groups: int = 1,
        dilation: int = 1,
        bias: bool = True,
        fan_out: int = 0,
        kind: type[nnx.Variable] = nnx.Param,
    ):
        shape, bound = (outer, inner // groups, kernel, kernel), 1 / math.sqrt(inner // groups * kernel**2)
        deviation = math.sqrt(2 * fan_out / (outer * kernel**2))
        self.weight = kind(init.normal(shape, deviation) if fan_out else init.uniform(shape, bound))
        start = init.full((outer,), 0) if fan_out else init.uniform((outer,), bound)
        self.bias = kind(start) if bias else None
        self.stride, self.padding, self.groups, self.dilation = stride, padding, groups, dilation

    def __call__(self, x: Array) -> Array:
        """Map (N, H, W, inner) to (N, H', W', outer)."""
        weight = self.weight[...].astype(x.dtype)
        pads = _compute_pads(x.shape[1:3], weight.shape[2:], self.stride, self.padding)
        if weight.shape[2:] == (1, 1) and self.groups == 1:
            y = x[:, :: self.stride, :: self.stride] @ weight[:, :, 0, 0].T  # Twice as fast as a convolution on CPU.
        elif self.groups > 1:
            y = _convolve_depthwise(x, weight, self.stride, pads)
        else:
            y = _convolve(x, weight, self.stride, pads, dilation=self.dilation)
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


def _compute_pads(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        return list(lax.padtype_to_pads(sizes, kernel, (stride, stride), padding))
    return [(padding, padding)] * 2


def _convolve(
    x: Array, weight: Array, stride: int, pads: list[tuple[int, int]], groups: int = 1, dilation: int = 1
) -> Array:
    return lax.conv_general_dilated(
        x,
        weight,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
        feature_group_count=groups,
    )


def _convolve_depthwise(x: Array, weight: Array, stride: int, pads: list[tuple[int, int]]) -> Array:
    """Convolve each channel separately; on CPU as a sum of shifted images, since XLA's own is many times slower."""
    return lax.platform_dependent(
        x,
        weight,
        cpu=lambda x, w: _sum_shifted(x, w, stride, pads),
        default=lambda x, w: _convolve(x, w, stride, pads, groups=x.shape[3]),
    )


def _sum_shifted(x: Array, weight: Array, stride: int, pads: list[tuple[int, int]]) -> Array:
    parts = slide_windows(x, weight.shape[2], stride, pads, 0.0)
    return reduce(jnp.add, (part * weight[:, 0, i, j] for (i, j), part in parts.items()))


def slide_windows(
    x: Array, size: int, stride: int, pads: list[tuple[int, int]], fill: float
) -> dict[tuple[int, int], Array]:
    """Return, for each position (i, j) in a sliding window, the values there in all windows: (N, H', W', C)."""
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    height, width = ((n - size) // stride + 1 for n in x.shape[1:3])
    return {
        (i, j): x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(size)
        for j in range(size)
    }


def max_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    """Max-pool (N, H, W, C); on CPU via shifted images, whose gradient is faster there."""
    pads = [(padding, padding)] * 2
    window = (1, size, size, 1), (1, stride, stride, 1), [(0, 0), *pads, (0, 0)]
    return lax.platform_dependent(
        x,
        cpu=lambda x: reduce(_take_larger, slide_windows(x, size, stride, pads, -jnp.inf).values()),
        default=lambda x: lax.reduce_window(x, -jnp.inf, lax.max, *window),
    )


def _take_larger(a: Array, b: Array) -> Array:
    """Return the larger; `jnp.maximum`'s gradient tests for equality with the result, which may fail when compiled."""
    return jnp.where(b > a, b, a)


def avg_pool(x: Array, size: int) -> Array:
    """Average windows of `size` pixels; those beyond the right and bottom edges over the pixels they contain."""
    window = (1, size, size, 1)
    total = lax.reduce_window(x, 0.0, lax.add, window, window, "SAME")
    ones = np.ones((1, *x.shape[1:3], 1), np.float32)
    return total / lax.reduce_window(ones, 0.0, lax.add, window, window, "SAME").astype(x.dtype)


class BatchNorm(nnx.Module):
    """Batch normalisation over all but the last axis, with PyTorch's momentum and its unbiased running variance."""

    def __init__(self, channels: int, init: Init, *, eps: float = 1e-5, momentum: float = 0.1, scale: float = 1.0):
        self.weight, self.bias = nnx.Param(init.full((channels,), scale)), nnx.Param(init.full((channels,), 0))
        self.running_mean = nnx.BatchStat(init.full((channels,), 0))
        self.running_var = nnx.BatchStat(init.full((channels,), 1))
        self.num_batches_tracked = nnx.BatchStat(init.full((), 0, np.int32))
        self.eps, self.momentum = eps, momentum

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Normalise (N, ..., C) by the batch (in training, updating the running statistics) or by those statistics."""
        mean, var = (
            self._compute_batch_statistics(x, mode) if mode.train else (self.running_mean[...], self.running_var[...])
        )
        scale = self.weight[...] * lax.rsqrt(var + self.eps)
        return (to_full_precision(x) * scale + (self.bias[...] - mean * scale)).astype(x.dtype)

    def _compute_batch_statistics(self, x: Array, mode: Mode) -> tuple[Array, Array]:
        x, axes = to_full_precision(x), tuple(range(x.ndim - 1))
        present = jnp.ones(len(x)) if mode.present is None else mode.present
        share = present.reshape(-1, *[1] * (x.ndim - 1))
        count = present.sum() * math.prod(x.shape[1:-1])
        mean = (x * share).sum(axes) / count
        var = (jnp.square(x - mean) * share).sum(axes) / count
        for running, value in ((self.running_mean, mean), (self.running_var, var * count / jnp.maximum(count - 1, 1))):
            # Not with `+=`, which searches for each value's origin: that took most of the time to trace a network.
            running.set_value(running[...] + self.momentum * (lax.stop_gradient(value) - running[...]))
        self.num_batches_tracked.set_value(self.num_batches_tracked[...] + 1)
        return mean, var


def to_full_precision(x: Array) -> Array:
    """Convert bfloat16 and float16 to float32; keep float64, in which tests compare ports."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Linear(nnx.Module):
    """A linear layer, initialised like PyTorch's, or with zero bias and weights from -bound..bound."""

    def __init__(self, inner: int, outer: int, init: Init, *, bound: float = 0, kind: type[nnx.Variable] = nnx.Param):
        self.weight = kind(init.uniform((outer, inner), bound or 1 / math.sqrt(inner)))
        self.bias = kind(init.uniform((outer,), 0 if bound else 1 / math.sqrt(inner)))

    def __call__(self, x: Array) -> Array:
        """Map (N, inner) to (N, outer)."""
        return x @ self.weight[...].astype(x.dtype).T + self.bias[...].astype(x.dtype)


def dropout(x: Array, rate: float, mode: Mode, shape: tuple[int, ...] | None = None) -> Array:
    """Zero a share of the values in training and scale up the rest; `shape` is the draw's if not one per value."""
    if not (mode.train and rate and mode.rngs):
        return x
    kept = jax.random.bernoulli(mode.rngs.dropout(), 1 - rate, shape or x.shape)
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


def drop_path(x: Array, rate: float, mode: Mode) -> Array:
    """Zero whole examples of a residual branch (N, H, W, C) in training and scale up the rest."""
    return dropout(x, rate, mode, (len(x), 1, 1, 1))
