"""What both PG-FDD ports share: options, data, rules and constants. No backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Self, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.types import FAKE, REAL, Video
from ..common.crops import BoxCrop
from ..common.fit import Shaped
from ..common.options import Options, check_multiple
from . import labels
from .labels import AIFACE_COUNTS, FFPP_COUNTS, METHODS, FairnessSampler, TrainingSetStats, compute_ldam_margins

if TYPE_CHECKING:
    from ...benchmark.core.settings import TrainSettings

S = TypeVar("S", bound=Shaped)
SCORES = ("softmax", "logit1")
FAMILIES = ((len(METHODS) + 1, 2), (4, 1))  # CVPR 2024 and AI-Face: widths of head_spe and head_fused.
HIDDEN = 512  # Width of the heads.
STRIDE = 32  # The decoder enlarges an encoder's map by this much.

# ---- losses

WEIGHTS = {"common": 1.0, "specific": 0.1, "reconstruction": 0.3, "contrastive": 0.05, "fairness": 0.1, "fusion": 1.0}
INNER, OUTER = 0.9, 0.5  # The shares of samples and of groups that CVaR averages over.
TAU1, TAU2 = 1e-3, 1e-4
REACH = 88.72284 * TAU1  # Beyond this, exp overflows float32 and the released code's search for lambda ends.


class TrainingPass(NamedTuple):
    """One pass in training mode, under the released code's names: outputs, losses, and the total loss's gradients."""

    outputs: dict[str, np.ndarray]
    losses: dict[str, float]
    gradients: dict[str, np.ndarray]

    @classmethod
    def from_outputs(
        cls, outputs: Mapping[str, np.ndarray], losses: Mapping[str, float], gradients: dict[str, np.ndarray]
    ) -> Self:
        """Add the released code's `prob*` to CVPR 2024's logits, and use its names for outputs and losses."""
        probabilities = (
            {}
            if is_ai_face(outputs)
            else {k.replace("cls", "prob"): _softmax(v)[:, 1] for k, v in outputs.items() if k.startswith("cls")}
        )
        overall = {("overall" if k == "loss" else k): v for k, v in losses.items()}
        return cls(rename_outputs({**outputs, **probabilities}), overall, gradients)


class NetworkOptions(TypedDict):
    """What determines the network's weights; see `PgfddMixin`."""

    backbone: str
    width: int
    backbone_args: Options


