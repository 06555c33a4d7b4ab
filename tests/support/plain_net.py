"""A detector with batch norm but no dropout, so that one process and several train the same weights."""

from __future__ import annotations

from crossfake.plugin.torch import PlainClassifier
from torch import nn


class PlainNet(PlainClassifier):
    """A convolution, batch norm and a linear layer, for crops of 32 pixels."""

    def __init__(self) -> None:
        layers = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4)]
        super().__init__(nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 2)), 32)
