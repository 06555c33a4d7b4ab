"""Metrics that don't depend on the share of fakes in a test set, and metrics for when fakes are rare.

The share of fakes is .83 in FaceForensics++'s test set, .5 in DFDC's and perhaps .01 in practice. Accuracy, average
precision, calibration and Brier score change with it. Here both classes have the same weight, or that of a stated
prevalence. `remove_prior` removes the share of fakes that scores assume.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..core.types import FAKE, REAL, Estimate
from .calibration import BINS, CLIP, are_probabilities, assign_bins
from .influence import Measured, Samples, find_influence
from .metrics import Array, make_roc_curve, make_roc_curve_with_places
from .people import People
from .precision_bounds import bound_average_precision
from .shares import LEVEL, TAIL

PREVALENCES = {"prev50": 0.5, "prev10": 0.1, "prev1": 0.01}
"""The prevalences of fakes, by their names in a scorecard."""
OF_BOTH_CLASSES = ("balanced_acc", "cost", "least_cost", "balanced_brier", *(f"ap_at_{name}" for name in PREVALENCES))
"""Metrics that depend on both classes and are between 0 and 1."""
OF_FEW = ("ap_at_prev10", "ap_at_prev1")
"""Metrics that depend on the few highest reals, so that their intervals are drawn; see `precision_bounds`."""


def fit_prior(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the share of fakes that the scores assume, fitted on the source validation split.

    It is the p whose logit, subtracted from the scores' logits, minimises the cross-entropy with equal class weights:
    the correction of Saerens, Latinne and Decaestecker (2002) with a fitted prior, since a detector that saw both
    classes equally often assumes 0.5, whatever the share of fakes in the split.
    """
    from scipy.optimize import minimize_scalar

    y, z = np.asarray(labels) == FAKE, _logit(scores)

    def loss(shift: float) -> float:
        return float(np.logaddexp(0, shift - z[y]).mean() + np.logaddexp(0, z[~y] - shift).mean())

    end = -float(scipy.special.logit(CLIP))
    return float(scipy.special.expit(minimize_scalar(loss, bounds=(-end, end), method="bounded").x))


def remove_prior(scores: ArrayLike, prior: float) -> Array:
    """Return the scores adjusted to equal numbers of fakes and reals."""
    return np.asarray(scipy.special.expit(_logit(scores) - scipy.special.logit(prior)))


def _logit(scores: ArrayLike) -> Array:
    return np.asarray(scipy.special.logit(np.clip(np.asarray(scores, dtype=float), CLIP, 1 - CLIP)))


def measure_without_prevalence(
    samples: Samples, threshold: float | None, prior: float | None, draws: int
) -> dict[str, Measured]:
    """Return all of the metrics below that the samples allow.

    Args:
        samples: videos.
        threshold: the operating point; without it, there are no rates.
        prior: the scores' prior; see `fit_prior`.
        draws: number of draws for the intervals of the calibration error and of AP when fakes are rare.
    """
    found = measure_average_precision(samples, draws) | {"least_cost": measure_least_cost(samples)}
    if threshold is not None:
        found |= measure_operating_point(samples, threshold)
    if are_probabilities(samples.scores):
        found |= measure_balanced_calibration(samples, prior, draws)
    return found


def measure_operating_point(samples: Samples, threshold: float) -> dict[str, Measured]:
    """Return `fpr`, `tpr`, `balanced_acc` and `cost` (the mean error) at a threshold."""
    called = (samples.scores >= threshold).astype(float)
    right = np.where(samples.labels == FAKE, called, 1 - called)
    accuracy = _average_classes(samples, right)
    return {
        "fpr": _average_class(samples, called, REAL),
        "tpr": _average_class(samples, called, FAKE),
        "balanced_acc": accuracy,
        "cost": Measured(1 - accuracy.value, -accuracy.influence),
    }


def measure_least_cost(samples: Samples) -> Measured:
    """Return the lowest mean of FPR and FNR over all thresholds on these samples themselves."""
    curve = make_roc_curve(samples.labels, samples.scores)
    fpr, tpr = curve.rates
    if np.isnan(fpr + tpr).any() or not curve.thresholds.size:
        return Measured(np.nan, np.zeros(len(samples.people.first)))
    best = int(np.argmin(fpr + 1 - tpr))
    threshold = curve.thresholds[best - 1] if best else np.inf
    return measure_operating_point(samples, float(threshold))["cost"]


