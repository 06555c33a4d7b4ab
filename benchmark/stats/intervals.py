"""95 % intervals, tests and averages over seeds, from influences.

Everything is based on one variance, that of `people.People.measure_spread`, plus that of training seeds.
docs/statistics.md reports the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..core.types import Estimate
from .influence import Classes, Measured
from .metrics import Array
from .people import People, Spread
from .shares import TAIL, bound_korn_graubard, bound_share, count_trials

NO_DRAWS = "no interval: nothing was drawn"
TOO_FEW = "too few videos for an interval"
SAME = "no interval: the difference is the same in every video"
ALIKE = "no interval: every video says the same"
ROUNDING = 1e-12
"""Anything smaller is just rounding."""


class Seeds(NamedTuple):
    """The part of a variance that comes from training seeds: their spread is `seen`, with `freedom` degrees of freedom.

    `variance` excludes the videos' part. An interval uses `seen`, since two seeds may happen to agree; a test, whose
    error rate must be as stated, uses `variance`.
    """

    variance: float
    seen: float
    freedom: int


Parts = Sequence[Seeds]
"""None for a number from one seed, two for a difference of rows with seeds."""


def average_over_seeds(found: Sequence[Measured], people: People) -> tuple[Measured, Parts]:
    """Average a number over training seeds on the same videos, and return the seeds' part of its variance."""
    if len(found) == 1:
        return found[0], ()
    count, values = len(found), [f.value for f in found]
    influence = np.mean([f.influence for f in found], axis=0)
    reaches = [f.reach for f in found if f.reach]
    mean = replace(
        found[0],
        value=float(np.mean(values)),
        influence=influence,
        reach=tuple(np.mean(reaches, axis=0).tolist()) if reaches else None,
        without=next((f.without for f in found if f.without), ""),
    )
    seen = float(np.var(values, ddof=1))
    apart = (people.measure_spread(f.influence - influence, f.among).variance for f in found)
    return mean, (Seeds(max(seen - sum(apart) / (count - 1), 0.0) / count, seen / count, count - 1),)


class Deviation(NamedTuple):
    """The standard error of a number, and its degrees of freedom."""

    error: float
    freedom: float

    @property
    def reach(self) -> float:
        """How far its interval extends."""
        return float(scipy.special.stdtrit(self.freedom, 1 - TAIL)) * self.error


def join_variances(variance: float, freedom: float, parts: Parts, added: float) -> Deviation:
    """Combine the videos' variance, with these degrees of freedom, and the seeds' (Welch and Satterthwaite)."""
    if not added:
        return Deviation(variance**0.5, freedom)
    below = variance**2 / freedom + sum(p.seen**2 / p.freedom for p in parts)
    return Deviation((variance + added) ** 0.5, (variance + added) ** 2 / below)


def widen_variance(variance: ArrayLike, freedom: ArrayLike, seen: ArrayLike, seeds: ArrayLike, tail: float) -> Array:
    """Return the variance with which Student's t with `freedom` also covers the seeds' variance.

    For two seeds, the quantile is the mean of both variances' quantiles, weighted by variance (Cochran and Cox 1957);
    for more, 1 / freedom is averaged. Welch and Satterthwaite's degrees of freedom would be too many if a few seeds
    happen to agree.

    Args:
        variance: the videos' variance, (...,), with `freedom`, (...,).
        seen: the variance of the mean over training seeds, (...,), with `seeds`, (...,), degrees of freedom.
        tail: the probability beyond each end of the interval.
    """
    own, of_seeds = np.asarray(variance, dtype=float), np.asarray(seen, dtype=float)
    both = own + of_seeds
    share = np.divide(of_seeds, both, out=np.zeros(both.shape), where=both > 0)
    alone, few = (scipy.special.stdtrit(df, 1 - tail) for df in (np.asarray(freedom), np.asarray(seeds)))
    joined = scipy.special.stdtrit(1 / ((1 - share) / freedom + share / seeds), 1 - tail)
    quantile = np.where(np.asarray(seeds) < 2, (1 - share) * alone + share * few, joined)
    return np.asarray(both * (quantile / alone) ** 2)


def _widen(variance: float, freedom: float, parts: Parts, tail: float) -> float:
    for part in parts:
        variance = float(widen_variance(variance, freedom, part.seen, part.freedom, tail))
    return variance


