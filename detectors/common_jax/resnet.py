"""ResNets of basic blocks: ResNet-34, and timm's small resnet10t (three-layer stem, pooled shortcuts)."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from .layers import BatchNorm, Conv, Init, Mode, avg_pool, max_pool, run_block

BLOCKS = {"resnet34": (3, 4, 6, 3), "resnet10t": (1, 1, 1, 1)}
STRIDES = (2, 4, 8, 16, 32)  # After the stem and the four stages.


class ResNet(nnx.Module):
    """The convolutional part of a ResNet: (N, H, W, 3) to the map of its last stage, `width` channels wide.

    `channels` are the stages' widths; the layers of resnet10t's stem are 3/4, 1 and 2 times `stem_width` wide.
    """

    def __init__(
        self,
        arch: str,
        init: Init,
        stages: int = 4,
        *,
        channels: tuple[int, int, int, int] = (64, 128, 256, 512),
        stem_width: int = 32,
    ):
        tiered = arch == "resnet10t"
        inner = stem_width * 2 if tiered else 64
        self.conv1 = TieredStem(stem_width, init) if tiered else _make_conv(3, inner, 7, init, stride=2)
        self.bn1 = BatchNorm(inner, init)
        for stage, (blocks, width) in enumerate(zip(BLOCKS[arch][:stages], channels[:stages], strict=True), 1):
            made = []
            for block in range(blocks):
                made.append(BasicBlock(inner, width, init, stride=2 if stage > 1 and not block else 1, pooled=tiered))
                inner = width
            setattr(self, f"layer{stage}", nnx.List(made))
        self.width, self.stages = inner, stages

    def features(self, x: Array, mode: Mode) -> Array:
        """Return the last stage's map (N, H', W', width)."""
        x = run_block(_run_stem, self.conv1, self.bn1, x, mode=mode)
        for stage in range(1, self.stages + 1):
            for block in getattr(self, f"layer{stage}"):
                x = run_block(BasicBlock.__call__, block, x, mode=mode)
        return x


def _run_stem(conv: Conv | TieredStem, norm: BatchNorm, x: Array, mode: Mode) -> Array:
    x = conv(x, mode) if isinstance(conv, TieredStem) else conv(x)
    return max_pool(jax.nn.relu(norm(x, mode)), 3, 2, 1)


class TieredStem(nnx.Dict):
    """Three 3x3 convolutions, the first with stride 2, with batch norm and ReLU between them."""

    def __init__(self, width: int, init: Init):
        first = 3 * (width // 4)
        super().__init__(
            {
                "0": _make_conv(3, first, 3, init, stride=2),
                "1": BatchNorm(first, init),
                "3": _make_conv(first, width, 3, init),
                "4": BatchNorm(width, init),
                "6": _make_conv(width, 2 * width, 3, init),
            }
        )

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, 3) to half the size, 2 * width channels."""
        x = jax.nn.relu(self["1"](self["0"](x), mode))
        return self["6"](jax.nn.relu(self["4"](self["3"](x), mode)))


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution if the shape changes."""

    def __init__(self, inner: int, outer: int, init: Init, *, stride: int, pooled: bool):
        self.conv1, self.bn1 = _make_conv(inner, outer, 3, init, stride=stride), BatchNorm(outer, init)
        self.conv2, self.bn2 = _make_conv(outer, outer, 3, init), BatchNorm(outer, init, scale=0.0)
        changes = stride > 1 or inner != outer
        self.downsample = Shortcut(inner, outer, init, stride, pooled) if changes else None

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, inner) to (N, H / stride, W / stride, outer)."""
        y = jax.nn.relu(self.bn1(self.conv1(x), mode))
        y = self.bn2(self.conv2(y), mode)
        return jax.nn.relu(y + (self.downsample(x, mode) if self.downsample else x))


class Shortcut(nnx.Dict):
    """A 1x1 convolution and batch norm; the convolution, or an average pooling before it, has the stride."""

    def __init__(self, inner: int, outer: int, init: Init, stride: int, pooled: bool):
        conv = Conv(inner, outer, 1, init, stride=1 if pooled else stride, bias=False, fan_out=1)
        first = int(pooled)  # The pooling is numbered too.
        super().__init__({str(first): conv, str(first + 1): BatchNorm(outer, init)})
        self.first, self.pool = first, stride if pooled else 1

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, inner) to (N, H / stride, W / stride, outer)."""
        x = avg_pool(x, self.pool) if self.pool > 1 else x
        return self[str(self.first + 1)](self[str(self.first)](x), mode)


def _make_conv(inner: int, outer: int, kernel: int, init: Init, stride: int = 1) -> Conv:
    return Conv(inner, outer, kernel, init, stride=stride, padding=kernel // 2, bias=False, fan_out=1)