def measure_average_precision(samples: Samples, draws: int = 0) -> dict[str, Measured]:
    """Return `ap_at_prev50` and so on: average precision if that share of the samples were fake.

    Reals are reweighted accordingly. Chance level is the prevalence itself. If fakes are rare, the interval is drawn,
    if draws are wanted.
    """
    curve, place = make_roc_curve_with_places(samples.labels, samples.scores)
    fakes, reals = (int((samples.labels == k).sum()) for k in (FAKE, REAL))
    found = {}
    for name, prevalence in PREVALENCES.items():
        if not fakes or not reals:
            found[f"ap_at_{name}"] = Measured(np.nan, np.zeros(len(samples.people.first)))
            continue
        weight = (1 - prevalence) / prevalence * fakes / reals
        weighted = replace(curve, reals=curve.reals * weight)
        value = float(weighted.average_precision())
        of_fakes, of_reals = find_influence("ap", weighted, value)
        each = np.where(samples.labels == FAKE, of_fakes[place], weight * of_reals[place])
        found[f"ap_at_{name}"] = Measured(value, samples.add_up(each))
    if draws and fakes and reals:
        ends = bound_average_precision(
            samples, np.array([PREVALENCES[n.removeprefix("ap_at_")] for n in OF_FEW]), draws
        )
        for name, (lo, hi) in zip(OF_FEW, ends.tolist(), strict=True):
            value = found[name].value
            found[name] = replace(found[name], reach=(max(value - lo, 0.0), max(hi - value, 0.0)))
    return found


def measure_balanced_calibration(samples: Samples, prior: float | None, draws: int) -> dict[str, Measured]:
    """Return `balanced_brier` and, if the scores' prior is known, `ece_balanced` and `cllr`.

    The first is the mean of (score - label)^2 with equal class weights. Cllr (Brümmer and du Preez 2006) is the loss in
    bits of the likelihood ratios with equal class weights: 0 is perfect, 1 is uninformative, more is misleading.
    """
    y, s = (samples.labels == FAKE).astype(float), samples.scores
    found = {"balanced_brier": _average_classes(samples, (s - y) ** 2)}
    if prior is None:
        return found
    fair = remove_prior(s, prior)
    bits = np.logaddexp(0, np.where(y == 1, -1, 1) * scipy.special.logit(fair)) / np.log(2)
    return found | {"cllr": _average_classes(samples, bits), "ece_balanced": _measure_error(samples, fair, draws)}


def _measure_error(samples: Samples, fair: Array, draws: int) -> Measured:
    """Return how far scores deviate from the share of fakes: the root mean square over bins, corrected for chance.

    Both classes have the same weight. The expected contribution of sampling variance is subtracted (Kumar, Liang and Ma
    2019, for bins), so that a calibrated detector has 0 whatever its number of videos. It is a norm of the bins'
    deviations, so it is off by at most the norm of their errors: that is its interval.
    """
    y = (samples.labels == FAKE).astype(float)
    counts = np.array([(y == k).sum() for k in (0, 1)])
    if not counts.all():
        return Measured(np.nan, np.zeros(len(samples.people.first)))
    weight = 0.5 / counts[y.astype(int)]
    bins, excess = assign_bins(fair), weight * (fair - y)
    mass = np.bincount(bins, weight, BINS)
    used = np.flatnonzero(mass)
    off = np.bincount(bins, excess, BINS)[used] / np.sqrt(mass[used])
    spread = samples.people.measure_covariance(_centre(samples, bins, excess, used, y) / np.sqrt(mass[used]))
    whole = float(np.sqrt((off**2).sum()))
    value = float(np.sqrt(max((off**2).sum() - np.trace(spread), 0)))
    reach = _reach(off, spread, whole, value, samples.people, draws) if draws else None
    return Measured(value, np.zeros(len(samples.people.first)), reach=reach)


def _centre(samples: Samples, bins: NDArray[np.int64], excess: Array, used: NDArray[np.int64], y: Array) -> Array:
    """Return each video's contribution to the bins' deviations, (videos, bins), minus its class's mean."""
    each = np.where(bins[:, None] == used, excess[:, None], 0.0)
    for label in (0, 1):
        each[y == label] -= each[y == label].mean(0)
    return np.stack([samples.add_up(column) for column in each.T], axis=1)


