"""Forensics Adapter's losses (section 3.3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .network import WATCHED

WEIGHTS = {"cls": 10.0, "xray": 200.0, "intra": 20.0, "clip": 10.0}
TEMPERATURE = 0.5


def compute_losses(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weighted sum as `loss`, and its four components.

    Args:
        outputs: output of `ForensicsNet`.
        batch: `label` (N,), `boundary` (N, S, S), `patches` (N, h w) and `clip_patches` (N, 256), 1 where forged.
    """
    label = batch["label"]
    parts = {
        "cls": F.cross_entropy(outputs["logits"].float(), label),
        "xray": F.mse_loss(outputs["xray"][:, 0].float(), batch["boundary"]),
        "intra": torch.stack([within_loss(outputs[f"adapter_{i}"], batch["patches"], label) for i in WATCHED]).sum(),
        "clip": within_loss(outputs["clip_6"], batch["clip_patches"], label) + across_loss(outputs["clip_6"], label),
    }
    return {"loss": torch.stack([weight * parts[name] for name, weight in WEIGHTS.items()]).sum(), **parts}


def within_loss(features: Tensor, forged: Tensor, label: Tensor) -> Tensor:
    """Return how similar the genuine and forged patches of fakes are; 0 without fakes.

    Patches of the other kind count as zero vectors, which are similar to nothing but still enter the sums.

    Args:
        features: (N, L, C).
        forged: 1 for forged patches, (N, L).
        label: (N,).
    """
    fakes = label == 1
    if not fakes.any():
        return features.sum() * 0
    chosen, part = features[fakes].float(), forged[fakes, :, None].float()
    return contrast(chosen * (1 - part), chosen * part)


def across_loss(features: Tensor, label: Tensor) -> Tensor:
    """Return how similar patches (N, L, C) of reals and fakes are; uses the same number of each, the first ones."""
    reals, fakes = features[label == 0].float(), features[label == 1].float()
    count = min(len(reals), len(fakes))
    return contrast(reals[:count], fakes[:count]) if count else features.sum() * 0


def contrast(genuine: Tensor, forged: Tensor) -> Tensor:
    """Return -log(P / (P + N)) within images: P compares genuine patches (B, L, C), N genuine with forged ones."""
    genuine, forged = F.normalize(genuine, dim=-1), F.normalize(forged, dim=-1)
    alike, unlike = (((a @ genuine.transpose(1, 2)) / TEMPERATURE).exp().sum() for a in (genuine, forged))
    return -(alike / (alike + unlike)).log()
