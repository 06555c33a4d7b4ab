"""CADDM's network in JAX: a backbone, the artifact detection module (ADM) on its last map, a classifier on both."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from ...benchmark.core.errors import require_known
from ..common.options import Options, bind_options, check_options, check_range, list_options
from ..common_jax.efficientnet import EfficientNet
from ..common_jax.layers import BatchNorm, Conv, Idle, Init, Linear, Mode, dropout
from ..common_jax.resnet import STRIDES, ResNet
from .shared import MAP, MAPS, check_plain, make_map_error

DROPOUT = {"efficientnet-b3": 0.3, "efficientnet-b4": 0.4}
CLASSES = 1000  # ImageNet's; its unused classifier is in the released checkpoints.
BACKBONES = ("resnet34", *DROPOUT, "timm:resnet10t")


class CaddmNet(nnx.Module):
    """Backbone -> 7x7 map F; g = pooled F, a = the ADM's last vector; logits = fc(g + a).

    Takes (N, S, S, 3). Returns logits (N, 2), loc (N, 168, 4), conf (N, 168, 2), features (N, 7, 7, C),
    global_features and adm_features (N, C). Dropout acts only on g (EfficientNets, in training).

    Raises:
        BenchError: the backbone has no port, or its map isn't 7x7.
    """

    def __init__(self, backbone: str, input_size: int, init: Init, stage: int | None, backbone_args: Options):
        self.base_model = _build(backbone, input_size, init, stage, backbone_args)
        channels, self.rate = self.base_model.width, DROPOUT.get(backbone, 0.0)
        self.adm = ArtifactDetection(channels, init)
        self.fc = Linear(channels, 2, init)

    def __call__(self, x: Array, mode: Mode) -> dict[str, Array]:
        """Return every named output."""
        features = self.base_model.features(x, mode)
        pooled = dropout(features.mean((1, 2)), self.rate, mode)
        loc, conf, artifact = self.adm(features, mode)
        return {
            "logits": self.fc(pooled + artifact),
            "loc": loc,
            "conf": conf,
            "features": features,
            "global_features": pooled,
            "adm_features": artifact,
        }


class ArtifactDetection(nnx.Module):
    """Four maps (7, 5, 3, 1) with two anchors per cell: whether and where something was pasted.

    Takes (N, 7, 7, C); returns loc (N, 168, 4), conf (N, 168, 2) logits, and the last map's vector (N, C).
    """

    def __init__(self, channels: int, init: Init):
        blocks = [nnx.List([Shrink(channels, kernel, init)]) for kernel in (1, 3, 3)]
        self.adm_extra_layers: nnx.List[nnx.List[Shrink] | LastShrink] = nnx.List([*blocks, LastShrink(channels, init)])
        self.multi_scale_detection_module = Heads(channels, init)

    def __call__(self, x: Array, mode: Mode) -> tuple[Array, Array, Array]:
        """Return loc, conf and the last vector."""
        maps = []
        for layer in self.adm_extra_layers:
            x = layer(x) if isinstance(layer, LastShrink) else layer[0](x, mode)
            maps.append(x)
        loc, conf = self.multi_scale_detection_module(maps)
        return loc, conf, x.reshape(len(x), -1)


class Shrink(nnx.Module):
    """A residual block whose first convolution, unpadded, makes the map smaller by `kernel` - 1."""

    def __init__(self, channels: int, kernel: int, init: Init):
        self.conv1, self.bn1 = Conv(channels, channels, kernel, init), BatchNorm(channels, init)
        self.conv2 = Conv(channels, channels, 3, init, padding=1, bias=False)
        self.bn2 = BatchNorm(channels, init)
        shortcut = Conv(channels, channels, kernel, init, bias=False)
        self.downsample = nnx.List([shortcut, BatchNorm(channels, init)])

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, H, C) to (N, H - kernel + 1, H - kernel + 1, C)."""
        shortcut, norm = self.downsample
        y = jax.nn.relu(self.bn1(self.conv1(x), mode))
        return jax.nn.relu(self.bn2(self.conv2(y), mode) + norm(shortcut(x), mode))


class LastShrink(nnx.Module):
    """The last residual block, 3x3 to 1x1, without batch norm: each channel has a single value."""

    def __init__(self, channels: int, init: Init):
        self.conv1 = Conv(channels, channels, 3, init)
        self.conv2 = Conv(channels, channels, 1, init)
        self.downsample = Conv(channels, channels, 3, init)

    def __call__(self, x: Array) -> Array:
        """Map (N, 3, 3, C) to (N, 1, 1, C)."""
        return jax.nn.relu(self.conv2(jax.nn.relu(self.conv1(x))) + self.downsample(x))


class Heads(nnx.Module):
    """A box convolution and a class convolution for each map; two anchors per cell."""

    def __init__(self, channels: int, init: Init):
        self.ms_dets = nnx.List([_make_head(channels, 2 * 4, size, init) for size in MAPS])
        self.ms_cls = nnx.List([_make_head(channels, 2 * 2, size, init) for size in MAPS])

    def __call__(self, maps: list[Array]) -> tuple[Array, Array]:
        """Return offsets (N, 168, 4) and class logits (N, 168, 2): level, row, column, anchor."""
        loc, conf = (
            jnp.concatenate([head(x).reshape(len(x), -1, values) for head, x in zip(heads, maps, strict=True)], 1)
            for heads, values in ((self.ms_dets, 4), (self.ms_cls, 2))
        )
        return loc, conf


def _make_head(channels: int, out: int, size: int, init: Init) -> Conv:
    return Conv(channels, out, 1 if size == 1 else 3, init, padding=0 if size == 1 else 1)


# ---- backbones


class ReleasedResNet(ResNet):
    """ResNet-34 with ImageNet's classifier, unused."""

    def __init__(self, init: Init):
        super().__init__("resnet34", init)
        self.fc = Linear(self.width, CLASSES, init, kind=Idle)


class ReleasedEfficientNet(EfficientNet):
    """An EfficientNet with ImageNet's classifier, unused, and the released training's momentum and drop rate."""

    def __init__(self, arch: str, init: Init):
        super().__init__(arch, init, momentum=0.01, drop=0.2)
        self.classifier = Linear(self.width, CLASSES, init, kind=Idle)


def _build(backbone: str, size: int, init: Init, stage: int | None, args: Options) -> ResNet | EfficientNet:
    require_known("CADDM backbone in JAX", backbone, BACKBONES, ". Use --backend torch for others")
    if backbone != "timm:resnet10t":
        check_plain(backbone, stage, args)
    check_options(backbone, args, list_options(ResNet.__init__, keyword_only=True), "backbone_args")
    last = len(STRIDES) - 1
    maps = [-(-size // stride) for stride in STRIDES]
    if stage is None:
        stage = maps.index(MAP) if MAP in maps[1:] and backbone == "timm:resnet10t" else last
    check_range("caddm", "stage", stage, 1, last, last)
    if maps[stage] != MAP:
        raise make_map_error(backbone, (maps[stage],) * 2, size, f"Change input_size to {MAP * STRIDES[stage]}")
    if backbone == "timm:resnet10t":
        return bind_options(ResNet, args)("resnet10t", init, stage)
    return ReleasedResNet(init) if backbone == "resnet34" else ReleasedEfficientNet(backbone, init)
