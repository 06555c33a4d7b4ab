"""CORE's losses (section 3.2 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CLASS_WEIGHTS = (4.0, 1.0)  # Real, fake: FF++ has four fakes per real video.
DISTANCES = ("cosine", "l2", "l1")


def consistency_loss(features: Tensor, distance: str = "cosine") -> Tensor:
    """Return how far apart the features of two views of the same images are.

    Args:
        features: (2 N, C), all first views, then all second views.
        distance: `cosine`, the mean of (1 - cosine) squared; `l2` or `l1`, the mean squared or absolute difference.
    """
    first, second = features.float().chunk(2)
    if distance == "l2":
        return F.mse_loss(first, second)
    if distance == "l1":
        return F.l1_loss(first, second)
    return (1 - F.cosine_similarity(first, second)).square().mean()


def weighted_cross_entropy(logits: Tensor, label: Tensor, total: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of two logits (N, 2), in which reals weigh four times as much: over all their weights,
    or over a `total` of them.
    """
    weights = torch.tensor(CLASS_WEIGHTS, device=logits.device)
    if total is None:
        return F.cross_entropy(logits.float(), label, weights)
    return F.cross_entropy(logits.float(), label, weights, reduction="sum") / total


def add_weights(label: Tensor) -> Tensor:
    """Return what labels (N,) weigh together."""
    return torch.tensor(CLASS_WEIGHTS, device=label.device)[label].sum()
