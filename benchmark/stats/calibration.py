"""Whether scores can be read as probabilities: calibration error, Brier score, reliability curve, temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..core.types import Estimate
from .influence import Measured, Samples, measure_mean
from .metrics import Array
from .shares import LEVEL, TAIL, bound_korn_graubard

BINS = 15
TEMPERATURES = (1 / 20, 20)  # the range that is searched
SHOWN = 10
"""The fewest videos in a bin of a calibration chart."""
CLIP = 1e-6  # Keeps the logits of scores of exactly 0 or 1 finite.


def are_probabilities(scores: ArrayLike) -> bool:
    """Return whether all scores lie between 0 and 1."""
    s = np.asarray(scores)
    return bool(((s >= 0) & (s <= 1)).all())


def measure_calibration(samples: Samples, draws: int) -> dict[str, Measured]:
    """Return `ece` and `brier`.

    The expected calibration error is the mean over bins of |mean score - share of fakes|, weighted by their sizes
    (Guo et al. 2017, equation 5, on P(fake) in 15 bins of equal width); the Brier score the mean of (score - label)^2.

    Args:
        samples: with scores between 0 and 1.
        draws: number of draws for the interval of `ece`; 0 gives no interval.
    """
    y, s = np.asarray(samples.labels, dtype=float), samples.scores
    bins, excess = assign_bins(s), s - y
    sums = np.bincount(bins, excess, BINS)
    value = float(np.abs(sums).sum() / len(y))
    influence = samples.add_up(np.sign(sums)[bins] * excess - value) / len(y)
    reach = _reach_of_ece(samples, bins, excess, draws) if draws else None
    return {"ece": Measured(value, influence, reach=reach), "brier": measure_mean(samples, excess**2)}


def _reach_of_ece(samples: Samples, bins: NDArray[np.int64], excess: Array, draws: int) -> tuple[float, float]:
    """Return how far below and above its value the true calibration error may be.

    The error is a norm of the bins' deviations, so it is off by at most the norm of their sampling errors. Quantiles of
    drawn values would be too high: even a perfectly calibrated detector's bins deviate by chance.
    """
    n, people = len(bins), samples.people
    of_bins = np.bincount(samples.videos * BINS + bins, excess, len(people.first) * BINS).reshape(-1, BINS) / n
    off = of_bins.sum(0)
    centred = of_bins - off * samples.add_up(np.ones(n))[:, None] / n
    few = scipy.special.stdtrit(max(people.count() - 1, 1), 1 - TAIL) / scipy.special.ndtri(1 - TAIL)
    errors = few * draw_normal(people.measure_covariance(centred), draws)
    value = np.abs(off).sum()
    reach = float(np.quantile(np.abs(errors).sum(1), LEVEL))
    ceiling = float(np.quantile(np.abs(off + errors).sum(1), 1 - TAIL))
    return min(reach, value), max(min(reach, ceiling - value), 0.0)


def draw_normal(covariance: Array, draws: int) -> Array:
    """Draw normal errors with this covariance (k, k), the same each time: (draws, k)."""
    size, axes = np.linalg.eigh(covariance)
    normal = np.random.default_rng(0).normal(size=(draws, len(size)))
    return np.asarray((normal * np.sqrt(np.maximum(size, 0))) @ axes.T)


def reliability_curve(labels: ArrayLike, scores: ArrayLike) -> list[tuple[float, float, int]]:
    """Return (mean score, share of fakes, n) of every bin that isn't empty."""
    bins, y, s = assign_bins(scores), np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    n, fakes, total = (np.bincount(bins, w, BINS) for w in (np.ones(len(y)), y, s))
    return [(float(total[i] / n[i]), float(fakes[i] / n[i]), int(n[i])) for i in np.flatnonzero(n)]


def estimate_bins(
    points: Sequence[tuple[float, float]], counts: Sequence[int], least: int = SHOWN
) -> list[tuple[float, Estimate]]:
    """Return (mean score, share of fakes) of the bins with at least `least` videos, the share with its interval.

    The interval is Clopper and Pearson's, which assumes that no two videos in a bin show the same person.

    Args:
        points: (mean score, share of fakes) of each bin.
        counts: number of videos in each bin; bins beyond its end are left out.
        least: the fewest videos per bin: the share of fewer says next to nothing.
    """
    found = [(*point, n) for point, n in zip(points, counts, strict=False) if n >= least]
    if not found:
        return []
    mean, share, n = np.array(found).T
    low, high = 1 - bound_korn_graubard(1 - share, n), bound_korn_graubard(share, n)
    return [
        (float(m), Estimate(float(s), float(lo), float(hi), int(k)))
        for m, s, lo, hi, k in zip(mean, share, low, high, n, strict=True)
    ]


def assign_bins(scores: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each score, 0 to BINS - 1; a bin includes its lower edge, and the last bin also includes 1."""
    return np.minimum((np.asarray(scores, dtype=float) * BINS).astype(np.int64), BINS - 1)


def fit_temperature(labels: ArrayLike, scores: ArrayLike) -> float:
    """Fit T so that sigmoid(logit(score) / T) has the least cross-entropy (Guo et al. 2017, section 4.2).

    T above 1 means that the scores were overconfident. It is searched between 1/20 and 20: if scores separate the
    classes perfectly, or carry no information, the minimum is at the end of the range.
    """
    from scipy.optimize import minimize_scalar

    y, z = np.asarray(labels, dtype=float), _logit(scores)

    def loss(log_t: float) -> float:
        x = z / np.exp(log_t)
        return float(np.mean(np.logaddexp(0, x) - y * x))

    low, high = (float(np.log(t)) for t in TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def apply_temperature(scores: ArrayLike, by: float) -> Array:
    """Return the scores after temperature scaling."""
    from scipy.special import expit

    return np.asarray(expit(_logit(scores) / by))


def _logit(scores: ArrayLike) -> Array:
    p = np.clip(np.asarray(scores, dtype=float), CLIP, 1 - CLIP)
    logits: Array = np.log(p / (1 - p))
    return logits
