"""UCF's losses (section 3.3 of the paper, and the released code where they differ)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..pgfdd.objective import contrastive_loss

WEIGHTS = {"sha": 1.0, "spe": 0.1, "rec": 0.3, "con": 0.05}


def compute_losses(
    outputs: dict[str, Tensor], x: Tensor, label: Tensor, method: Tensor, anchors: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return the weighted sum as `loss`, and its four components.

    Args:
        outputs: output of `UcfNet.training_outputs`.
        x: float32 (N, 3, S, S), the network's input: real, then fake.
        label: 0 or 1, (N,).
        method: 0 for real, else the manipulation's number, (N,).
        anchors: for the common and the specific features, the sample that each of the N should be close to.
    """
    real, fake = x.chunk(2)
    drawn = {"self_recon_1": fake, "self_recon_2": real, "recon_2": fake, "recon_1": real}
    features = (outputs["feat"].float(), outputs["feat_spe"].float())
    parts = {
        "sha": F.cross_entropy(outputs["cls"].float(), label),
        "spe": F.cross_entropy(outputs["cls_spe"].float(), method),
        "rec": torch.stack([F.l1_loss(outputs[name].float(), image) for name, image in drawn.items()]).sum(),
        "con": torch.stack([contrastive_loss(*pair) for pair in zip(features, anchors, strict=True)]).sum(),
    }
    return {"loss": torch.stack([weight * parts[name] for name, weight in WEIGHTS.items()]).sum(), **parts}
