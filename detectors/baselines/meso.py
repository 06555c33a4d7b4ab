"""Meso4: four small convolutions, about 28,000 parameters."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from .plain import PlainClassifier
from .shared import MESO_BLOCKS, MESO_STRIDE, MESO_VARIANTS, check_input_size, to_deepfakebench_meso_name


@detectors.register(
    "meso4",
    backend="torch",
    aliases=("mesonet",),
    title="Meso4",
    paper="MesoNet: a Compact Facial Video Forgery Detection Network",
    venue="WIFS",
    year=2018,
    url="https://arxiv.org/abs/1809.00888",
    license="original: Apache-2.0; DeepfakeBench's: CC BY-NC 4.0",
    weights="DeepfakeBench's; the authors' (Keras) can't be read",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper: four blocks as in section 3.1, with two logits instead of one sigmoid unit; deepfakebench: "
    "batch norms shared by two blocks each",
    input_size=256,
    defaults={"variant": "paper"},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class Meso4(PlainClassifier):
    """The paper's Meso4 (section 3.1), with two logits instead of one sigmoid unit.

    `input_size` is a multiple of 32; the paper's is 256. With `variant` `deepfakebench`, blocks 1 and 2 share a batch
    norm, so do blocks 3 and 4, and weights have DeepfakeBench's names.
    """

    def __init__(self, input_size: int = 256, variant: str = "paper"):
        require_known("meso4 variant", variant, MESO_VARIANTS)
        check_input_size(input_size, MESO_STRIDE)
        self.variant = variant
        super().__init__(network(input_size) if variant == "paper" else SharedNormNet(input_size), input_size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2) and the last hidden layer as `features` (N, 16); DeepfakeBench's also gives `feat`."""
        if self.variant == "deepfakebench":
            return self.network(x)
        assert isinstance(self.network, nn.Sequential)
        features = self.network[:-1](x)
        return {"logits": self.network[-1](features), "features": features}

    def reference_name(self, name: str) -> str:
        """Return DeepfakeBench's name for one of our weights."""
        return to_deepfakebench_meso_name(name) if self.variant == "deepfakebench" else name


class SharedNormNet(nn.Module):
    """Meso4 as in DeepfakeBench: one batch norm for the first two convolutions, one for the last two."""

    def __init__(self, input_size: int):
        super().__init__()
        for i, (inner, outer, kernel, _) in enumerate(MESO_BLOCKS, 1):
            setattr(self, f"conv{i}", nn.Conv2d(inner, outer, kernel, padding=kernel // 2, bias=False))
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(16)
        self.dropout = nn.Dropout(0.5)
        self.fc1 = nn.Linear(16 * (input_size // MESO_STRIDE) ** 2, 16)
        self.fc2 = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output."""
        for i, (*_, pool) in enumerate(MESO_BLOCKS, 1):
            norm = self.bn1 if i < 3 else self.bn2
            x = F.max_pool2d(norm(F.relu(getattr(self, f"conv{i}")(x))), pool)
        feat = x.flatten(1)
        features = self.dropout(F.leaky_relu(self.fc1(self.dropout(feat)), 0.1))
        return {"logits": self.fc2(features), "features": features, "feat": feat}


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
