"""The fairness detectors of the harness (PyTorch): `pgfdd` as its code was released, and `pgfdd_fixed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...benchmark.registry import detectors
from ..torch_detector import TorchDetector
from .network import FairnessNet
from .objective import losses, rotated, shuffled
from .shared import PairLearner, TrainingPass, family_names, family_of, halves


@detectors.register(
    "pgfdd",
    backend="torch",
    aliases=("fair_df_detector", "pg-fdd", "pfgdfd"),
    title="PG-FDD (Preserving Fairness Generalization)",
    paper="Preserving Fairness Generalization in Deepfake Detection",
    year=2024,
    url="https://arxiv.org/abs/2402.17229",
    license="MIT",
    input_size=256,
    learns_groups=True,
)
class Pgfdd(PairLearner, TorchDetector):
    """Forgery, content and demographics told apart, trained for the group that is worst off.

    Args:
        backbone: `xception`, `resnet34`, `resnet50`, `efficientnet-b3`, `efficientnet-b4`, or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`, such as `channels`.
        width: channels of the encoders' maps; 512 in the paper.
        input_size: side of the crop, 32 times the side of the encoders' maps.
        exact: score with all encoders, as the released code does; the scores are the same.
        reference_score: `softmax`, or `logit1` for the sigmoid of the fake logit alone, as the paper was evaluated.
        augment: augment training images mildly; the paper doesn't.
        checkpointing: train in less memory and a third more time; gradients are the same.
        pretrained: start from timm's ImageNet weights, which are downloaded; otherwise nothing is.

    Raises:
        BenchError: an option isn't valid.
    """

    network: FairnessNet

    def __init__(
        self,
        *,
        backbone: str = "xception",
        backbone_args: Mapping[str, Any] | None = None,
        width: int = 512,
        input_size: int = 256,
        exact: bool = False,
        reference_score: str = "softmax",
        augment: bool = False,
        checkpointing: bool = True,
        pretrained: bool = False,
    ):
        super().__init__()
        self.take_options(input_size, exact, reference_score, augment)
        self.network = FairnessNet(
            backbone,
            width,
            repaired=self.repaired,
            checkpointing=checkpointing,
            pretrained=pretrained,
            backbone_args=backbone_args,
        )

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return frames.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the released code's inference outputs, and `logits` (N, 2), whose softmax is the score."""
        outputs = family_names(self.network(x, exact=self.exact))
        logits = outputs["cls_fused"]
        if self.network.ai_face or self.reference_score == "logit1":
            alone = logits[:, -1]
            logits = torch.stack([torch.zeros_like(alone), alone], 1)
        return {**outputs, "logits": logits}

    def _place(self) -> None:
        if self.exact or self.repaired:
            super()._place()
        else:
            for name in ("encoder_f", "block_sha", "head_sha", "head_fused"):  # The rest needn't be on the device.
                getattr(self.network, name).to(self.device)

    # ---- training

    def arranged(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Leave out what has lost its partner."""
        real, fake = halves(batch)
        return {name: np.concatenate([real[name], fake[name]]) for name in real}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its parts for a batch of which the first half is real.

        `image` is uint8 (N, S, S, 3) RGB from the sampler, or float (N, 3, S, S) as `normalise` makes it.
        """
        return self._learn(batch)[1]

    def _learn(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        image = batch["image"]
        x = self.normalise(image) if image.dtype == torch.uint8 else image
        outputs = self.network.training_outputs(x)
        margins = torch.as_tensor(self.margins(self.network.ai_face), device=x.device)
        common, specific = batch["label"], batch["label_spe"]
        anchors = (
            (shuffled(common), shuffled(specific)) if self.noisy else (rotated(common), rotated(specific, popped=True))
        )
        return outputs, losses(outputs, x, batch, margins, anchors)

    def freeze_noise(self) -> Self:
        """Switch off all that is random in training: dropout, and the draw of the contrastive loss's anchors."""
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
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
        """Run the network and its losses forth and back, without a step: for comparing with other implementations.

        Args:
            x: float32 (N, 3, S, S), normalised; the first half real, the second fake.
            label: 0 or 1, (N,).
            label_spe: 0 (real) to 5, (N,).
            intersec_label: 0 to 7, (N,).
            batch_statistics: batch norm uses the batch's statistics and updates the running ones; else it uses those.
        """
        self.network.to(self.device).train(batch_statistics)
        given = {"label": label, "label_spe": label_spe, "intersec_label": intersec_label}
        batch = {k: torch.as_tensor(np.asarray(v, np.int64), device=self.device) for k, v in given.items()}
        batch["image"] = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
        self.network.zero_grad(set_to_none=True)
        outputs, found = self._learn(batch)
        found["loss"].backward()
        gradients = {k: p.grad for k, p in self.network.named_parameters() if p.grad is not None}
        self.network.zero_grad(set_to_none=True)
        return TrainingPass.named(
            {k: v.detach().cpu().numpy() for k, v in outputs.items()},
            {k: float(v.detach()) for k, v in found.items()},
            {k: v.cpu().numpy() for k, v in self.to_reference(gradients).items()},
        )

    # ---- checkpoints

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the family, CVPR 2024's or AI-Face's, that a checkpoint's heads tell."""
        if family := family_of(shapes):
            self.network.resize(*family)

    def to_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename our state dict's keys to the released code's."""
        return {_reference_key(k): v for k, v in state.items()}

    def from_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename the released code's keys to our state dict's."""
        ours = {_reference_key(k): k for k in self.network.state_dict()}
        return {ours[k]: v for k, v in state.items()}


@detectors.register(
    "pgfdd_fixed",
    backend="torch",
    title="PG-FDD, repaired",
    paper="Preserving Fairness Generalization in Deepfake Detection",
    year=2024,
    url="https://arxiv.org/abs/2402.17229",
    input_size=256,
    learns_groups=True,
)
class PgfddFixed(Pgfdd):
    """PG-FDD whose demographic branch reaches the decision: the maps are joined by `block_fused` before pooling.

    Options are those of `pgfdd`; the content encoder alone can be spared in scoring.
    """

    repaired = True


def _reference_key(key: str) -> str:
    return key.replace(".body.fc.", ".last_linear.").replace(".body.", ".")
