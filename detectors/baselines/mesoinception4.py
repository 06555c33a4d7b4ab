"""MesoInception4: parallel dilated convolutions of several widths; about 28,600 parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from .plain import PlainClassifier
from .shared import (
    INCEPTION_WIDTHS,
    MESO_STRIDE,
    MESO_VARIANTS,
    check_input_size,
    to_deepfakebench_meso_name,
)
from .xception_family import compute_cross_entropy


@detectors.register(
    "mesoinception4",
    backend="torch",
    title="MesoInception4",
    paper="MesoNet: a Compact Facial Video Forgery Detection Network",
    venue="WIFS",
    year=2018,
    url="https://arxiv.org/abs/1809.00888",
    license="original: Apache-2.0; DeepfakeBench's: CC BY-NC 4.0",
    weights="DeepfakeBench's; the authors' (Keras) can't be read",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="paper: 0..1; deepfakebench: -1..1",
    pooling="mean over frames",
    faithful_to="paper: ReLU after each convolution, one logit, 28,615 parameters as published; deepfakebench: no "
    "activation inside the inception layers, a batch norm shared by two convolutions, two logits",
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class MesoInception4(PlainClassifier):
    """The paper's MesoInception4 (section 3.2), or DeepfakeBench's.

    Args:
        variant: `paper` or `deepfakebench`.
        input_size: a multiple of 32; the paper's is 256.

    Raises:
        BenchError: an option isn't valid.
    """

    def __init__(self, variant: str = "paper", input_size: int = 256):
        require_known("mesoinception4 variant", variant, MESO_VARIANTS)
        check_input_size(input_size, MESO_STRIDE)
        self.variant = variant
        super().__init__(MesoInceptionNet(input_size, variant == "paper"), input_size)

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to 0..1 or, as in DeepfakeBench, to -1..1."""
        return frames.permute(0, 3, 1, 2).float() / 255 if self.variant == "paper" else super().normalise(frames)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 1 or 2), the last hidden layer as `features` (N, 16), and `feat`, `inc1`, `inc2`."""
        return self.network(x)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over real and fake."""
        logits = self.forward(self.inputs(batch["image"]))["logits"]
        return {"loss": compute_cross_entropy(logits, batch["label"])}

    def reference_name(self, name: str) -> str:
        """Return DeepfakeBench's name for one of our weights."""
        return to_deepfakebench_meso_name(name) if self.variant == "deepfakebench" else name


class Inception(nn.Module):
    """Four parallel branches: a 1x1 convolution, alone or followed by 3x3 ones with dilation 1, 2 or 3."""

    def __init__(self, inner: int, widths: tuple[int, ...], active: bool):
        super().__init__()
        self.active = active
        self.conv1 = nn.Conv2d(inner, widths[0], 1, bias=active)
        for i, width in enumerate(widths[1:], 2):
            setattr(self, f"conv{i}_1", nn.Conv2d(inner, width, 1, bias=active))
            setattr(self, f"conv{i}_2", nn.Conv2d(width, width, 3, padding=i - 1, dilation=i - 1, bias=active))
        self.bn = nn.BatchNorm2d(sum(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, sum of widths, H / 2, W / 2)."""
        act = F.relu if self.active else nn.Identity()
        branches = [act(self.conv1(x))]
        for i in (2, 3, 4):
            first, second = getattr(self, f"conv{i}_1"), getattr(self, f"conv{i}_2")
            branches.append(act(second(act(first(x)))))
        return F.max_pool2d(self.bn(torch.cat(branches, 1)), 2)


class MesoInceptionNet(nn.Module):
    """Two inception layers, two 5x5 convolutions, two linear layers.

    Args:
        input_size: side of the images.
        paper: as published; otherwise as in DeepfakeBench, where both convolutions share one batch norm.
    """

    def __init__(self, input_size: int, paper: bool):
        super().__init__()
        first, second = INCEPTION_WIDTHS
        self.inception1, self.inception2 = Inception(3, first, paper), Inception(sum(first), second, paper)
        self.conv1, self.bn1 = nn.Conv2d(sum(second), 16, 5, padding=2, bias=paper), nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 5, padding=2, bias=paper)
        self.bn2 = nn.BatchNorm2d(16) if paper else None
        self.dropout = nn.Dropout(0.5)
        self.fc1 = nn.Linear(16 * (input_size // MESO_STRIDE) ** 2, 16)
        self.fc2 = nn.Linear(16, 1 if paper else 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output."""
        inc1 = self.inception1(x)
        inc2 = self.inception2(inc1)
        y = F.max_pool2d(self.bn1(F.relu(self.conv1(inc2))), 2)
        y = F.max_pool2d((self.bn2 or self.bn1)(F.relu(self.conv2(y))), 4)
        hidden = F.leaky_relu(self.fc1(self.dropout(y.flatten(1))), 0.1)
        features = self.dropout(hidden)
        return {
            "logits": self.fc2(features),
            "features": features,
            "feat": y.flatten(1),
            "inc1": inc1,
            "inc2": inc2,
        }
