"""What both detectors and both ports share: options, data, names. No backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...benchmark.core.errors import require_known
from ...benchmark.core.types import TrainSample, Video
from ..baselines.augment import ClassifierSampler
from ..common.crops import BoxCrop
from ..common.network_detector import LEAST_SIZE, UNUSED_IN_XCEPTION
from ..common.options import Options, check_multiple, check_range
from ..pgfdd.labels import encode_group, keep_annotated

VARIANTS = ("paper", "released")
GRADIENTS = ("exact", "released")
HEAD = "backbone.last_linear.weight"  # 1 row in AI-Face's code, 2 in DeepfakeBench's Xception.


@dataclass(frozen=True)
class GroupSampler:
    """Makes `image` uint8 (S, S, 3) RGB and int64 `label` and `group` (the intersection's code, -1 if unknown)."""

    uses_original: ClassVar[bool] = False
    crop: BoxCrop
    augment: bool = False

    @property
    def uses_face(self) -> bool:
        """Whether it needs more than the crop: the box that it moves when it augments."""
        return self.augment

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example, unchanged unless `augment`."""
        image = ClassifierSampler(self.crop)(sample, rng)["image"] if self.augment else sample.cut(self.crop)
        group = encode_group(sample.groups)
        codes = {"label": sample.label, "group": -1 if group is None else group}
        return {"image": image, **{name: np.array(code, np.int64) for name, code in codes.items()}}


class FddMixin:
    """What both ports have in common; mix in before a backend's base class. A port defines `build_network`.

    Args:
        variant: `paper`, or `released` (the co-author's code in AI-Face-FairnessBench).
        input_size: side of the crop.
        backbone: `xception`, or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`.
        alpha: the worst share of samples (dag-fdd) or groups (daw-fdd) that the loss averages; 1 is the mean.
        alpha_group: for daw-fdd, the worst share of each group's samples.
        gradient: `exact`, or `released` (PyTorch only); by default as in the variant.
        augment: augment training images mildly; neither the paper nor the released code does.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the network can't be built.
    """

    who: ClassVar[str] = ""
    takes_any_size = True
    classes = 1

    def __init__(
        self,
        *,
        variant: str = "paper",
        input_size: int = 256,
        backbone: str = "xception",
        backbone_args: Options | None = None,
        alpha: float = 0.5,
        alpha_group: float = 0.9,
        gradient: str = "",
        augment: bool = False,
        pretrained: bool | str = False,
    ):
        require_known(f"{self.who} variant", variant, VARIANTS)
        chosen = gradient or ("released" if variant == "released" else "exact")
        require_known(f"{self.who} gradient", chosen, GRADIENTS)
        check_multiple(self.who, "input_size", input_size, 1, LEAST_SIZE, 256)
        for name, share in (("alpha", alpha), ("alpha_group", alpha_group)):
            check_range(self.who, name, share, 1e-6, 1, 0.5)
        self.input_size, self.backbone, self.gradient, self.augment = input_size, backbone, chosen, augment
        self.alpha, self.alpha_group = alpha, alpha_group
        self.build_network(dict(backbone_args or {}), pretrained)

    def build_network(self, backbone_args: Options, pretrained: bool | str) -> None:
        """Start the backend's base class with the network of `backbone`."""
        raise NotImplementedError

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> GroupSampler:
        """Face boxes with their group's code."""
        return GroupSampler(self.cropper(), self.augment)

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights."""
        return "backbone." + name.replace("fc.", "last_linear.") if self.backbone == "xception" else name

    def is_unused(self, name: str) -> bool:
        """Return whether the weight belongs to an unused layer of DeepfakeBench's Xception."""
        return name.startswith(UNUSED_IN_XCEPTION)


class GroupsMixin:
    """What daw-fdd adds: learning from groups."""

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Keep the annotated videos.

        Raises:
            BenchError: see `keep_annotated`.
        """
        kept = keep_annotated(videos, "daw-fdd")
        return kept, "gender or race is unknown (add them in demographics.csv in the dataset's folder)"
