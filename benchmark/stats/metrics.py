"""Metrics: plain functions of labels (0 real, 1 fake) and scores (P(fake)), NaN where undefined.

Each takes optional sample weights of shape (..., n) and keeps the leading axes, so that one call with a (draws, n)
matrix of weights gives the metric for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """An ROC curve as total weights at or above each threshold, from the highest score down: shape (..., thresholds).

    Every ranking metric is a function of it: one sort serves them all, and leading axes are kept, so that the curves of
    many weights are measured at once. NaN without samples of both classes.
    """

    thresholds: Array
    fakes: Array
    reals: Array

    def auc(self) -> Array:
        """Area under the curve: the share of (fake, real) pairs in the right order, ties counting half."""
        if not self.thresholds.size:
            return self._make_undefined()
        fakes, width = self.steps
        height = self.fakes - 0.5 * fakes
        return _ratio((width * height).sum(-1), self.fakes[..., -1] * self.reals[..., -1])

    def average_precision(self) -> Array:
        """Sum of precision times the step in recall over all thresholds, fake being the positive class."""
        if not self.thresholds.size:
            return self._make_undefined()
        precision = np.nan_to_num(_ratio(self.fakes, self.fakes + self.reals))
        area = (precision * self.steps[0]).sum(-1)
        return np.where(self.reals[..., -1] > 0, _ratio(area, self.fakes[..., -1]), np.nan)

    def equal_error_rate(self) -> Array:
        """The rate at which false positives equal false negatives, on the linearly interpolated curve."""
        if not self.thresholds.size:
            return self._make_undefined()
        fpr, tpr = self.rates
        after = np.argmax(fpr >= 1 - tpr, axis=-1)[..., None]
        before = np.maximum(after - 1, 0)
        (x0, y0), (x1, y1) = ([np.take_along_axis(r, i, -1)[..., 0] for r in (fpr, tpr)] for i in (before, after))
        gap, next_gap = 1 - y0 - x0, y1 + x1 - 1
        share = np.nan_to_num(_ratio(gap, gap + next_gap))
        return x0 + share * (x1 - x0) + 0 * (fpr + tpr)[..., -1]

    def tpr_at_fpr(self, level: float) -> Array:
        """The largest TPR of a threshold whose FPR is at most `level`: without interpolation, so it is achievable."""
        if not self.thresholds.size:
            return self._make_undefined()
        last = np.count_nonzero(self.rates[0] <= level, axis=-1)[..., None] - 2
        fakes = np.where(last < 0, 0, np.take_along_axis(self.fakes, np.maximum(last, 0), -1))
        return _ratio(fakes, self.fakes[..., -1:])[..., 0] + 0 * _ratio(self.reals[..., -1], self.reals[..., -1])

    @cached_property
    def rates(self) -> tuple[Array, Array]:
        """FPR and TPR, (..., thresholds + 1), from (0, 0), where nothing is called fake, to (1, 1)."""
        pad = [(0, 0)] * (self.fakes.ndim - 1) + [(1, 0)]
        fpr, tpr = (np.pad(_ratio(count, count[..., -1:]), pad) for count in (self.reals, self.fakes))
        return fpr, tpr

    @cached_property
    def steps(self) -> tuple[Array, Array]:
        """Weights of the fakes and of the reals at each threshold, (..., thresholds)."""
        fakes, reals = (np.diff(count, axis=-1, prepend=0) for count in (self.fakes, self.reals))
        return fakes, reals

    def outline(self, points: int = 101) -> list[tuple[float, float]]:
        """Return (FPR, TPR) along the curve, in roughly equal steps; empty without samples of both classes."""
        fpr, tpr = self.rates
        if np.isnan(fpr + tpr).any():
            return []
        steps = np.unique(np.searchsorted(fpr + tpr, np.linspace(0, 2, points)))
        return list(zip(fpr[steps].round(4).tolist(), tpr[steps].round(4).tolist(), strict=True))

    def _make_undefined(self) -> Array:
        return np.full(self.fakes.shape[:-1], np.nan)


def make_roc_curve(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Count, for every distinct score, the fakes and reals with at least that score; ties count together."""
    return _make_curve(np.asarray(labels, dtype=float), *_sort(scores), weights)


def make_roc_curve_with_places(labels: ArrayLike, scores: ArrayLike) -> tuple[Curve, NDArray[np.int64]]:
    """Return the curve, and for each sample the number of its threshold, (n,)."""
    s, order, last = _sort(scores)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    return _make_curve(np.asarray(labels, dtype=float), s, order, last), place


def _sort(scores: ArrayLike) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Return the scores from the highest down, their order, and where the last of each distinct one is."""
    s = np.asarray(scores, dtype=float)
    order = np.argsort(-s)
    s = s[order]
    return s, order, np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.array([], dtype=int)


def _make_curve(
    y: Array, s: Array, order: NDArray[np.int64], last: NDArray[np.int64], weights: ArrayLike | None = None
) -> Curve:
    y = y[order]
    if weights is None:
        fakes, total = np.cumsum(y)[last], last + 1.0
    else:
        w = np.asarray(weights, dtype=float)[..., order]
        fakes, total = np.cumsum(w * y, axis=-1)[..., last], np.cumsum(w, axis=-1)[..., last]
    return Curve(s[last], fakes, total - fakes)


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Area under the ROC curve; see `Curve.auc`."""
    return make_roc_curve(labels, scores, weights).auc()


LEVELS_OF_FPR = {"tpr_at_fpr1": 0.01, "tpr_at_fpr5": 0.05}
RANK_METRICS: dict[str, Callable[[Curve], Array]] = {
    "auc": Curve.auc,
    "ap": Curve.average_precision,
    "eer": Curve.equal_error_rate,
    "tpr_at_fpr1": lambda c: c.tpr_at_fpr(LEVELS_OF_FPR["tpr_at_fpr1"]),
    "tpr_at_fpr5": lambda c: c.tpr_at_fpr(LEVELS_OF_FPR["tpr_at_fpr5"]),
}
"""The ranking metrics, by their name in a scorecard."""


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the threshold with the largest TPR - FPR (Youden), midway to the next score; 0.5 on one-class data."""
    curve = make_roc_curve(labels, scores)
    thresholds, fakes, reals = curve.thresholds, curve.fakes, curve.reals
    if len(thresholds) == 0 or fakes[-1] == 0 or reals[-1] == 0:
        return 0.5
    best = int(np.argmax(fakes / fakes[-1] - reals / reals[-1]))
    below = thresholds[best + 1] if best + 1 < len(thresholds) else thresholds[best]
    return float((thresholds[best] + below) / 2)


def _ratio(numerator: Array, denominator: Array) -> Array:
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    ratio: Array = np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
    return ratio
