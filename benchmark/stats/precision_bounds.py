"""How far average precision may be off if fakes are rare, so that it depends on the few highest reals.

The share of all reals that score above one of ours is distributed like an order statistic, whatever the scores. So the
shares are drawn jointly as sums of exponential deviates, one more than there are people (the Bayesian bootstrap, Rubin
1981, including the part above the highest). Between two reals the true share is between theirs: the lower end uses the
upper one and the upper end the lower one, so both err on the wide side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.types import FAKE, REAL
from .influence import Samples
from .metrics import Array
from .shares import TAIL

_ELEMENTS = 500_000  # of one array at a time
_TOGETHER = 32  # draws that are measured together: few enough to stay in the processor's cache


class _Ranked(NamedTuple):
    """Samples, highest first: who appears in the reals and the fakes, (samples, people); reals as high as each fake."""

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
    of_reals, of_fakes = (samples.people.person[samples.videos[k]].sorted_indices() for k in (reals, fakes))
    shown = len(np.unique(samples.people.first[samples.videos[reals]]))
    return _Ranked(of_reals, of_fakes, above, len(reals) / shown)


def _draw(ranked: _Ranked, prevalences: Array, draws: int, rng: np.random.Generator) -> Array:
    people = rng.standard_exponential((draws, ranked.reals.shape[1]))
    highest = rng.standard_exponential(draws) * ranked.videos_of_one
    parts = np.array_split(np.arange(draws), -(-draws // _TOGETHER))
    return np.concatenate([_measure(ranked, prevalences, people[of], highest[of]) for of in parts], axis=2)


def _measure(ranked: _Ranked, prevalences: Array, people: Array, highest: Array) -> Array:
    """Measure the draws of these deviates, (draws, people) and (draws,): (prevalences, 2, draws)."""
    logs = np.ascontiguousarray(np.log(people).T)
    shares = np.zeros((ranked.reals.shape[0] + 2, len(highest)))
    np.exp(ranked.reals @ logs, out=shares[1:-1])
    shares[-1] = highest
    shares = np.cumsum(shares, axis=0)
    shares /= shares[-1]
    weight = np.exp(ranked.fakes @ logs)
    weight /= weight.sum(axis=0)
    tpr, ends = np.cumsum(weight, axis=0), [shares[ranked.above + k] for k in (1, 0)]
    return np.stack([_average(weight, tpr, ends, p) for p in prevalences])


def _average(weight: Array, tpr: Array, ends: Sequence[Array], prevalence: float) -> list[Array]:
    found = prevalence * tpr
    gained = weight * found
    return [(gained / (found + (1 - prevalence) * fpr)).sum(axis=0) for fpr in ends]
