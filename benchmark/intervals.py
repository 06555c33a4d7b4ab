"""95 % intervals by the bootstrap: whole clusters (a video with all its frames) are drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .types import Estimate

LEVEL = 0.95
_CHUNK = 4_000_000  # weights held at once: 32 MB

Statistic = Callable[[NDArray[np.float64] | None], NDArray[np.float64]]
"""A metric with its data bound: weights (draws, n) or None in, values (draws,) or a scalar out."""


def estimate(statistic: Statistic, clusters: ArrayLike, *, n: int, draws: int = 1000, seed: int = 0) -> Estimate:
    """Return a statistic with its percentile interval.

    Args:
        statistic: see `Statistic`.
        clusters: (n,) what each sample belongs to, as integers from 0; a cluster is drawn as a whole.
        n: the sample size to report.
        draws: bootstrap draws; 0 gives the value alone.
        seed: of the draws, so that the same predictions always give the same interval.
    """
    value = float(statistic(None))
    if np.isnan(value):
        return Estimate(None, None, None, n, "undefined (one class)")
    drawn = bootstrap(statistic, np.asarray(clusters), draws, seed)
    drawn = drawn[~np.isnan(drawn)]  # Draws without both classes say nothing of the spread.
    if len(drawn) < draws / 2 or draws == 0:
        return Estimate(value, None, None, n, "too few videos for an interval" if draws else "")
    lo, hi = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # Resampling widens a range over groups, so that its draws can all lie above it: the interval is never without it.
    return Estimate(value, min(float(lo), value), max(float(hi), value), n)


def bootstrap(statistic: Statistic, clusters: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the statistic of `draws` resamples of the clusters, shape (draws,)."""
    rng = np.random.default_rng(seed)
    count = int(clusters.max(initial=-1)) + 1
    at_once = max(1, _CHUNK // max(len(clusters), 1))
    values = [np.empty(0)]
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=size)
        values.append(np.asarray(statistic(drawn[:, clusters].astype(float))))
    return np.concatenate(values)
