"""The conditional value at risk: the mean of the worst share of some losses (section 3 of the paper)."""

from __future__ import annotations

import torch
from scipy.optimize import fminbound
from torch import Tensor
from torch.nn import functional as F

GRADIENTS = ("exact", "released")


def compute_errors(logits: Tensor, label: Tensor) -> Tensor:
    """Return each sample's cross-entropy (N,) from one logit (N, 1) or two (N, 2)."""
    alone = logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return F.binary_cross_entropy_with_logits(alone.float(), label.float(), reduction="none")


def compute_cvar(errors: Tensor, alpha: float, gradient: str = "exact") -> Tensor:
    """Return the mean of the worst share `alpha` of errors (N,); with 1 it is exactly their mean.

    Args:
        errors: one loss per sample.
        alpha: within 0..1.
        gradient: `exact`, or `released`: at the point where the released code's search for the threshold stops, so that
            a sample at the threshold counts fully or not at all, by accident.
    """
    if gradient == "released":
        return _search_cvar(errors, alpha)
    weights = compute_weights(errors.detach()[None], torch.ones_like(errors, dtype=torch.bool)[None], alpha)[0]
    return (weights * errors).sum()


def compute_group_cvar(
    errors: Tensor, group: Tensor, alpha: float, alpha_group: float, gradient: str = "exact"
) -> Tensor:
    """Return the mean over the worst share `alpha` of groups, each the mean of its worst share `alpha_group`.

    Each group that is present counts once, however large it is.

    Args:
        errors: one loss per sample, (N,).
        group: group codes (N,).
        alpha: share of the groups.
        alpha_group: share of a group's samples.
        gradient: see `compute_cvar`.
    """
    codes = group.unique()
    if gradient == "released":
        return _search_cvar(torch.stack([_search_cvar(errors[group == code], alpha_group) for code in codes]), alpha)
    members = group == codes[:, None]
    weights = compute_weights(errors.detach().expand(members.shape), members, alpha_group)
    return compute_cvar((weights * errors).sum(1), alpha)


def compute_weights(errors: Tensor, members: Tensor, alpha: float) -> Tensor:
    """Return the weight of each error in its row's CVaR, (G, N): 0 for non-members; each row sums to 1.

    Errors above the threshold have weight 1 / (alpha n); those at the threshold share the rest.
    """
    count = members.sum(1, keepdim=True)
    ordered = errors.masked_fill(~members, torch.inf).sort(1).values
    place = ((1 - alpha) * count).long().clamp(max=errors.shape[1] - 1)
    threshold = ordered.gather(1, place)
    above, level = members & (errors > threshold), members & (errors == threshold)
    full = 1 / (alpha * count)
    left = (1 - above.sum(1, keepdim=True) * full) / level.sum(1, keepdim=True)
    return above * full + level * left


def _search_cvar(errors: Tensor, alpha: float) -> Tensor:
    values = errors.detach().cpu().double().numpy()

    def evaluate(threshold: float) -> float:
        return float(threshold + (values - threshold).clip(0).mean() / alpha)

    threshold = float(fminbound(evaluate, values.min() - 1000.0, values.max()))
    return threshold + F.relu(errors - threshold).mean() / alpha
