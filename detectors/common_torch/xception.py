"""Xception as deepfake detectors use it: timm's, with the released codes' names and stems for other inputs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from timm.models.xception import Xception
from torch import Tensor, nn

from .timm_models import create_timm_model

TAG = "legacy_xception.tf_in1k"  # The weights of xception-b5690688, from which the released codes start.
BLOCKS = range(1, 13)


def make_xception(classes: int, pretrained: bool | str, channels: int = 3, dropout: float = 0.0) -> Xception:
    """Make an Xception for images with this many channels.

    The filters of the first convolution are ImageNet's: for 4 channels averaged over red, green and blue, otherwise
    repeated for every three channels and divided by the number of repeats.

    Raises:
        BenchError: the weights aren't available.
    """
    made = create_timm_model(TAG, pretrained, "options", num_classes=classes, drop_rate=dropout)
    assert isinstance(made, Xception)
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


def compute_map(network: Xception, x: Tensor, blocks: Iterable[int] = BLOCKS) -> Tensor:
    """Run the given ones of the twelve blocks; return the last batch norm's map (N, 2048, h, w), before any ReLU."""
    x = network.bn1(network.conv1(x)).relu()
    x = network.bn2(network.conv2(x)).relu()
    for block in blocks:
        x = getattr(network, f"block{block}")(x)
    x = network.bn3(network.conv3(x)).relu()
    return network.bn4(network.conv4(x))


def pool_map(last: Tensor) -> Tensor:
    """Apply ReLU and pooling to a map (N, C, h, w); returns (N, C)."""
    return last.relu().mean((2, 3))


def to_deepfakebench_name(name: str) -> str:
    """Return DeepfakeBench's name for a weight of an Xception."""
    return "backbone." + name.replace("fc.", "last_linear.")
