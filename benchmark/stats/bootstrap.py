"""95 % intervals by the bootstrap: whole clusters (the videos of a person, with all frames) are drawn with replacement.

What is linear in the draws is one matrix product: `Resamples.sums` and `Resamples.counts`. Whatever ranks scores takes
its draws from finely binned counts (`Resamples.curves`), so that a million frames cost no more than a table of bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.sparse import csr_array

from ..core.types import Estimate
from .metrics import RANK_METRICS, Array, Curve, make_roc_curve

LEVEL = 0.95
TOO_FEW = "too few videos for an interval"
NO_DRAWS = "no interval: nothing was drawn"
ALL_ALIKE = "no interval: the same in every draw"
ALIKE = 1e-12
"""Draws that lie closer differ by rounding alone."""
BINS = 2048
_MAX_CLUSTERS = 2**16  # clusters drawn apart: with 1,000 draws 64 MB
_DRAWS_AT_ONCE = 64

Parts = Sequence[tuple[float, int]]
"""Parts of a variance, each with its degrees of freedom."""


class Resamples:
    """How often each cluster comes up in each bootstrap draw.

    Args:
        clusters: (n,) the cluster of each sample, as integers from 0.
        draws: number of draws.
        seed: of the draws, so that the same predictions always give the same interval.
    """

    def __init__(self, clusters: ArrayLike, draws: int = 1000, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.clusters = np.asarray(clusters, dtype=np.int64)
        self.size = int(self.clusters.max(initial=-1)) + 1
        if (
            self.size > _MAX_CLUSTERS
        ):  # Random groups of independent clusters say the same of the spread, in bounded memory.
            self.clusters = rng.permutation(self.size)[self.clusters] % _MAX_CLUSTERS
            self.size = _MAX_CLUSTERS
        self.times = np.empty((draws, self.size), np.uint8)  # More than 255 times is beyond all odds.
        for row in self.times if self.size else ():
            row[:] = np.bincount(rng.integers(self.size, size=self.size), minlength=self.size)

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.times)

    def sums(self, values: ArrayLike) -> Array:
        """Sum per-sample values over each draw: (n,) to (draws,), or (n, k) to (draws, k)."""
        table = np.asarray(values, dtype=float)
        columns = table.reshape(len(table), -1).T
        totals: Array = np.stack([np.bincount(self.clusters, c, self.size) for c in columns], axis=1).astype(float)
        pieces = [times.astype(float) @ totals for times in self._iterate_pieces()]
        return np.concatenate(pieces).reshape(self.draws, *table.shape[1:])

    def counts(self, codes: ArrayLike, size: int, weights: ArrayLike | None = None) -> Array:
        """Count the samples (or sum their weights) of each code 0 ... size - 1 in each draw: (n,) to (draws, size)."""
        return np.concatenate([np.empty((0, size)), *self._count_per_draw(codes, size, weights)])

    def curves(self, labels: ArrayLike, scores: ArrayLike, thresholds: Array) -> Iterator[Curve]:
        """Yield the ROC curves of all draws, some dozens at a time, at falling thresholds down to the lowest score."""
        size = len(thresholds)
        codes = np.searchsorted(-thresholds, -np.asarray(scores)) + size * np.asarray(labels, dtype=np.int64)
        for table in self._count_per_draw(codes, 2 * size):
            reals, fakes = np.cumsum(table.reshape(-1, 2, size), axis=-1).swapaxes(0, 1)
            yield Curve(thresholds, fakes, reals)

    def _count_per_draw(self, codes: ArrayLike, size: int, weights: ArrayLike | None = None) -> Iterator[Array]:
        if not self.draws:
            return
        n = len(self.clusters)
        kind = np.float32 if weights is None and n < 2**24 else np.float64  # Whole numbers are exact up to 2^24.
        values: NDArray[np.number] = np.ones(n) if weights is None else np.asarray(weights)
        members = csr_array((values.astype(kind), (np.asarray(codes), self.clusters)), shape=(size, self.size))
        for times in self._iterate_pieces():
            yield (members @ np.ascontiguousarray(times.T, dtype=kind)).T.astype(float)

    def restrict(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Resamples:
        """Return the same draws for some samples, given by a mask or by their numbers, or for the frames of each."""
        part = copy(self)
        part.clusters = self.clusters[chosen]
        return part

    def count_clusters(self) -> int:
        """Return how many clusters the samples come from."""
        return int(np.count_nonzero(np.bincount(self.clusters)))

    def _iterate_pieces(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, max(self.draws, 1), _DRAWS_AT_ONCE):
            yield self.times[start : start + _DRAWS_AT_ONCE]


class MetricDraws(NamedTuple):
    """A metric and its value in each bootstrap draw, (draws,)."""

    value: float
    draws: Array


def measure_ranking(
    labels: ArrayLike, scores: ArrayLike, resamples: Resamples, names: Iterable[str] = RANK_METRICS
) -> dict[str, MetricDraws]:
    """Measure how well scores rank: the metrics of `metrics.RANK_METRICS`, with their draws.

    With more distinct scores than BINS, the draws see them in bins of about equally many samples, and are moved by what
    that changes in the metric itself.
    """
    whole = make_roc_curve(labels, scores)
    coarse = whole.thin(BINS)
    found = {name: float(RANK_METRICS[name](whole)) for name in names}
    pieces = [[RANK_METRICS[n](c) for n in found] for c in resamples.curves(labels, scores, coarse.thresholds)]
    drawn = np.concatenate([np.empty((len(found), 0)), *pieces], axis=1)
    shift = [value - RANK_METRICS[name](coarse) for name, value in found.items()]
    return {name: MetricDraws(found[name], d + by) for name, d, by in zip(found, drawn, shift, strict=True)}


def measure_means(values: ArrayLike, resamples: Resamples) -> list[MetricDraws]:
    """Measure the mean of each column of (n, k) values."""
    table = np.asarray(values, dtype=float)
    sums = resamples.sums(np.column_stack([table, np.ones(len(table))]))
    return [MetricDraws(*pair) for pair in zip(table.mean(0), (sums[:, :-1] / sums[:, -1:]).T, strict=True)]


def estimate_interval(
    value: float,
    drawn: Array,
    *,
    n: int,
    clusters: int | None = None,
    bounded: bool = True,
    parts: Parts = (),
    level: float = LEVEL,
) -> Estimate:
    """Return a value with the interval that the spread of its bootstrap draws allows; none if they don't differ.

    The spread gives a standard error, and Student's t with `clusters` - 1 degrees of freedom the interval: on the
    logit scale for a value between 0 and 1, where percentiles of the draws come out too narrow and too high. A share
    of exactly 0 or 1 whose draws all agree has the interval of Jeffreys for as many trials as there are clusters.
    docs/statistics.md has the coverage.

    Args:
        value: NaN where undefined.
        drawn: (draws,); NaN are draws that leave it undefined.
        n: the sample size to report.
        clusters: how many independent clusters are behind the value (default: n); for a value that needs both classes
            and is exactly 0 or 1, those of the smaller class.
        bounded: the value lies between 0 and 1 by its nature; else the interval is symmetric.
        parts: what of its variance comes from training seeds; see `average_over_seeds`.
        level: in how many of all tables the interval is to hold the truth, 0 ... 1.
    """
    if np.isnan(value):
        return Estimate(None, None, None, n, "undefined (one class)")
    draws, drawn = len(drawn), drawn[~np.isnan(drawn)]  # Draws without both classes say nothing of the spread.
    count = n if clusters is None else clusters
    if len(drawn) <= max(draws / 2, 1) or count < 2:
        return Estimate(value, None, None, n, TOO_FEW if draws else NO_DRAWS)
    at_edge = bounded and value in (0, 1)
    if not at_edge and np.ptp(drawn) < ALIKE:  # Which isn't to be sure of it.
        return Estimate(value, None, None, n, ALL_ALIKE)
    freedom = degrees_of_freedom(drawn, count, parts)
    reach = standard_error(drawn, count) * float(special.stdtrit(freedom, (1 + level) / 2))
    if not bounded:
        lo, hi = value - reach, value + reach
    elif not at_edge:
        middle, reach = special.logit(value), reach * _logit_per_unit(value, drawn, n, sum(v for v, _ in parts))
        lo, hi = float(special.expit(middle - reach)), float(special.expit(middle + reach))
    else:
        lo, hi = _interval_at_edge(value, drawn, count, level)
    return Estimate(value, min(lo, value), max(hi, value), n)  # Rounding may have passed the value.


def standard_error(drawn: Array, clusters: int) -> float:
    """Return the standard deviation of bootstrap draws, without the bootstrap's bias for few clusters."""
    return float(np.std(drawn, ddof=1) * np.sqrt(clusters / (clusters - 1)))


