"""SPSL as a detector of the harness (PyTorch)."""

from __future__ import annotations

from types import MappingProxyType

import torch
from timm.models.xception import Xception
from torch import Tensor

from ...benchmark.core.registry import detectors
from ..baselines.xception_family import XceptionFamily
from ..common.augmentations import augment_as_deepfakebench
from ..common_torch.xception import BLOCKS, compute_map, make_xception, to_deepfakebench_name

SHALLOW = (1, 2, 3, 12)  # Xception's blocks; those in between see too much of the face.


@detectors.register(
    "spsl",
    backend="torch",
    title="SPSL (Spatial-Phase Shallow Learning)",
    paper="Spatial-Phase Shallow Learning: Rethinking Face Forgery Detection in Frequency Domain",
    venue="CVPR",
    year=2021,
    url="https://arxiv.org/abs/2103.01856",
    license="original: no training code found; DeepfakeBench's is CC BY-NC 4.0",
    weights="DeepfakeBench's; starts from timm's legacy_xception.tf_in1k, colours averaged in the first layer",
    input="256 px RGB and its phase spectrum",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper: a shallow Xception (blocks 1 to 3 and 12; which ones the paper keeps hasn't been verified); "
    "deepfakebench: all twelve blocks",
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class Spsl(XceptionFamily):
    """An Xception that sees an image's phase spectrum besides the image itself.

    The options are those of `XceptionFamily`.
    """

    network: Xception
    who = "spsl"
    own_augments = MappingProxyType(dict.fromkeys(("paper", "deepfakebench"), augment_as_deepfakebench))

    def __init__(
        self, variant: str = "paper", input_size: int = 256, augment: str = "", pretrained: bool | str = False
    ):
        super().__init__(variant, input_size, augment, pretrained)

    def build_network(self, pretrained: bool | str) -> Xception:
        """Return an Xception with four input channels."""
        return make_xception(2, pretrained, channels=4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), `phase` (N, 1, S, S), the last map `feat` and pooled `features` (N, 2048)."""
        phase = compute_phase(x)
        blocks = SHALLOW if self.variant == "paper" else BLOCKS
        feat = compute_map(self.network, torch.cat([x, phase], 1), blocks).relu()
        features = feat.mean((2, 3))
        return {"logits": self.network.fc(features), "phase": phase, "feat": feat, "features": features}

    def reference_name(self, name: str) -> str:
        """Return DeepfakeBench's name for one of our weights."""
        return to_deepfakebench_name(name)


def compute_phase(x: Tensor) -> Tensor:
    """Return the phase-only image (N, 1, H, W): all frequencies have the same amplitude, and the phase of x (N, 3, H,
    W).

    Equation 3 of the paper, on the mean of the normalised channels. The phase of a frequency with no amplitude is
    rounding noise.
    """
    spectrum = torch.fft.fft2(x.float().mean(1, keepdim=True))
    return torch.fft.ifft2(torch.polar(torch.ones_like(spectrum.real), spectrum.angle())).real
