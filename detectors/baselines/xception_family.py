"""What the detectors built on an Xception share: options, the square face box, inputs in -1..1, weight names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark.core.contracts import Sampler
from ...benchmark.core.errors import require_known
from ..common import augmentations
from ..common.augmentations import Augment, AugmentedSampler
from ..common.crops import BoxCrop
from ..common.network_detector import LEAST_SIZE, UNUSED_IN_XCEPTION
from ..common.options import check_multiple
from ..common_torch.detector import TorchDetector
from .augment import ClassifierSampler

AUGMENTS = ("", "none", "mild", "deepfakebench")


class XceptionFamily(TorchDetector):
    """Base of the detectors that are variants of an Xception.

    Args:
        variant: one of the detector's `variants`.
        input_size: side of the crop.
        augment: `none`, `mild` (as for the plain classifiers) or `deepfakebench`; by default as the variant does.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who: ClassVar[str] = ""
    variants: ClassVar[tuple[str, ...]] = ("paper", "deepfakebench")
    own_augments: ClassVar[Mapping[str, Augment]] = MappingProxyType({})  # By variant; the others don't augment.
    takes_any_size = True

    def __init__(self, variant: str, input_size: int, augment: str, pretrained: bool | str):
        super().__init__()
        require_known(f"{self.who} variant", variant, self.variants)
        require_known(f"{self.who} augment", augment, AUGMENTS)
        check_multiple(self.who, "input_size", input_size, 1, LEAST_SIZE, 256)
        self.variant, self.input_size, self.augment = variant, input_size, augment
        self.network = self.build_network(pretrained)

    def build_network(self, pretrained: bool | str) -> nn.Module:
        """Return the network for a variant and size."""
        raise NotImplementedError

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> Sampler:
        """Face boxes, augmented as the options say or else as in the variant's recipe."""
        if self.augment == "mild":
            return ClassifierSampler(self.cropper())
        return AugmentedSampler(self.cropper(), self.choose_augment())

    def choose_augment(self) -> Augment:
        """Return how an image is augmented."""
        named = {"none": augmentations.keep, "deepfakebench": augmentations.augment_as_deepfakebench}
        return named.get(self.augment) or self.own_augments.get(self.variant, augmentations.keep)

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return frames.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over real and fake, from one logit or two."""
        logits = self.forward(self.inputs(batch["image"]))["logits"]
        return {"loss": compute_cross_entropy(logits, batch["label"])}

    def is_unused(self, name: str) -> bool:
        """Return whether the weight belongs to an unused layer of DeepfakeBench's Xception."""
        return name.startswith(UNUSED_IN_XCEPTION)


def compute_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy from one logit (N, 1) or two (N, 2)."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0].float(), label.float())
    return F.cross_entropy(logits.float(), label)