def estimate_share(found: Measured, people: People, *, n: int, parts: Parts = (), tail: float = TAIL) -> Estimate:
    """Return a share (a mean of zeros and ones in `n` samples) with its interval; see `shares.bound_share`."""
    if none := _explain_none(found, n, people.count(found.among)):
        return none
    return Estimate(found.value, *_bound_share(found, people, parts, tail), n)


def _bound_share(found: Measured, people: People, parts: Parts, tail: float) -> tuple[float, float]:
    spread = people.measure_spread(found.influence, found.among)
    return bound_share(found, people, _widen(spread.of_level, max(spread.people - 1, 1), parts, tail), tail)


def estimate_mean(found: Measured, people: People, *, n: int, parts: Parts = ()) -> Estimate:
    """Return a mean of values between 0 and 1, such as a Brier score, with its interval by Student's t."""
    if none := _explain_none(found, n, people.count(found.among)):
        return none
    if found.reach:
        return _reach_from(found, n, parts)
    return _estimate_by_logit(found, people, n, float(n), people.count(found.among), parts, TAIL)


def estimate_ranking(
    found: Measured,
    people: People,
    classes: Classes,
    *,
    n: int,
    parts: Parts = (),
    tail: float = TAIL,
    cut: bool = True,
) -> Estimate:
    """Return a number between 0 and 1 that depends on both classes, such as an AUC, with its interval.

    Student's t on the logit scale, limited by Korn and Graubard's interval for the smaller class. If each mistake is
    one sample on the wrong side of the whole other class, an AUC is a share and has a share's interval. A perfect AUC
    has Jeffreys' interval, with the number of people in the smaller class as trials. `tail` is the probability beyond
    each end. Metrics that weight a few videos much more than others, such as AP, aren't `cut`: the sample size then
    overstates the information.
    """
    counts = [people.count(of > 0) for of in classes]
    if none := _explain_none(found, n, min(counts)):
        return none
    most, trials = min(float(of.sum()) for of in classes) if cut else 0.0, min(counts)
    if found.value in (0, 1):
        return _estimate_by_logit(found, people, n, most, trials, parts, tail)
    if found.reach:
        return _reach_from(found, n, parts)
    if share := _find_share(found, classes):
        perfect = _bound_perfect(trials, tail)
        lo, hi = _bound_share(share, people, parts, tail)
        return Estimate(found.value, min(lo, 1 - perfect), max(hi, perfect), n)
    return _estimate_by_logit(found, people, n, most, trials, parts, tail)


def estimate_drawn(found: Measured, people: People, classes: Classes, *, n: int, parts: Parts = ()) -> Estimate:
    """Return a number that depends on both classes, with the interval drawn for it."""
    if none := _explain_none(found, n, min(people.count(of > 0) for of in classes)):
        return none
    return _reach_from(found, n, parts) if found.reach else Estimate(found.value, None, None, n, NO_DRAWS)


def _bound_perfect(trials: int, tail: float) -> float:
    """Return the highest plausible error rate if this many people show no errors: Jeffreys' upper end."""
    return float(1 - scipy.special.betaincinv(trials + 0.5, 0.5, tail))


def _estimate_by_logit(
    found: Measured, people: People, n: int, most: float, trials: int, parts: Parts, tail: float
) -> Estimate:
    """Return the interval from a variance, limited by that of `most` samples; at 0 and 1 that of `trials`."""
    value = found.value
    if value in (0, 1):
        perfect = _bound_perfect(trials, tail)
        return Estimate(value, *((0.0, perfect) if value == 0 else (1 - perfect, 1.0)), n)
    spread = people.measure_spread(found.influence, found.among)
    freedom = count_freedom(spread)
    error = _widen(spread.of_level, freedom, parts, tail) ** 0.5
    if error < ROUNDING:
        return Estimate(value, None, None, n, ALIKE)
    reach = float(scipy.special.stdtrit(freedom, 1 - tail)) * error / (value * (1 - value))
    lo, hi = scipy.special.expit(scipy.special.logit(value) + np.array([-reach, reach]))
    shares = np.array([1 - value, value])
    least, highest = bound_korn_graubard(shares, count_trials(shares, np.full(2, error**2), most, spread.people), tail)
    return Estimate(value, float(min(max(lo, 1 - least), value)), float(max(min(hi, highest), value)), n)


