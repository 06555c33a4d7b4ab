"""Each video's first-order contribution to a metric's deviation: influence functions.

The squared sum of influences over a person's videos says how far a metric may be off because of that person
(`people.People.measure_spread`). For ranking metrics they are the weighted metric's derivatives: DeLong's placements
for the AUC; for values at a point of the ROC curve (EER, TPR), also the effect of that point moving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.types import FAKE, REAL
from .metrics import LEVELS_OF_FPR, Array, Curve
from .people import People


class Classes(NamedTuple):
    """The number of samples of each class in each video, (videos,)."""

    reals: Array
    fakes: Array


@dataclass(frozen=True)
class Samples:
    """What is measured: `labels` and `scores` (n,), and `videos` (n,), the video in `people` of each sample."""

    labels: NDArray[np.int64]
    scores: Array
    videos: NDArray[np.int64]
    people: People

    @cached_property
    def classes(self) -> Classes:
        """The number of samples of each class in each video."""
        return Classes(*(self.add_up(self.labels == k) for k in (REAL, FAKE)))

    def rows(self, label: int) -> NDArray[np.int64]:
        """Return the indices of a class's samples."""
        return self._rows[label]

    @cached_property
    def _rows(self) -> dict[int, NDArray[np.int64]]:
        return {k: np.flatnonzero(self.labels == k) for k in (REAL, FAKE)}

    def add_up(self, values: ArrayLike) -> Array:
        """Sum (n,) values over each video, (videos,)."""
        sums = np.bincount(self.videos, np.asarray(values, dtype=float), len(self.people.first))
        return sums.astype(float, copy=False)


@dataclass(frozen=True)
class Measured:
    """A number, and each video's contribution to its deviation, (videos,).

    For a mean, `sizes`, (videos,), are the numbers of samples in each video; None if it is over all. `reach` is how far
    below and above its interval extends, if that doesn't follow from the influences, and `without` says why there is no
    number.
    """

    value: float
    influence: Array
    sizes: Array | None = None
    reach: tuple[float, float] | None = None
    without: str = ""

    @property
    def among(self) -> NDArray[np.bool_] | None:
        """The videos that it covers, (videos,); None: all."""
        return None if self.sizes is None else self.sizes > 0

    def subtract(self, other: Measured) -> Measured:
        """Return the difference of two numbers on the same videos."""
        without = self.without or other.without
        return Measured(self.value - other.value, self.influence - other.influence, without=without)


def measure_mean(
    samples: Samples, values: ArrayLike, chosen: NDArray[np.bool_] | NDArray[np.int64] | None = None
) -> Measured:
    """Measure the mean of (n,) values of samples, or of those `chosen` by mask or index; NaN if there are none."""
    v, videos, count = np.asarray(values), samples.videos, len(samples.people.first)
    if chosen is not None:
        v, videos = v[chosen], videos[chosen]
    sizes: Array = np.bincount(videos, minlength=count).astype(np.float64)
    if not len(v):
        return Measured(np.nan, sizes, sizes)
    mean = float(v.sum() / len(v))
    influence = np.bincount(videos, (v - mean) / len(v), count).astype(float, copy=False)
    return Measured(mean, influence, sizes)


def find_influence(name: str, curve: Curve, value: float) -> tuple[Array, Array]:
    """Return the influence of a fake, and of a real, at each threshold on a metric of `metrics.RANK_METRICS`."""
    return _INFLUENCES[name](curve, value)


def _influence_auc(curve: Curve, value: float) -> tuple[Array, Array]:
    fakes, reals = curve.steps
    below = 1 - (curve.reals - reals / 2) / curve.reals[-1]
    above = (curve.fakes - fakes / 2) / curve.fakes[-1]
    return (below - value) / curve.fakes[-1], (above - value) / curve.reals[-1]


def _influence_ap(curve: Curve, _: float) -> tuple[Array, Array]:
    """Treat the class sizes as fixed: remove the effect of a larger share of fakes."""
    fakes, reals = curve.steps
    called = curve.fakes + curve.reals
    squared = called**2
    more, less = (np.cumsum((fakes * n / squared)[::-1])[::-1] for n in (curve.reals, curve.fakes))
    each = (curve.fakes / called + more) / curve.fakes[-1], -less / curve.fakes[-1]
    of_fakes, of_reals = (of - (of * n).sum() / n.sum() for of, n in zip(each, (fakes, reals), strict=True))
    return of_fakes, of_reals


def _influence_eer(curve: Curve, value: float) -> tuple[Array, Array]:
    """Weight the two rates where they meet by how fast each changes there: moving one moves the other in opposition."""
    fpr, tpr = curve.rates
    after = int(np.argmax(fpr >= 1 - tpr))
    gap, next_gap = 1 - tpr[after - 1] - fpr[after - 1], tpr[after] + fpr[after] - 1
    called = (np.arange(len(fpr) - 1) < after - 1).astype(float)
    called[after - 1] = gap / (gap + next_gap) if gap + next_gap else 0.0
    window = min(curve.reals[-1], curve.fakes[-1]) ** (-1 / 3)
    rise = np.diff(np.interp([1 - window, 1 + window], fpr + tpr, tpr))[0] / (2 * window)
    of_fakes, of_reals = (1 - rise) * (1 - called - value), rise * (called - value)
    return of_fakes / curve.fakes[-1], of_reals / curve.reals[-1]


def _influence_tpr(curve: Curve, value: float, level: float) -> tuple[Array, Array]:
    """Move the threshold with the reals: by the curve's slope within one standard error of their rate."""
    fpr, tpr = curve.rates
    allowed = np.count_nonzero(fpr <= level) - 1
    called = (np.arange(len(fpr) - 1) < allowed).astype(float)
    reals = curve.reals[-1]
    step = max(np.sqrt(level * (1 - level) / reals), 1 / reals)
    ends = [max(level - step, 0.0), level + step]
    low, high = (tpr[np.count_nonzero(fpr <= end) - 1] for end in ends)
    slope = (high - low) / (ends[1] - ends[0])
    return (called - value) / curve.fakes[-1], -slope * (called - fpr[allowed]) / reals


_INFLUENCES: Mapping[str, Callable[[Curve, float], tuple[Array, Array]]] = {
    "auc": _influence_auc,
    "ap": _influence_ap,
    "eer": _influence_eer,
    "tpr_at_fpr1": lambda curve, value: _influence_tpr(curve, value, LEVELS_OF_FPR["tpr_at_fpr1"]),
    "tpr_at_fpr5": lambda curve, value: _influence_tpr(curve, value, LEVELS_OF_FPR["tpr_at_fpr5"]),
}


def delong(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    """Return the AUC of k detectors on the same independent samples, and their covariance, in O(k n log n).

    DeLong et al. 1988, by the midranks of Sun and Xu 2014 (algorithm 2). Clusters are ignored.

    Args:
        labels: (n,) 0 real, 1 fake; at least two of each.
        scores: (k, n).

    Returns:
        (k,) and (k, k).
    """
    from scipy.stats import rankdata  # Slow to import.

    y, s = np.asarray(labels, dtype=bool), np.atleast_2d(np.asarray(scores, dtype=float))
    ranks = rankdata(s, axis=1)
    above = (ranks[:, y] - rankdata(s[:, y], axis=1)) / (~y).sum()  # the share of reals below each fake
    below = 1 - (ranks[:, ~y] - rankdata(s[:, ~y], axis=1)) / y.sum()  # the share of fakes above each real
    return above.mean(1), np.atleast_2d(np.cov(above) / y.sum() + np.cov(below) / (~y).sum())
