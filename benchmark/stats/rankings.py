"""Ranking metrics with each video's influence, and the error of a threshold fixed on few reals."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.types import FAKE, REAL
from .influence import Measured, Samples, find_influence, measure_mean
from .metrics import LEVELS_OF_FPR, RANK_METRICS, Array, make_roc_curve_with_places
from .shares import TAIL, bound_share

LEAST_FALSE_ALARMS = 3
"""The fewest false alarms that a rate must allow: with fewer, one or two reals set its threshold."""


def measure_ranking(samples: Samples, names: Iterable[str] = RANK_METRICS) -> dict[str, Measured]:
    """Measure how well scores rank: the metrics of `metrics.RANK_METRICS`; NaN without both classes."""
    curve, place = make_roc_curve_with_places(samples.labels, samples.scores)
    step, found = np.where(samples.labels == FAKE, place + len(curve.thresholds), place), {}
    for name in names:
        value = float(RANK_METRICS[name](curve))
        if np.isnan(value):
            found[name] = Measured(value, np.zeros(len(samples.people.first)))
            continue
        of_fakes, of_reals = find_influence(name, curve, value)
        found[name] = Measured(value, samples.add_up(np.concatenate([of_reals, of_fakes])[step]))
        if name in LEVELS_OF_FPR:
            found[name] = _allow_for_threshold(found[name], LEVELS_OF_FPR[name], curve.rates, samples, place)
    return found


def _allow_for_threshold(
    found: Measured, level: float, rates: tuple[Array, Array], samples: Samples, place: NDArray[np.int64]
) -> Measured:
    """Return a TPR at an FPR with an interval that includes the threshold's own error, or why it isn't given.

    The range of the TPR over the plausible thresholds is combined with its interval at the measured one, as in MOVER
    (Zou and Donner 2008).
    """
    reals = int((samples.labels == REAL).sum())
    if level == min(LEVELS_OF_FPR.values()) and level * reals < LEAST_FALSE_ALARMS - 1e-9:
        needed = f"an FPR of {100 * level:.0f} % needs {LEAST_FALSE_ALARMS / level:.0f} reals"
        return replace(found, value=np.nan, without=f"left out: {needed}, and there are {reals}")
    fpr, tpr = rates
    called = place < np.count_nonzero(fpr <= level) - 1
    alarms, hits = (measure_mean(samples, called, samples.rows(k)) for k in (REAL, FAKE))
    low, high = _find_thresholds(fpr, level, _count_trials(alarms, samples, reals))
    own = bound_share(hits, samples.people)
    below = np.hypot(max(found.value - tpr[low], 0), found.value - own[0])
    above = np.hypot(max(tpr[high] - found.value, 0), own[1] - found.value)
    return replace(found, reach=(float(below), float(above)))


def _count_trials(alarms: Measured, samples: Samples, reals: int) -> float:
    """Return the effective number of independent reals behind a threshold."""
    rate = float(np.clip(alarms.value, 1 / reals, 1 - 1 / reals))
    variance = samples.people.measure_spread(alarms.influence, alarms.among).variance
    return min(rate * (1 - rate) / variance, reals) if variance else float(reals)


def _find_thresholds(fpr: Array, level: float, trials: float) -> tuple[int, int]:
    """Return the indices of the highest and lowest threshold whose true FPR could be `level`.

    The true FPR of a threshold that k of n reals pass is distributed as Beta(k + 1, n - k), like an order statistic.
    """

    def miss(i: int) -> float:  # It falls along the curve.
        return -float(scipy.special.betainc(fpr[i] * trials + 1, max((1 - fpr[i]) * trials, 1e-9), level))

    ends = [max(bisect_left(range(len(fpr)), -tail, key=miss) - 1, 0) for tail in (1 - TAIL, TAIL)]
    highest, lowest = (int(np.count_nonzero(fpr <= fpr[end])) - 1 for end in ends)
    return highest, lowest
