"""Xception as deepfake detectors use it: timm's, under the names of the released code, with stems of other widths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .timm_models import create_timm_model

TAG = "legacy_xception.tf_in1k"  # The weights of xception-b5690688, which the released codes start from.
BLOCKS = range(1, 13)


def make_xception(classes: int, pretrained: bool, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Make an Xception for images of so many channels.

    The filters of the first convolution are ImageNet's, averaged over red, green and blue where there are 4 channels,
    else repeated for each three and divided by their number.

    Raises:
        BenchError: the weights aren't available.
    """
    made: Any = create_timm_model(TAG, pretrained, "options", num_classes=classes, drop_rate=dropout)
    if channels != 3:
        first = made.conv1.weight.detach()
        wide = nn.Conv2d(channels, 32, 3, stride=2, bias=False)
        if pretrained:
            thirds = channels // 3
            repeated = first.mean(1, keepdim=True).expand(-1, 4, -1, -1) if channels == 4 else None
            with torch.no_grad():
                wide.weight.copy_(first.repeat(1, thirds, 1, 1) / thirds if repeated is None else repeated)
        made.conv1 = wide
    return made


def compute_map(network: Any, x: Tensor, blocks: Iterable[int] = BLOCKS) -> Tensor:
    """Return batch norm's last map (N, 2048, h, w), before any ReLU, through the given of the twelve blocks."""
    x = network.bn1(network.conv1(x)).relu()
    x = network.bn2(network.conv2(x)).relu()
    for block in blocks:
        x = getattr(network, f"block{block}")(x)
    x = network.bn3(network.conv3(x)).relu()
    return network.bn4(network.conv4(x))


def pool_map(last: Tensor) -> Tensor:
    """Return what is left of a map (N, C, h, w) after ReLU and pooling, (N, C)."""
    return last.relu().mean((2, 3))


def to_deepfakebench_name(name: str) -> str:
    """Return DeepfakeBench's name of one of an Xception's weights."""
    return "backbone." + name.replace("fc.", "last_linear.")
