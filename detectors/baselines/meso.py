"""Meso4: four small convolutions, about 28,000 parameters."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from ...benchmark.core.registry import detectors
from .plain import PlainClassifier
from .shared import MESO_BLOCKS, MESO_STRIDE, check_input_size


@detectors.register(
    "meso4",
    backend="torch",
    aliases=("mesonet",),
    title="Meso4",
    year=2018,
    input_size=256,
    paper="MesoNet: a Compact Facial Video Forgery Detection Network",
    url="https://arxiv.org/abs/1809.00888",
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class Meso4(PlainClassifier):
    """The paper's Meso4 (section 3.1), with two logits in place of the one sigmoid unit.

    `input_size` is a multiple of 32; the paper's is 256.
    """

    def __init__(self, input_size: int = 256):
        check_input_size(input_size, MESO_STRIDE)
        super().__init__(network(input_size), input_size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), and the last hidden layer as `features` (N, 16)."""
        assert isinstance(self.network, nn.Sequential)
        features = self.network[:-1](x)
        return {"logits": self.network[-1](features), "features": features}


def network(input_size: int) -> nn.Sequential:
    """Four blocks of convolution, ReLU, batch normalisation and pooling (by 2, 2, 2, 4), then two linear layers."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inner, outer, kernel, pool) in enumerate(MESO_BLOCKS, 1):
        layers[f"conv{i}"] = nn.Conv2d(inner, outer, kernel, padding=kernel // 2, bias=False)
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"bn{i}"] = nn.BatchNorm2d(outer)
        layers[f"pool{i}"] = nn.MaxPool2d(pool)
    layers |= {
        "flatten": nn.Flatten(),
        "dropout1": nn.Dropout(0.5),
        "fc1": nn.Linear(16 * (input_size // MESO_STRIDE) ** 2, 16),
        "leaky": nn.LeakyReLU(0.1),
        "dropout2": nn.Dropout(0.5),
        "last_linear": nn.Linear(16, 2),
    }
    return nn.Sequential(layers)
