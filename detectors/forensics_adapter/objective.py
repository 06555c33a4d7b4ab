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
    whole, part = features.float(), forged[..., None].float()
    return contrast(whole * (1 - part), whole * part, label == 1)


def across_loss(features: Tensor, label: Tensor) -> Tensor:
    """Return how similar patches (N, L, C) of reals and fakes are; uses the same number of each, the first ones."""
    most = len(label) // 2  # There can't be more pairs; a GPU would have to be waited for to know how many there are.
    reals, fakes = (features[kind.argsort(stable=True)[:most]].float() for kind in (label, 1 - label))
    pairs = torch.minimum(label.sum(), (1 - label).sum())
    return contrast(reals, fakes, torch.arange(most, device=label.device) < pairs)


def contrast(genuine: Tensor, forged: Tensor, counts: Tensor) -> Tensor:
    """Return -log(P / (P + N)) within images: P compares genuine patches (B, L, C), N genuine with forged ones.

    `counts`, bool (B,), says which images count; if none do, the loss is 0.
    """
    genuine, forged = F.normalize(genuine, dim=-1), F.normalize(forged, dim=-1)
    nearness = (((a @ genuine.transpose(1, 2)) / TEMPERATURE).exp() for a in (genuine, forged))
    alike, unlike = (one.masked_fill(~counts[:, None, None], 0).sum() for one in nearness)
    return -torch.where(counts.any(), alike / (alike + unlike).clamp(min=1e-12), 1.0).log()
