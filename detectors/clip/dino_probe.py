"""A logistic head on DINOv2's frozen image encoder (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from ...benchmark.core.registry import detectors
from ..common.in_memory import IMAGENET_MEAN, IMAGENET_STD
from ..common.options import Options
from .probe import Probe

T = TypeVar("T")
DINO = "vit_large_patch14_dinov2.lvd142m"


@detectors.register(
    "dino-probe",
    backend="torch",
    title="DINOv2 probe",
    paper="DINOv2: Learning Robust Visual Features without Supervision",
    venue="TMLR",
    year=2024,
    url="https://arxiv.org/abs/2304.07193",
    license="original: Apache-2.0",
    weights="Meta's (Apache-2.0), timm's vit_large_patch14_dinov2.lvd142m",
    input="224 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="ImageNet's mean and standard deviation",
    pooling="mean over frames",
    faithful_to="no paper: a baseline that every detector on a ViT should beat, trained like clip-probe",
    input_size=224,
    defaults={"variant": "paper", "input_size": 224},
    frozen=True,
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class DinoProbe(Probe):
    """A linear head on the class token of DINOv2's ViT-L/14. The options are those of `ClipDetector`."""

    who = "dino-probe"
    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 224,
        arch: str = DINO,
        arch_args: Options | None = None,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        super().__init__(variant, input_size, arch, arch_args, augment, pretrained)

    def to_reference(self, state: Mapping[str, T]) -> dict[str, T]:
        """Return our weights under timm's names, prefixed with `backbone.`, and `fc` for the head."""
        return {(k.replace("head.", "fc.", 1) if k.startswith("head.") else k): v for k, v in state.items()}

    def from_reference(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the weights under our names."""
        return {(k.replace("fc.", "head.", 1) if k.startswith("fc.") else k): v for k, v in state.items()}
