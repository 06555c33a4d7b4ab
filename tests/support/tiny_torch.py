"""The smallest network with every kind of layer that affects a training step, in PyTorch (tiny_jax.py: in JAX)."""

from __future__ import annotations

from collections import OrderedDict

from crossfake.detectors.baselines.plain import PlainClassifier
from torch import Tensor, nn


class TinyTorch(PlainClassifier):
    """A convolution, batch norm, dropout and a linear layer for crops of 32 pixels."""

    def __init__(self) -> None:
        layers = OrderedDict(
            conv1=nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            relu1=nn.ReLU(),
            bn1=nn.BatchNorm2d(8),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            drop=nn.Dropout(0.5),
            fc1=nn.Linear(8, 2),
        )
        super().__init__(nn.Sequential(layers), 32)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(x)}
