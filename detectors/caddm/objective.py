"""The detection loss of the artifact detection module: SSD's MultiBox loss with hard negative mining."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .shared import NEGATIVES_PER_POSITIVE


def multibox_loss(
    loc: Tensor, conf: Tensor, loc_targets: Tensor, conf_targets: Tensor, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the box and the class loss, two scalars, each over the number of positive anchors: `count`, or their own.

    `loc` and `loc_targets` are (N, 168, 4), `conf` (N, 168, 2), `conf_targets` (N, 168) of 0 and 1. An image without a
    positive anchor, such as every real one, adds nothing, as in the released code. Anchors that don't count are masked,
    not left out: a GPU would have to be waited for to know how many there are.
    """
    loc, conf = loc.float(), conf.float()  # Sums over half-precision outputs would lose digits.
    positive = conf_targets > 0
    count = positive.sum().clamp(min=1) if count is None else count
    loss_loc = F.smooth_l1_loss(loc, loc_targets, reduction="none").masked_fill(~positive[..., None], 0)
    loss_conf = F.cross_entropy(conf.flatten(0, 1), conf_targets.flatten(), reduction="none").view_as(conf_targets)
    chosen = positive | hard_negatives(conf, conf_targets)
    return loss_loc.sum() / count, loss_conf.masked_fill(~chosen, 0).sum() / count


@torch.no_grad()
def hard_negatives(conf: Tensor, conf_targets: Tensor) -> Tensor:
    """Mark in each image the background anchors with the largest loss, two for each positive one: bool (N, 168)."""
    positive = conf_targets > 0
    loss = F.cross_entropy(conf.transpose(1, 2), conf_targets, reduction="none").masked_fill(positive, 0)
    rank = loss.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    wanted = (NEGATIVES_PER_POSITIVE * positive.sum(1, keepdim=True)).clamp(max=conf_targets.shape[1] - 1)
    return (rank < wanted) & ~positive
