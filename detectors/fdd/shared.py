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
    """Makes `image` uint8 (S, S, 3) RGB and int64 `label` and `group`, the intersection's code or -1 if unknown."""

    uses_original: ClassVar[bool] = False
    crop: BoxCrop
    augment: bool = False

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example, as it is unless `augment`."""
        image = ClassifierSampler(self.crop)(sample, rng)["image"] if self.augment else self.crop(sample.face)
        group = encode_group(sample.groups)
        codes = {"label": sample.label, "group": -1 if group is None else group}
        return {"image": image, **{name: np.array(code, np.int64) for name, code in codes.items()}}


class FddMixin:
    """What both ports do alike; to be mixed in before a backend's base class. A port defines `build_network`.

    Args:
        variant: `paper`, or `released` as the co-author's code in AI-Face-FairnessBench trains.
        input_size: side of the crop.
        backbone: `xception`, or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`.
        alpha: the share of samples (dag-fdd) or groups (daw-fdd) that the loss is of; 1 is the mean.
        alpha_group: of daw-fdd, the share of each group's samples.
        gradient: `exact`, or `released`, in PyTorch; the variant's own by default.
        augment: augment training images mildly; neither paper nor released code does.
        pretrained: start from ImageNet weights, which are downloaded; otherwise nothing is.

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
        pretrained: bool = False,
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

    def build_network(self, backbone_args: Options, pretrained: bool) -> None:
        """Start the backend's base class with the network of `backbone`."""
        raise NotImplementedError

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> GroupSampler:
        """Face boxes with the code of their group."""
        return GroupSampler(self.cropper(), self.augment)

    def reference_name(self, name: str) -> str:
        """Return the released code's name of one of our weights."""
        return "backbone." + name.replace("fc.", "last_linear.") if self.backbone == "xception" else name

    def is_unused(self, name: str) -> bool:
        """Return whether it is of a layer that DeepfakeBench's Xception has and doesn't use."""
        return name.startswith(UNUSED_IN_XCEPTION)


class GroupsMixin:
    """What daw-fdd adds: it learns from groups."""

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Keep the annotated videos.

        Raises:
            BenchError: see `keep_annotated`.
        """
        kept = keep_annotated(videos, "daw-fdd")
        return kept, "gender or race isn't known (add them in demographics.csv in the dataset's folder)"
