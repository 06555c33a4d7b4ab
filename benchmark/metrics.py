"""Metrics: plain functions of labels (0 real, 1 fake) and scores (P(fake)), NaN where undefined.

Each takes optional sample weights of shape (..., n); the leading axes come back, so that one call with a (draws, n)
matrix of bootstrap counts gives the metric of every draw.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """Weights above or at each distinct score, from the highest score down: shape (..., distinct scores)."""

    thresholds: Array
    fakes: Array
    reals: Array


def curve(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Count, for every distinct score, the fakes and reals that score at least that much; ties count together."""
    y, s = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    order = np.argsort(-s, kind="stable")
    y, s, w = y[order], s[order], w[..., order]
    last = np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.array([], dtype=int)
    return Curve(s[last], np.cumsum(w * y, axis=-1)[..., last], np.cumsum(w * (1 - y), axis=-1)[..., last])


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Area under the ROC curve: the share of (fake, real) pairs in the right order, ties counting half."""
    _, fakes, reals = curve(labels, scores, weights)
    if fakes.shape[-1] == 0:
        return np.full(fakes.shape[:-1], np.nan)
    width = np.diff(reals, axis=-1, prepend=0)
    height = fakes - 0.5 * np.diff(fakes, axis=-1, prepend=0)
    return _ratio((width * height).sum(-1), fakes[..., -1] * reals[..., -1])


def average_precision(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Sum of precision times the step in recall over all thresholds, fake being the positive class."""
    _, fakes, reals = curve(labels, scores, weights)
    if fakes.shape[-1] == 0:
        return np.full(fakes.shape[:-1], np.nan)
    total = fakes + reals
    precision = np.divide(fakes, total, out=np.zeros_like(total), where=total > 0)
    area = (precision * np.diff(fakes, axis=-1, prepend=0)).sum(-1)
    defined = (fakes[..., -1] > 0) & (reals[..., -1] > 0)
    return np.where(defined, _ratio(area, fakes[..., -1]), np.nan)


def equal_error_rate(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """The rate at which false positives equal false negatives, on the ROC curve joined by straight lines."""
    _, fakes, reals = curve(labels, scores, weights)
    if fakes.shape[-1] == 0:
        return np.full(fakes.shape[:-1], np.nan)
    pad = [(0, 0)] * (fakes.ndim - 1) + [(1, 0)]
    fpr = np.pad(_ratio(reals, reals[..., -1:]), pad)
    fnr = 1 - np.pad(_ratio(fakes, fakes[..., -1:]), pad)
    after = np.argmax(fpr >= fnr, axis=-1)[..., None]
    at = [np.take_along_axis(rate, i, -1)[..., 0] for rate in (fpr, fnr) for i in (np.maximum(after - 1, 0), after)]
    gap_before, gap_after = at[2] - at[0], at[1] - at[3]
    share = _ratio(gap_before, gap_before + gap_after)
    return at[0] + np.where(np.isnan(share), 0, share) * (at[1] - at[0]) + 0 * (fpr + fnr)[..., -1]


def accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None) -> Array:
    """Share of samples on the right side; a score above `threshold` is called fake."""
    y, called = np.asarray(labels, dtype=bool), np.asarray(scores) > threshold
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    return _ratio((w * (y == called)).sum(-1), w.sum(-1))


def positive_rate(
    labels: ArrayLike, scores: ArrayLike, threshold: float, label: int, weights: ArrayLike | None = None
) -> Array:
    """Share of the samples of class `label` that score above `threshold`: FPR for label 0, TPR for label 1."""
    chosen = np.asarray(labels) == label
    w = np.ones(len(chosen)) if weights is None else np.asarray(weights, dtype=float)
    return _ratio((w * (chosen & (np.asarray(scores) > threshold))).sum(-1), (w * chosen).sum(-1))


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the threshold with the largest TPR - FPR (Youden), midway to the next score; 0.5 on one-class data."""
    thresholds, fakes, reals = curve(labels, scores)
    if len(thresholds) == 0 or fakes[-1] == 0 or reals[-1] == 0:
        return 0.5
    best = int(np.argmax(fakes / fakes[-1] - reals / reals[-1]))
    below = thresholds[best + 1] if best + 1 < len(thresholds) else thresholds[best]
    return float((thresholds[best] + below) / 2)


def _ratio(numerator: Array, denominator: Array) -> Array:
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
