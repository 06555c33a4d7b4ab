"""Xception (timm's legacy_xception), without the classifier."""

from __future__ import annotations

from itertools import pairwise

import jax
from flax import nnx
from jax import Array

from .layers import BatchNorm, Conv, Init, Mode, max_pool, run_block

WIDTHS = (64, 128, 256, 728, 728, 728, 728, 728, 728, 728, 728, 728, 1024)  # Block 1's input, then blocks' outputs.


class Xception(nnx.Module):
    """(N, H, W, 3) to (N, H / 32, W / 32, 2048), batch norm's output: the caller applies the final ReLU."""

    width = 2048

    def __init__(self, init: Init):
        self.conv1, self.bn1 = _make_conv(3, 32, 3, init, stride=2), BatchNorm(32, init)
        self.conv2, self.bn2 = _make_conv(32, 64, 3, init), BatchNorm(64, init)
        for i, (inner, outer) in enumerate(pairwise(WIDTHS), 1):
            setattr(self, f"block{i}", Block(i, inner, outer, init))
        self.conv3, self.bn3 = Separable(1024, 1536, init), BatchNorm(1536, init)
        self.conv4, self.bn4 = Separable(1536, self.width, init), BatchNorm(self.width, init)

    def features(self, x: Array, mode: Mode) -> Array:
        """Return the last map (N, H / 32, W / 32, 2048), before any ReLU."""
        x = run_block(_run_layer, self.conv1, self.bn1, x, mode=mode)
        x = run_block(_run_layer, self.conv2, self.bn2, x, mode=mode)
        for i in range(1, len(WIDTHS)):
            x = run_block(Block.__call__, getattr(self, f"block{i}"), x, mode=mode)
        x = run_block(_run_layer, self.conv3, self.bn3, x, mode=mode)
        return self.bn4(self.conv4(x), mode)


def _run_layer(conv: Conv | Separable, norm: BatchNorm, x: Array, mode: Mode) -> Array:
    return jax.nn.relu(norm(conv(x), mode))


class Separable(nnx.Module):
    """A depthwise 3x3 and a pointwise convolution."""

    def __init__(self, inner: int, outer: int, init: Init):
        self.conv1 = _make_conv(inner, inner, 3, init, padding=1, groups=inner)
        self.pointwise = _make_conv(inner, outer, 1, init)

    def __call__(self, x: Array) -> Array:
        """Map (N, H, W, inner) to (N, H, W, outer)."""
        return self.pointwise(self.conv1(x))


class Block(nnx.Module):
    """Block `number`, counted from 1: two or three separable convolutions and a shortcut.

    Blocks 1 to 3 and 12 halve the map, and their shortcut is a 1x1 convolution. The first starts without a ReLU; the
    last widens in its second convolution, the others in the first. Layers are numbered within the whole sequence,
    including ReLUs and pooling.
    """

    def __init__(self, number: int, inner: int, outer: int, init: Init):
        self.halves = inner != outer
        widths = [inner, *[outer if number < 12 else inner] * (1 if self.halves else 2), outer]
        first = 0 if number == 1 else 1
        layers: dict[str, nnx.Module] = {}
        for i, (before, after) in enumerate(pairwise(widths)):
            layers[str(first + 3 * i)] = Separable(before, after, init)
            layers[str(first + 3 * i + 1)] = BatchNorm(after, init)
        self.rep, self.first, self.count = nnx.Dict(layers), first, len(widths) - 1
        self.skip = _make_conv(inner, outer, 1, init, stride=2) if self.halves else None
        self.skipbn = BatchNorm(outer, init) if self.halves else None

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, inner) to (N, H', W', outer), H' half of H (rounded up) or H."""
        y = x
        for i in range(self.count):
            y = jax.nn.relu(y) if i or self.first else y
            at = self.first + 3 * i
            y = self.rep[str(at + 1)](self.rep[str(at)](y), mode)
        if self.skip is None or self.skipbn is None:
            return y + x
        return max_pool(y, 3, 2, 1) + self.skipbn(self.skip(x), mode)


def _make_conv(
    inner: int, outer: int, kernel: int, init: Init, stride: int = 1, padding: int = 0, groups: int = 1
) -> Conv:
    return Conv(inner, outer, kernel, init, stride=stride, padding=padding, groups=groups, bias=False, fan_out=1)
