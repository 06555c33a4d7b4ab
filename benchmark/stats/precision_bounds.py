"""How far average precision may be off if fakes are rare, so that it depends on the few highest reals.

The share of all reals that score above one of ours is distributed like an order statistic, whatever the scores. So the
shares are drawn jointly as sums of exponential deviates, one more than there are people (the Bayesian bootstrap, Rubin
1981, including the part above the highest). Between two reals the true share is between theirs: the lower end uses the
upper one and the upper end the lower one, so both err on the wide side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.types import FAKE, REAL
from .influence import Samples
from .metrics import Array
from .shares import TAIL

_ELEMENTS = 500_000  # of one array at a time


class _Ranked(NamedTuple):
    """Samples, highest first: who appears in the reals and the fakes, and how many reals score as high as each fake."""

    reals: scipy.sparse.csr_array
    fakes: scipy.sparse.csr_array
    above: NDArray[np.int64]
    videos_of_one: float


def bound_average_precision(samples: Samples, prevalences: Array, draws: int) -> Array:
    """Return the interval of average precision at these shares of fakes, (prevalences, 2).

    Each person has an exponential deviate, and a video has the product over the people whom it shows or uses.

    Args:
        samples: videos of both classes.
        prevalences: (prevalences,), above 0 and below 1.
        draws: number of draws, at least one.
    """
    ranked, rng = _rank(samples), np.random.default_rng(0)
    size = max(_ELEMENTS // len(samples.labels), 1)
    parts = [
        _draw(ranked, prevalences, min(size, draws - start), rng) for start in range(0, draws, size)
    ]  # Each (prevalences, 2, draws).
    found = np.concatenate(parts, axis=2)
    return np.stack([np.quantile(found[:, 0], TAIL, axis=1), np.quantile(found[:, 1], 1 - TAIL, axis=1)], axis=1)


def _rank(samples: Samples) -> _Ranked:
    order = np.argsort(-samples.scores, kind="stable")
    reals, fakes = (order[samples.labels[order] == k] for k in (REAL, FAKE))
    above = np.searchsorted(-samples.scores[reals], -samples.scores[fakes], side="right")
    people = samples.people
    of_reals = samples.videos[reals]
    shown = len(np.unique(people.first[of_reals]))
    return _Ranked(
        people.person[of_reals].T.tocsr(), people.person[samples.videos[fakes]].T.tocsr(), above, len(reals) / shown
    )


def _draw(ranked: _Ranked, prevalences: Array, draws: int, rng: np.random.Generator) -> Array:
    people = np.log(rng.exponential(size=(draws, ranked.reals.shape[0])))
    highest = rng.exponential(size=(draws, 1)) * ranked.videos_of_one
    shares = np.cumsum(np.concatenate([np.exp(people @ ranked.reals), highest], axis=1), axis=1)
    shares = np.pad(shares / shares[:, -1:], [(0, 0), (1, 0)])
    weight = np.exp(people @ ranked.fakes)
    weight /= weight.sum(axis=1, keepdims=True)
    tpr = np.cumsum(weight, axis=1)
    return np.stack([[_average(weight, tpr, shares[:, ranked.above + k], p) for k in (1, 0)] for p in prevalences])


def _average(weight: Array, tpr: Array, fpr: Array, prevalence: float) -> Array:
    found = prevalence * tpr
    return np.asarray((weight * found / (found + (1 - prevalence) * fpr)).sum(axis=1))
