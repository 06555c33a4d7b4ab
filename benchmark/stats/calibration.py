"""Whether scores can be read as probabilities: calibration error, Brier score, reliability curve, temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bootstrap import MetricDraws, Resamples, measure_means
from .metrics import Array

BINS = 15
TEMPERATURES = (1 / 20, 20)  # between which one is sought
CLIP = 1e-6  # Keeps the logit of a score of exactly 0 or 1 finite.


def are_probabilities(scores: ArrayLike) -> bool:
    """Tell whether all scores lie between 0 and 1."""
    s = np.asarray(scores)
    return bool(((s >= 0) & (s <= 1)).all())


def measure_calibration(labels: ArrayLike, scores: ArrayLike, resamples: Resamples) -> dict[str, MetricDraws]:
    """Return `ece` and `brier` with their bootstrap draws.

    The expected calibration error is the mean over bins of |mean score - share of fakes|, weighted by their sizes
    (Guo et al. 2017, equation 5, on P(fake) in 15 bins of equal width); the Brier score the mean of (score - label)^2.
    """
    y, s = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    (brier,) = measure_means(((s - y) ** 2)[:, None], resamples)
    bins, excess = assign_bins(s), s - y
    sums = np.abs(resamples.counts(bins, BINS, excess)).sum(-1) / resamples.sums(np.ones(len(y)))
    value = np.abs(np.bincount(bins, excess, BINS)).sum() / len(y)
    return {"ece": MetricDraws(float(value), sums), "brier": brier}


def reliability_curve(labels: ArrayLike, scores: ArrayLike) -> list[tuple[float, float, int]]:
    """Return (mean score, share of fakes, n) of every bin that isn't empty."""
    bins, y, s = assign_bins(scores), np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    n, fakes, total = (np.bincount(bins, w, BINS) for w in (np.ones(len(y)), y, s))
    return [(float(total[i] / n[i]), float(fakes[i] / n[i]), int(n[i])) for i in np.flatnonzero(n)]


def assign_bins(scores: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each score, 0 to BINS - 1; a bin holds its lower edge, and the last one 1 as well."""
    return np.minimum((np.asarray(scores, dtype=float) * BINS).astype(np.int64), BINS - 1)


def fit_temperature(labels: ArrayLike, scores: ArrayLike) -> float:
    """Fit T so that sigmoid(logit(score) / T) has the least cross-entropy (Guo et al. 2017, section 4.2).

    T above 1 says that the scores were too sure of themselves. It is sought between 1/20 and 20: where scores part the
    classes, or tell nothing, the least lies at infinity.
    """
    from scipy.optimize import minimize_scalar

    y, z = np.asarray(labels, dtype=float), _logit(scores)

    def loss(log_t: float) -> float:
        x = z / np.exp(log_t)
        return float(np.mean(np.logaddexp(0, x) - y * x))

    low, high = (float(np.log(t)) for t in TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def apply_temperature(scores: ArrayLike, by: float) -> Array:
    """Return the scores at a temperature."""
    from scipy.special import expit

    return np.asarray(expit(_logit(scores) / by))


def _logit(scores: ArrayLike) -> Array:
    p = np.clip(np.asarray(scores, dtype=float), CLIP, 1 - CLIP)
    logits: Array = np.log(p / (1 - p))
    return logits