class PgfddMixin:
    """What both ports have in common; mix in before a backend's base class. A port defines `build_network`.

    Args:
        backbone: `xception`, `resnet34`, `resnet50`, `efficientnet-b3`, `efficientnet-b4`, or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`, such as `channels`.
        width: channels of the encoders' maps; 512 in the paper.
        input_size: side of the crop, 32 times the side of the encoders' maps.
        exact: score with all encoders, as the released code does; the scores are the same.
        reference_score: `softmax`, or `logit1` for the sigmoid of the fake logit alone, as in the paper's evaluation.
        augment: augment training images mildly; the paper doesn't.
        checkpointing: train with less memory in a third more time, in PyTorch only if memory is short; gradients are
            the same.
        pretrained: start from timm's ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the network can't be built.
    """

    repaired = False
    noisy = True
    training_stats: TrainingSetStats | None = None
    takes_any_size = True  # Only the decoder, which scoring doesn't use, needs multiples of 32.

    def __init__(
        self,
        *,
        backbone: str = "xception",
        backbone_args: Options | None = None,
        width: int = 512,
        input_size: int = 256,
        exact: bool = False,
        reference_score: str = "softmax",
        augment: bool = False,
        checkpointing: bool = True,
        pretrained: bool | str = False,
    ):
        require_known("pgfdd reference_score", reference_score, SCORES)
        check_multiple("pgfdd", "input_size", input_size, STRIDE, 2 * STRIDE, 256)
        check_multiple("pgfdd", "width", width, 8, 8, 512)
        self.input_size, self.exact, self.reference_score, self.augment = input_size, exact, reference_score, augment
        network = NetworkOptions(backbone=backbone, width=width, backbone_args=dict(backbone_args or {}))
        self.build_network(network, checkpointing, pretrained)

    def build_network(self, network: NetworkOptions, checkpointing: bool, pretrained: bool | str) -> None:
        """Start the backend's base class with the network of these options."""
        raise NotImplementedError

    def usable(self, batch: Mapping[str, np.ndarray]) -> bool:
        """Return whether a training batch still has a pair of a real and a fake image."""
        return has_pair(batch)

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Read manipulations and group sizes from the training videos.

        Returns the annotated videos, and what the others lack.

        Raises:
            BenchError: see `labels.inspect_training_set`.
        """
        kept, self.training_stats = labels.inspect_training_set(videos, frames)
        return kept, "gender or race is unknown (add them in demographics.csv in the dataset's folder)"

    def sampler(self) -> FairnessSampler:
        """Face boxes with their codes, as `inspect_training_set` numbered the manipulations."""
        methods = self.training_stats.methods if self.training_stats else labels.number_methods(METHODS)
        return FairnessSampler(self.cropper(), methods, self.augment)

    def compute_margins(self, ai_face: bool) -> NDArray[np.float32]:
        """Return each group's margin (8,) from the training set's group sizes, or the papers' if not inspected yet."""
        counts = self.training_stats.counts if self.training_stats else AIFACE_COUNTS if ai_face else FFPP_COUNTS
        return compute_ldam_margins(counts).astype(np.float32)

    def freeze_noise(self) -> Self:
        """Turn off all randomness in training: dropout, and the choice of the contrastive loss's anchors."""
        self.noisy = False
        return self

    def training_pass(
        self,
        x: np.ndarray,
        label: np.ndarray,
        label_spe: np.ndarray,
        intersec_label: np.ndarray,
        *,
        batch_statistics: bool = True,
    ) -> TrainingPass:
        """Run the network and its losses forward and backward without a step, to compare with other implementations.

        Args:
            x: float32 (N, 3, S, S), normalised; the first half real, the second fake.
            label: 0 or 1, (N,).
            label_spe: 0 (real) to 5, (N,).
            intersec_label: 0 to 7, (N,).
            batch_statistics: batch norm uses the batch's statistics and updates the running ones; else it uses the
                latter.
        """
        given = {"label": label, "label_spe": label_spe, "intersec_label": intersec_label}
        batch = {k: np.asarray(v, np.int64) for k, v in given.items()}
        batch["image"] = np.ascontiguousarray(x, np.float32)
        return TrainingPass.from_outputs(*self.run_forward_backward(batch, batch_statistics))

    def run_forward_backward(
        self, batch: dict[str, np.ndarray], batch_statistics: bool
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, np.ndarray]]:
        """Return outputs, losses and gradients of a batch; see `training_pass`."""
        raise NotImplementedError

    def check_training(self, settings: TrainSettings) -> None:
        """Reject settings that don't make batches of pairs; called before any work, and when a session starts.

        Raises:
            BenchError: the batches aren't balanced, or their size is odd.
        """
        check_pairs("pgfdd", settings)


def has_pair(batch: Mapping[str, np.ndarray]) -> bool:
    """Return whether a training batch has a real and a fake."""
    return {REAL, FAKE} <= set(batch.get("label", np.empty(0)).tolist())


def check_pairs(who: str, settings: TrainSettings) -> None:
    """Reject settings that don't make batches of pairs, for the detector `who`.

    Raises:
        BenchError: the batches aren't balanced, or their size is odd.
    """
    if not settings.balance or settings.batch_size % 2:
        raise BenchError(
            f"{who} trains on pairs of a real and a fake, got balance={settings.balance} and "
            f"batch_size={settings.batch_size}. Use --set train.balance=true and an even --set train.batch_size"
        )


def infer_family(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """Return the widths of head_spe and head_fused in a checkpoint; None if they match no family."""
    methods, fused = ((*shapes.get(f"head_{name}.mlp.2.weight", ()), 0)[0] for name in ("spe", "fused"))
    return (methods, fused) if (methods, fused) in FAMILIES else None


def is_ai_face(outputs: Mapping[str, Shaped]) -> bool:
    """Return whether outputs are from the AI-Face family, whose fused head has a single logit."""
    return outputs["cls_fused"].shape[1] == 1


def rename_outputs(outputs: Mapping[str, S]) -> dict[str, S]:
    """Name outputs as their family does: AI-Face calls the fused logit `cls` and the common ones `cls_ag`."""
    if not is_ai_face(outputs):
        return dict(outputs)
    return {**outputs, "cls_ag": outputs["cls"], "cls": outputs["cls_fused"]}


def split_halves(batch: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Return the pairs of a batch: as many reals as fakes, in order; unpaired examples are left out."""
    rows = [np.flatnonzero(batch["label"] == label) for label in (REAL, FAKE)]
    count = min(map(len, rows))
    return [{k: v[row[:count]] for k, v in batch.items()} for row in rows]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
