"""GenD's losses on normalised features (section 3.3 of the paper), after Wang and Isola 2020."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-6  # Lower bound of uniformity's mean before the logarithm.


def alignment_loss(features: Tensor, label: Tensor) -> Tensor:
    """Return the mean squared distance over all same-label pairs of features (N, C) of length 1; 0 without pairs."""
    rows, columns = _list_pairs(features)
    same = (label[rows] == label[columns]).float()
    distances = _square_distances(features, rows, columns)
    return (distances * same).sum() / same.sum().clamp(min=1)


def uniformity_loss(features: Tensor) -> Tensor:
    """Return the log of the mean of exp(-2 d^2) over all pairs of features (N, C) of length 1; 0 without pairs."""
    rows, columns = _list_pairs(features)
    if not len(rows):
        return features.sum() * 0
    return (-2 * _square_distances(features, rows, columns)).exp().mean().clamp(min=LEAST).log()


def _list_pairs(features: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = torch.triu_indices(len(features), len(features), 1, device=features.device)
    return rows, columns


def _square_distances(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return (features[rows] - features[columns]).square().sum(1)
