"""CADDM's network: a backbone, the artifact detection module (ADM) on its last map, and a classifier on both."""

from __future__ import annotations

import torch
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark.core.errors import BenchError, require_known
from ..common.options import Options
from ..common_torch.timm_models import create_timm_model
from .shared import MAP, MAPS, check_plain, make_map_error

# timm's name (with the tag of the ImageNet weights the released code starts from), arguments, dropout after pooling.
_BN = {"bn_momentum": 0.01, "drop_path_rate": 0.2}
_REFERENCE: dict[str, tuple[str, dict[str, float], float]] = {
    "resnet34": ("resnet34.tv_in1k", {}, 0.0),
    "efficientnet-b3": ("tf_efficientnet_b3.aa_in1k", _BN, 0.3),
    "efficientnet-b4": ("tf_efficientnet_b4.aa_in1k", _BN, 0.4),
}


class CaddmNet(nn.Module):
    """Backbone -> 7x7 map F; g = pooled F, a = the ADM's last vector; logits = fc(g + a).

    Input is float32 (N, 3, S, S). `forward` returns logits (N, 2), loc (N, 168, 4), conf (N, 168, 2), features
    (N, C, 7, 7), global_features and adm_features (N, C). Dropout acts only on g (EfficientNets, in training).

    Raises:
        BenchError: the backbone isn't known, its weights aren't available, or its map isn't 7x7.
    """

    def __init__(
        self,
        backbone: str,
        input_size: int,
        *,
        pretrained: bool | str = False,
        stage: int | None = None,
        backbone_args: Options | None = None,
    ):
        super().__init__()
        self.base_model, dropout = _build(backbone, input_size, stage, dict(backbone_args or {}), pretrained)
        channels = _check_map(self.base_model, backbone, input_size)
        self.adm = ArtifactDetection(channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output."""
        features = _extract_features(self.base_model, x)
        pooled = self.dropout(features.mean((2, 3)))
        loc, conf, artifact = self.adm(features)
        logits = self.fc(pooled + artifact)
        return {
            "logits": logits,
            "loc": loc,
            "conf": conf,
            "features": features,
            "global_features": pooled,
            "adm_features": artifact,
        }


class ArtifactDetection(nn.Module):
    """Four maps (7, 5, 3, 1) with two anchors per cell: whether and where something was pasted.

    Takes (N, C, 7, 7); returns loc (N, 168, 4), conf (N, 168, 2) logits, and the last map's vector (N, C).
    """

    def __init__(self, channels: int):
        super().__init__()
        blocks = [nn.Sequential(Shrink(channels, kernel)) for kernel in (1, 3, 3)]
        self.adm_extra_layers = nn.ModuleList([*blocks, LastShrink(channels)])
        self.multi_scale_detection_module = Heads(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return loc, conf and the last vector."""
        maps = []
        for layer in self.adm_extra_layers:
            x = layer(x)
            maps.append(x)
        loc, conf = self.multi_scale_detection_module(maps)
        return loc, conf, x.flatten(1)


class Shrink(nn.Module):
    """A residual block whose first convolution, unpadded, makes the map smaller by `kernel` - 1."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential(nn.Conv2d(channels, channels, kernel, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, H) to (N, C, H - kernel + 1, H - kernel + 1)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class LastShrink(nn.Module):
    """The last residual block, 3x3 to 1x1, without batch norm: each channel has a single value."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.downsample = nn.Conv2d(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, 3, 3) to (N, C, 1, 1)."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.downsample(x))


class Heads(nn.Module):
    """A box convolution and a class convolution for each map; two anchors per cell."""

    def __init__(self, channels: int):
        super().__init__()
        self.ms_dets = nn.ModuleList([_make_head(channels, 2 * 4, size) for size in MAPS])
        self.ms_cls = nn.ModuleList([_make_head(channels, 2 * 2, size) for size in MAPS])

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return offsets (N, 168, 4) and class logits (N, 168, 2): level, row, column, anchor."""
        loc, conf = (
            torch.cat([head(x).permute(0, 2, 3, 1).flatten(1) for head, x in zip(heads, maps, strict=True)], 1)
            for heads in (self.ms_dets, self.ms_cls)
        )
        return loc.unflatten(1, (-1, 4)), conf.unflatten(1, (-1, 2))


def _make_head(channels: int, out: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 1 if size == 1 else 3, padding=0 if size == 1 else 1)


# ---- backbones


def _build(
    backbone: str, size: int, stage: int | None, args: Options, pretrained: bool | str
) -> tuple[nn.Module, float]:
    if backbone in _REFERENCE:
        check_plain(backbone, stage, args)
        name, fixed, dropout = _REFERENCE[backbone]
        return _create(name, pretrained, **fixed), dropout
    if not backbone.startswith("timm:"):
        require_known("CADDM backbone", backbone, [*_REFERENCE, "timm:NAME"])
    name = backbone.removeprefix("timm:")
    if stage is None:
        stage = _find_fitting_stage(name, size, args)
    return _create(name, pretrained, features_only=True, out_indices=(stage,), **args), 0.0


def _find_fitting_stage(name: str, size: int, args: Options) -> int:
    """Find the last stage with a 7x7 map. The network is discarded: later layers shouldn't exist in the real one."""
    info = _create(name, False, features_only=True, **args).feature_info
    assert isinstance(info, FeatureInfo)
    strides: list[int] = info.reduction()
    maps = [-(-size // stride) for stride in strides]
    if MAP not in maps:
        needed = ", ".join(f"{MAP * stride} for stage {k}" for k, stride in enumerate(strides))
        raise BenchError(
            f"backbone timm:{name} has no 7x7 map at input_size {size}: its stages give "
            f"{', '.join(f'{m}x{m}' for m in maps)}. Set input_size to {needed}"
        )
    return len(maps) - 1 - maps[::-1].index(MAP)


def _create(name: str, pretrained: bool | str, **args: object) -> nn.Module:
    return create_timm_model(name, pretrained, "backbone_args, stage", **args)


def _extract_features(model: nn.Module, x: Tensor) -> Tensor:
    """Return the last map of a timm model, whole or cut after the chosen stage."""
    whole = getattr(model, "forward_features", None)
    return whole(x) if whole else model(x)[-1]


@torch.no_grad()
def _check_map(model: nn.Module, backbone: str, size: int) -> int:
    model.eval()
    shape = _extract_features(model, torch.zeros(1, 3, size, size)).shape
    model.train()
    if tuple(shape[2:]) != (MAP, MAP):
        raise make_map_error(backbone, tuple(shape[2:]), size, "Change input_size")
    return shape[1]
