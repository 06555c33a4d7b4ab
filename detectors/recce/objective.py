"""RECCE's losses (section 3.4 of the paper, and the flooding that the released code adds)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOD = 0.04
WEIGHT = 0.1  # Of the reconstruction loss and of the metric loss.


def compute_losses(outputs: dict[str, Tensor], x: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Return `loss` and its components: `bce`, `flooded`, `rec` (reals only) and `ml`.

    Args:
        outputs: output of `Recce` with one logit.
        x: float32 (N, 3, S, S), the network's input.
        label: 0 or 1, (N,).
    """
    bce = F.binary_cross_entropy_with_logits(outputs["logits"][:, 0].float(), label.float())
    flooded = (bce - FLOOD).abs() + FLOOD
    rec = reconstruction_loss(outputs["recons"], x, label)
    ml = metric_loss([outputs[f"corr_{name}"] for name in ("embedding", "d2", "d4")], label)
    return {"loss": flooded + WEIGHT * (rec + ml), "bce": bce, "flooded": flooded, "rec": rec, "ml": ml}


def reconstruction_loss(recons: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Return the mean absolute error of reconstructed real images (N, 3, S, S); 0 if there are none."""
    real = (label == 0)[:, None, None, None]  # A mask: a GPU would have to be waited for to know how many there are.
    off = (recons.float() - x).abs().masked_fill(~real, 0)
    return off.sum() / (real.sum() * x[0].numel()).clamp(min=1)


def metric_loss(alike: Sequence[Tensor], label: Tensor) -> Tensor:
    """Return how far reals are from being similar to each other and dissimilar to fakes; a sum over matrices (N, N).

    Fakes needn't be similar. With fewer than two reals nothing is similar, so each matrix adds at least 1.
    """
    real, fake = (label == 0).float(), (label != 0).float()
    pairs = real[:, None] * real * (1 - torch.eye(len(label), device=label.device))
    across = real[:, None] * fake
    terms = [F.relu(1 - _average(matrix, pairs) + _average(matrix, across)) for matrix in alike]
    return torch.stack(terms).sum()


def _average(matrix: Tensor, chosen: Tensor) -> Tensor:
    return (matrix.float() * chosen).sum() / (chosen.sum() + 1e-6)
