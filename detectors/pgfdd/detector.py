"""PG-FDD as a detector of the harness (PyTorch): `pgfdd` as released, and `pgfdd_fixed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ...benchmark.core.registry import detectors
from ..common_torch.detector import TorchDetector
from .network import FairnessNet
from .objective import losses, rotate_within_kinds, shuffle_within_kinds
from .shared import NetworkOptions, PgfddMixin, infer_family, rename_outputs, split_halves


@detectors.register(
    "pgfdd",
    backend="torch",
    aliases=("fair_df_detector", "pg-fdd", "pfgdfd"),
    title="PG-FDD (Preserving Fairness Generalization)",
    paper="Preserving Fairness Generalization in Deepfake Detection",
    venue="CVPR",
    year=2024,
    url="https://arxiv.org/abs/2402.17229",
    license="original: MIT",
    weights="the authors', trained on AI-Face; none of the paper's. Starts from timm's legacy_xception.tf_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times (the paper: aligned by dlib)",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="released code, which the paper describes: its fusion can't change the decision, which pgfdd_fixed "
    "repairs. Selected on the source's validation split",
    input_size=256,
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters"),
)
class Pgfdd(PgfddMixin, TorchDetector):
    """Separates forgery, content and demographics; trained for the worst-off group.

    The options are those of `PgfddMixin`.

    Raises:
        BenchError: an option isn't valid.
    """

    needs_whole_batch = "its losses are of the demographic groups in a batch"
    network: FairnessNet

    def build_network(self, network: NetworkOptions, checkpointing: bool, pretrained: bool | str) -> None:
        """Start with the network of these options."""
        TorchDetector.__init__(self)
        self.network = FairnessNet(
            **network, repaired=self.repaired, checkpointing=checkpointing, pretrained=pretrained
        )

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return frames.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the released code's inference outputs, and `logits` (N, 2), whose softmax is the score."""
        outputs = rename_outputs(self.network(x, exact=self.exact))
        logits = outputs["cls_fused"]
        if self.network.ai_face or self.reference_score == "logit1":
            alone = logits[:, -1]
            logits = torch.stack([torch.zeros_like(alone), alone], 1)
        return {**outputs, "logits": logits}

    def _place(self) -> None:
        if self.exact or self.repaired:
            super()._place()
        else:
            for name in ("encoder_f", "block_sha", "head_sha", "head_fused"):  # The rest isn't needed on the device.
                getattr(self.network, name).to(self.device)

    # ---- training

    def arrange_batch(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Leave out examples that have lost their partner."""
        real, fake = split_halves(batch)
        return {name: np.concatenate([real[name], fake[name]]) for name in real}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its components for a batch whose first half is real.

        `image` is uint8 (N, S, S, 3) RGB from the sampler, or float (N, 3, S, S) as `normalise` returns it.
        """
        return self._learn(batch)[1]

    def _learn(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        x = self.inputs(batch["image"])
        outputs = self.network.training_outputs(x)
        margins = torch.as_tensor(self.compute_margins(self.network.ai_face), device=x.device)
        common, specific = batch["label"], batch["label_spe"]
        anchors = (
            (shuffle_within_kinds(common), shuffle_within_kinds(specific))
            if self.noisy
            else (rotate_within_kinds(common), rotate_within_kinds(specific, popped=True))
        )
        return outputs, losses(outputs, x, batch, margins, anchors)

    def freeze_noise(self) -> Self:
        """Turn off all randomness in training; see `PairLearner.freeze_noise`."""
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return super().freeze_noise()

    def run_forward_backward(
        self, batch: dict[str, np.ndarray], batch_statistics: bool
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, np.ndarray]]:
        """Return outputs, losses and gradients of a batch; see `training_pass`."""
        self.network.to(self.device).train(batch_statistics)
        self.network.zero_grad(set_to_none=True)
        outputs, found = self._learn({k: torch.from_numpy(v).to(self.device) for k, v in batch.items()})
        found["loss"].backward()
        gradients = {k: p.grad for k, p in self.network.named_parameters() if p.grad is not None}
        self.network.zero_grad(set_to_none=True)
        return (
            {k: v.detach().cpu().numpy() for k, v in outputs.items()},
            {k: float(v.detach()) for k, v in found.items()},
            {k: v.cpu().numpy() for k, v in self.to_reference(gradients).items()},
        )

    # ---- checkpoints

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Switch to a checkpoint's family, CVPR 2024's or AI-Face's, judging by its heads."""
        if family := infer_family(shapes):
            self.network.resize(*family)

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights."""
        return name.replace(".body.fc.", ".last_linear.").replace(".body.", ".")


@detectors.register(
    "pgfdd_fixed",
    backend="torch",
    title="PG-FDD, repaired",
    paper="Preserving Fairness Generalization in Deepfake Detection",
    venue="CVPR",
    year=2024,
    url="https://arxiv.org/abs/2402.17229",
    license="original: MIT",
    weights="none published; starts from timm's legacy_xception.tf_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times (the paper: aligned by dlib)",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="neither the paper nor the released code: the demographic map is fused before pooling, so that it "
    "affects the decision",
    input_size=256,
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters"),
)
class PgfddFixed(Pgfdd):
    """PG-FDD whose demographic branch affects the decision: `block_fused` joins the maps before pooling.

    Options are those of `pgfdd`; scoring can only skip the content encoder.
    """

    repaired = True