def _reach(off: Array, spread: Array, whole: float, value: float, people: People, draws: int) -> tuple[float, float]:
    few = scipy.special.stdtrit(max(people.count() - 1, 1), 1 - TAIL) / scipy.special.ndtri(1 - TAIL)
    size, axes = np.linalg.eigh(spread)
    normal = np.random.default_rng(0).normal(size=(draws, len(off)))
    errors = few * (normal * np.sqrt(np.maximum(size, 0))) @ axes.T
    reach = float(np.quantile(np.sqrt((errors**2).sum(1)), LEVEL))
    ceiling = float(np.quantile(np.sqrt(((off + errors) ** 2).sum(1)), 1 - TAIL))
    least, most = min(max(whole - reach, 0.0), value), max(min(whole + reach, ceiling), value)
    return value - least, most - value


def _average_class(samples: Samples, values: Array, label: int) -> Measured:
    chosen = (samples.labels == label).astype(float)
    total = chosen.sum()
    mean = float((values * chosen).sum() / total) if total else np.nan
    influence = samples.add_up((values - mean) * chosen / total) if total else np.zeros(len(samples.people.first))
    return Measured(mean, influence, samples.add_up(chosen))


def _average_classes(samples: Samples, values: Array) -> Measured:
    """Return the mean of the two class means."""
    reals, fakes = (_average_class(samples, values, label) for label in (REAL, FAKE))
    return Measured((reals.value + fakes.value) / 2, (reals.influence + fakes.influence) / 2)


def estimate_precisions(fpr: Estimate, tpr: Estimate) -> dict[str, Estimate]:
    """Return `precision_at_prev50` and so on; see `estimate_precision`."""
    return {f"precision_at_{name}": estimate_precision(fpr, tpr, p) for name, p in PREVALENCES.items()}


def estimate_precision(fpr: Estimate, tpr: Estimate, prevalence: float) -> Estimate:
    """Return the precision at a prevalence, with its interval.

    The ratio of the two rates has an interval that combines theirs on the log scale (MOVER, Zou and Donner 2008).
    """
    n = fpr.n + tpr.n
    if fpr.value is None or tpr.value is None:
        return Estimate(None, None, None, n, (fpr if fpr.value is None else tpr).note)
    if fpr.value == tpr.value == 0:
        return Estimate(None, None, None, n, "undefined (nothing is called fake)")
    value = _find_precision(fpr.value, tpr.value, prevalence)
    if fpr.lo is None or fpr.hi is None or tpr.lo is None or tpr.hi is None:
        return Estimate(value, None, None, n, (fpr if fpr.lo is None else tpr).note)
    if fpr.value == 0 or tpr.value == 0:
        ends = ((fpr.hi, tpr.lo), (fpr.lo, tpr.hi))
        lo, hi = (_find_precision(*end, prevalence) for end in ends)
        return Estimate(value, lo, hi, n)
    with np.errstate(divide="ignore"):
        ratio = np.log([tpr.value / fpr.value, tpr.lo / tpr.value, fpr.hi / fpr.value, tpr.hi / tpr.value])
        up_to = -np.log(fpr.lo / fpr.value)
    odds = scipy.special.logit(prevalence) + ratio[0]
    lo, hi = odds - np.hypot(ratio[1], ratio[2]), odds + np.hypot(ratio[3], up_to)
    return Estimate(value, float(scipy.special.expit(lo)), float(scipy.special.expit(hi)), n)


def _find_precision(fpr: float, tpr: float, prevalence: float) -> float:
    found, wrong = prevalence * tpr, (1 - prevalence) * fpr
    return found / (found + wrong) if found + wrong else 1.0


class Flagged(NamedTuple):
    """Of 1,000 videos that are called fake where 1 % of all are, how many are fake, from and to."""

    value: int
    lo: int
    hi: int


def count_flagged(precision: Estimate) -> Flagged | None:
    """Express a precision in words for people who review flagged videos; None if it has no interval."""
    if precision.value is None or precision.lo is None or precision.hi is None:
        return None
    return Flagged(*(round(1000 * share) for share in (precision.value, precision.lo, precision.hi)))
