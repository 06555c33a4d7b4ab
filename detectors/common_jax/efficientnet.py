"""EfficientNets with TensorFlow's padding and normalisation (timm's tf_efficientnet_b3, _b4), without classifier."""

from __future__ import annotations

import math

import jax
from flax import nnx
from jax import Array

from .layers import BatchNorm, Conv, Init, Mode, drop_path, run_block

SCALES = {"efficientnet-b3": (1.2, 1.4), "efficientnet-b4": (1.4, 1.8)}  # Of width and depth.
# Blocks, kernel, stride, expansion and channels of B0's stages.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class EfficientNet(nnx.Module):
    """(N, H, W, 3) to (N, H / 32, W / 32, width), the map before pooling.

    `drop` is the drop rate of the last block's residual branch; it grows from 0 at the first.
    """

    def __init__(
        self,
        arch: str,
        init: Init,
        *,
        momentum: float = 0.1,
        drop: float = 0.0,
    ):
        wider, deeper = SCALES[arch]
        counts = [math.ceil(blocks * deeper) for blocks, *_ in STAGES]
        rates = iter(drop * i / sum(counts) for i in range(sum(counts)))
        inner = round_channels(STEM * wider)
        self.conv_stem, self.bn1 = _make_conv(3, inner, 3, init, stride=2), _make_norm(inner, init, momentum)
        stages: list[nnx.List[MBConv]] = []
        for count, (_, kernel, stride, expand, channels) in zip(counts, STAGES, strict=True):
            blocks = []
            for i in range(count):
                outer = round_channels(channels * wider)
                step, rate = 1 if i else stride, next(rates)
                blocks.append(MBConv(inner, outer, kernel, expand, init, stride=step, momentum=momentum, drop=rate))
                inner = outer
            stages.append(nnx.List(blocks))
        self.blocks = nnx.List(stages)
        self.width = round_channels(HEAD * wider)
        self.conv_head, self.bn2 = _make_conv(inner, self.width, 1, init), _make_norm(self.width, init, momentum)

    def features(self, x: Array, mode: Mode) -> Array:
        """Return the last map (N, H / 32, W / 32, width)."""
        x = run_block(_run_layer, self.conv_stem, self.bn1, x, mode=mode)
        for stage in self.blocks:
            for block in stage:
                x = run_block(MBConv.__call__, block, x, mode=mode)
        return run_block(_run_layer, self.conv_head, self.bn2, x, mode=mode)


def _run_layer(conv: Conv, norm: BatchNorm, x: Array, mode: Mode) -> Array:
    return jax.nn.silu(norm(conv(x), mode))


class MBConv(nnx.Module):
    """Expansion (if any), depthwise convolution, squeeze and excitation, projection.

    timm's names depend on the expansion: without it the projection is `conv_pw`; with it, the expansion is `conv_pw`
    and the projection `conv_pwl`.
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        kernel: int,
        expand: int,
        init: Init,
        *,
        stride: int,
        momentum: float,
        drop: float,
    ):
        middle = inner * expand
        self.expands, self.adds, self.drop = expand > 1, stride == 1 and inner == outer, drop
        self.se = SqueezeExcite(middle, inner // 4, init)
        self.conv_dw = _make_conv(middle, middle, kernel, init, stride=stride, groups=middle)
        self.bn1, self.bn2 = (
            _make_norm(middle, init, momentum),
            _make_norm(middle if self.expands else outer, init, momentum),
        )
        if self.expands:
            self.conv_pw, self.conv_pwl = _make_conv(inner, middle, 1, init), _make_conv(middle, outer, 1, init)
            self.bn3 = _make_norm(outer, init, momentum)
        else:
            self.conv_pw = _make_conv(middle, outer, 1, init)

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, inner) to (N, H / stride, W / stride, outer)."""
        if self.expands:
            y = jax.nn.silu(self.bn1(self.conv_pw(x), mode))
            y = self.se(jax.nn.silu(self.bn2(self.conv_dw(y), mode)))
            y = self.bn3(self.conv_pwl(y), mode)
        else:
            y = self.se(jax.nn.silu(self.bn1(self.conv_dw(x), mode)))
            y = self.bn2(self.conv_pw(y), mode)
        return x + drop_path(y, self.drop, mode) if self.adds else y


class SqueezeExcite(nnx.Module):
    """Scale each channel by a factor computed from the means of all channels."""

    def __init__(self, channels: int, reduced: int, init: Init):
        self.conv_reduce = Conv(channels, reduced, 1, init, fan_out=1)
        self.conv_expand = Conv(reduced, channels, 1, init, fan_out=1)

    def __call__(self, x: Array) -> Array:
        """Map (N, H, W, channels) to the same shape."""
        gate = jax.nn.silu(self.conv_reduce(x.mean((1, 2), keepdims=True)))
        return x * jax.nn.sigmoid(self.conv_expand(gate))


def round_channels(channels: float) -> int:
    """Round to a multiple of 8, but never down by more than a tenth."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def _make_norm(channels: int, init: Init, momentum: float) -> BatchNorm:
    return BatchNorm(channels, init, eps=1e-3, momentum=momentum)


def _make_conv(inner: int, outer: int, kernel: int, init: Init, stride: int = 1, groups: int = 1) -> Conv:
    return Conv(inner, outer, kernel, init, stride=stride, padding="SAME", groups=groups, bias=False, fan_out=groups)
