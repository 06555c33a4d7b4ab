"""UCF as a detector of the harness (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...benchmark.core.registry import detectors
from ...benchmark.core.types import FAKE, TrainSample, Video
from ..baselines.xception_family import XceptionFamily
from ..common import augmentations
from ..common.augmentations import Augment
from ..common.crops import BoxCrop
from ..common.options import check_range
from ..pgfdd.labels import METHODS, number_methods
from ..pgfdd.objective import shuffle_within_kinds
from ..pgfdd.shared import check_pairs, has_pair, split_halves
from .network import UcfNet
from .objective import compute_losses

if TYPE_CHECKING:
    from ...benchmark.core.settings import TrainSettings

SHUFFLED = 0.7  # How often common features are shuffled among the reals and among the fakes.
HEAD = "head_spe.mlp.2.weight"


@dataclass(frozen=True)
class MethodSampler:
    """Makes `image` uint8 (S, S, 3) RGB, and int64 `label` and `label_spe`, the manipulation."""

    uses_original: ClassVar[bool] = False
    uses_face: ClassVar[bool] = False
    crop: BoxCrop
    augment: Augment
    methods: Mapping[str, int] = field(default_factory=lambda: number_methods(METHODS))

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example."""
        method = self.methods[sample.method] if sample.label == FAKE else 0
        codes = {"label": sample.label, "label_spe": method}
        image = self.augment(sample.cut(self.crop), rng)
        return {"image": image, **{name: np.array(code, np.int64) for name, code in codes.items()}}


@detectors.register(
    "ucf",
    backend="torch",
    title="UCF (Uncovering Common Features)",
    paper="UCF: Uncovering Common Features for Generalizable Deepfake Detection",
    venue="ICCV",
    year=2023,
    url="https://arxiv.org/abs/2304.13949",
    license="original (in DeepfakeBench, by the same authors): CC BY-NC 4.0",
    weights="DeepfakeBench's (CC BY-NC 4.0); starts from timm's legacy_xception.tf_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper, released and deepfakebench are the same code. The paper's settings aren't public",
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters"),
)
class Ucf(XceptionFamily):
    """Separates content from forgery, and scores by what all manipulations have in common.

    Args:
        variant: `paper`, `released` or `deepfakebench`, which are the same.
        input_size: side of the crop.
        methods: the number of manipulations to distinguish.
        augment: see `XceptionFamily`; DeepfakeBench's by default.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who = "ucf"
    variants = ("paper", "released", "deepfakebench")
    needs_whole_batch = "its contrastive loss compares faces from all over a batch"
    network: UcfNet
    codes: Mapping[str, int] | None = None

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 256,
        methods: int = 4,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        check_range("ucf", "methods", methods, 1, len(METHODS), 4)
        self.methods = methods
        super().__init__(variant, input_size, augment, pretrained)

    def build_network(self, pretrained: bool | str) -> nn.Module:
        """Return the network for this number of manipulations."""
        return UcfNet(self.methods, pretrained)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2) and the `features` (N, 256) that they are computed from."""
        outputs = self.network(x)
        return {"logits": outputs["cls"], "features": outputs["feat"]}

    # ---- training

    def choose_augment(self) -> Augment:
        """Return how an image is augmented: as in DeepfakeBench unless set otherwise."""
        named = {"none": augmentations.keep, "mild": augmentations.augment_mildly}
        return named.get(self.augment, augmentations.augment_as_deepfakebench)

    def sampler(self) -> MethodSampler:
        """Face boxes with their manipulation's number."""
        known = {} if self.codes is None else {"methods": self.codes}
        return MethodSampler(self.cropper(), self.choose_augment(), **known)

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Number the manipulations of the training videos.

        Raises:
            BenchError: there are more than `number_methods` numbers.
        """
        self.codes = number_methods([v.method for v in videos if v.label == FAKE])
        if (count := max(self.codes.values(), default=1)) > self.methods:
            self.methods = count
            self.network.head_spe.resize(count + 1)
        return videos, ""

    def usable(self, batch: Mapping[str, np.ndarray]) -> bool:
        """Return whether a training batch still has a pair of a real and a fake image."""
        return has_pair(batch)

    def check_training(self, settings: TrainSettings) -> None:
        """Reject settings that don't make batches of pairs.

        Raises:
            BenchError: the batches aren't balanced, or their size is odd.
        """
        check_pairs("ucf", settings)

    def arrange_batch(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Leave out examples that have lost their partner."""
        real, fake = split_halves(batch)
        return {name: np.concatenate([real[name], fake[name]]) for name in real}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its components for a batch whose first half is real."""
        label, method = batch["label"], batch["label_spe"]
        order = shuffle_within_kinds(label) if float(torch.rand(())) < SHUFFLED else None
        return self.learn(batch, order, (shuffle_within_kinds(label), shuffle_within_kinds(method)))[1]

    def learn(
        self, batch: dict[str, Tensor], order: Tensor | None, anchors: tuple[Tensor, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return outputs and losses of a batch for given random draws; see `UcfNet` and `compute_losses`."""
        x = self.inputs(batch["image"])
        outputs = self.network.training_outputs(x, order)
        return outputs, compute_losses(outputs, x, batch["label"], batch["label_spe"], anchors)

    # ---- checkpoints

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take a checkpoint's number of manipulations."""
        if (rows := shapes.get(HEAD, (0,))[0]) > 1:
            self.methods = rows - 1
            self.network.head_spe.resize(rows)

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights."""
        return name.replace(".body.fc.", ".last_linear.").replace(".body.", ".")