def count_freedom(spread: Spread) -> float:
    """Return the degrees of freedom of a skewed number's variance, at least 1.

    They exceed the effective number of people, since chance decides who makes most of the mistakes.
    """
    more = 2 if spread.crossed else spread.people / 4
    return float(max(min(spread.effective + more, spread.people - 1), 1))


def _reach_from(found: Measured, n: int, parts: Parts) -> Estimate:
    """Return a number's own interval, combined with the seeds' variance."""
    assert found.reach
    of_seeds = _widen(0.0, 1, parts, TAIL) ** 0.5 * float(scipy.special.stdtrit(1, 1 - TAIL))
    below, above = (float(np.hypot(reach, of_seeds)) for reach in found.reach)
    if below + above < ROUNDING:
        return Estimate(found.value, None, None, n, ALIKE)
    lo = 0.0 if found.value - below < ROUNDING else found.value - below
    return Estimate(found.value, lo, min(found.value + above, 1.0), n)


def _find_share(found: Measured, classes: Classes) -> Measured | None:
    """Return the number as a share of one class, if its samples are yes or no and the other class's are all equal."""
    for own, other in (classes, classes[::-1]):
        hits = found.influence[own > 0] * own.sum() + own[own > 0] * found.value
        whole = np.abs(hits - np.round(hits)).max() < 1e-6 and (hits < own[own > 0] + 0.5).all()
        if whole and np.abs(found.influence[other > 0]).max() < ROUNDING:
            return replace(found, sizes=own)
    return None


def estimate_positive(found: Measured, people: People, *, n: int, parts: Parts = ()) -> Estimate:
    """Return a non-negative number without an upper limit, such as Cllr; interval by Student's t on its logarithm."""
    if none := _explain_none(found, n, people.count(found.among)):
        return none
    spread = people.measure_spread(found.influence, found.among)
    freedom = count_freedom(spread)
    error = _widen(spread.of_level, freedom, parts, TAIL) ** 0.5
    if error < ROUNDING or found.value <= 0:
        return Estimate(found.value, None, None, n, ALIKE)
    reach = float(scipy.special.stdtrit(freedom, 1 - TAIL)) * error / found.value
    return Estimate(found.value, found.value * float(np.exp(-reach)), found.value * float(np.exp(reach)), n)


def estimate_difference(found: Measured, people: People, *, n: int, parts: Parts = ()) -> Estimate:
    """Return a difference of two numbers in 0..1 on the same videos, with its interval by Student's t."""
    if none := _explain_none(found, n, people.count()):
        return none
    deviation = find_difference_deviation(found, people, parts)
    if deviation.error < ROUNDING:
        return Estimate(found.value, None, None, n, SAME)
    lo, hi = found.value - deviation.reach, found.value + deviation.reach
    return Estimate(found.value, max(lo, -1.0), min(hi, 1.0), n)


def find_difference_deviation(found: Measured, people: People, parts: Parts = ()) -> Deviation:
    """Return how far a difference may be off.

    If people appear in others' videos, its variance is less certain, with the effective number of people as degrees of
    freedom.
    """
    spread = people.measure_spread(found.influence)
    freedom = count_freedom(spread) if people.crossed else max(spread.people - 1, 1)
    return join_variances(spread.variance, freedom, parts, sum(p.variance for p in parts))


def p_value(found: Measured, people: People, parts: Parts = ()) -> float:
    """Return the two-sided p of a difference against 0, by Student's t.

    If it is the same in every video, p is 2^(1 - people), the smallest that a sign test can give.
    """
    error, freedom = find_difference_deviation(found, people, parts)
    if abs(found.value) < ROUNDING or error < ROUNDING:
        return 1.0 if abs(found.value) < ROUNDING else 2.0 ** (1 - people.count())
    return float(2 * scipy.special.stdtr(freedom, -abs(found.value) / error))


def holm(p: Array | Sequence[float]) -> Array:
    """Adjust p-values for multiple testing (Holm 1979); keeps their order."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def _explain_none(found: Measured, n: int, people: int) -> Estimate | None:
    """Return an estimate without an interval if there can't be one: undefined, or fewer than two people."""
    if found.without or np.isnan(found.value):
        return Estimate(None, None, None, n, found.without or "undefined (one class)")
    return Estimate(found.value, None, None, n, TOO_FEW) if people < 2 else None