def _logit_per_unit(value: float, drawn: Array, n: int, of_seeds: float) -> float:
    """Return how far the logit goes as a value does: by its slope, or further if the draws do.

    Near 0 and 1 the slope alone gives too little, as draws reach further on the long side. The way between their -1 and
    +1 standard errors alone gives too much; the geometric mean covers best (docs/statistics.md). That was found for
    draws of videos, and counts as far as the variance isn't `of_seeds`.
    """
    slope, variance = 1 / (value * (1 - value)), float(np.var(drawn, ddof=1))
    least = 2 / n**2  # half a pair of n / 2 fakes and reals: the logit of a perfect draw has no end
    ends = np.clip(np.quantile(drawn, special.ndtr([-1, 1])), least, 1 - least)
    if not variance:
        return slope
    further = float(np.diff(special.logit(ends))[0]) / (2 * variance**0.5 * slope)
    return float(slope * max(further, 1.0) ** (max(1 - of_seeds / variance, 0.0) / 2))


def _interval_at_edge(value: float, drawn: Array, clusters: int, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    away = np.quantile(np.abs(drawn - value), 1 - tail) or 1 - special.betaincinv(clusters + 0.5, 0.5, tail)
    return (1 - float(away), 1.0) if value == 1 else (0.0, float(away))


def average_over_seeds(found: Sequence[MetricDraws], seed: int = 0) -> tuple[MetricDraws, Parts]:
    """Average a metric over training seeds by a two-level bootstrap: seeds are drawn, then the videos of each.

    Of S seeds S - 1 are drawn, with replacement, so that the spread of few of them isn't underestimated (Rao and Wu
    1988). All must have come from the same `Resamples`.

    Returns:
        The mean with its draws, and the seeds' part in its variance with degrees of freedom, for `degrees_of_freedom`.
    """
    if len(found) == 1:
        return found[0], []
    count, values = len(found), [d.value for d in found]
    draws = np.stack([d.draws for d in found])
    chosen = np.random.default_rng(seed).integers(count, size=(count - 1, draws.shape[1]))
    mean = MetricDraws(float(np.mean(values)), np.take_along_axis(draws, chosen, axis=0).mean(0))
    return mean, [(float(np.var(values, ddof=1) / count), count - 1)]


def draw_seed_errors(values: ArrayLike, draws: int, seed: int = 0) -> Array:
    """Draw by how much the mean of some training seeds may miss that of all: their standard error times Student's t.

    For what the draws of `average_over_seeds` can't serve, as its interval comes from their quantiles: those of few
    seeds lie too close.

    Args:
        values: (seeds, ...); of one seed nothing is known, and all that is drawn is 0.
        draws: how many to draw.
        seed: of the draws.

    Returns:
        (draws, ...), the same t in all columns of a draw.
    """
    table = np.asarray(values, dtype=float)
    count, shape = len(table), (draws, *[1] * (table.ndim - 1))
    if count == 1:
        return np.zeros(shape)
    error = np.std(table, axis=0, ddof=1) / np.sqrt(count)
    return np.asarray(np.random.default_rng(seed).standard_t(count - 1, shape) * error)


def degrees_of_freedom(drawn: Array, clusters: int, parts: Parts) -> float:
    """Return the degrees of freedom of a standard error of which `parts` come from seeds (Welch and Satterthwaite)."""
    if not parts:
        return clusters - 1
    whole = standard_error(drawn, clusters) ** 2
    rest = max(whole - sum(v for v, _ in parts), 0.0)
    below = sum(v**2 / df for v, df in parts) + rest**2 / (clusters - 1)
    return (rest + sum(v for v, _ in parts)) ** 2 / below if below else clusters - 1


def p_value(drawn: MetricDraws, clusters: int, freedom: float | None = None) -> float:
    """Return the two-sided p of a value against 0, from the standard error of its draws and Student's t.

    Where no draw differs from the value, it is 2^(1 - clusters), the least that a test of so many signs can give.
    """
    error = standard_error(drawn.draws, clusters)
    if drawn.value == 0 or error == 0:
        return 1.0 if drawn.value == 0 else 2.0 ** (1 - clusters)
    return float(2 * special.stdtr(freedom or clusters - 1, -abs(drawn.value) / error))


def holm(p: ArrayLike) -> Array:
    """Adjust p-values for their number (Holm 1979), in the order given."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def delong(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    """Return the AUC of k detectors on the same independent samples, and their covariance, in O(k n log n).

    DeLong et al. 1988, by the midranks of Sun and Xu 2014 (algorithm 2). Clusters are not regarded.

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
