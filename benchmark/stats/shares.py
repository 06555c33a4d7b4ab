"""Intervals of shares: Korn and Graubard's (1998), made monotone in the share.

That is Clopper and Pearson's with the effective number of independent samples, p (1 - p) / variance.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .influence import Measured
from .metrics import Array
from .people import People

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
_MOST_STEPS = 200  # up to this many mistakes, every smaller number is checked


def share_tail(count: int) -> float:
    """Return the tail probability for one of several simultaneous intervals (Sidak 1967)."""
    return float(1 - LEVEL ** (1 / max(count, 1))) / 2


def bound_share(
    found: Measured, people: People, variance: float | None = None, tail: float = TAIL
) -> tuple[float, float]:
    """Return the interval of a mean of zeros and ones from its variance (default: people's), `tail` beyond each end.

    With few mistakes the variance depends strongly on whose they are, so one more mistake could lower an end. An end is
    therefore the largest over all smaller numbers of mistakes, placed where they are least informative, and over none
    at all, which is worth as many trials as there are people. This makes it monotone in the share.
    """
    assert found.sizes is not None
    if variance is None:
        variance = people.measure_spread(found.influence, found.among).of_level
    hits = found.influence * found.sizes.sum() + found.sizes * found.value
    sizes = people.add_up(found.sizes)
    low, high = (_bound_above(people.add_up(of), sizes, variance, tail) for of in (found.sizes - hits, hits))
    return min(1 - low, found.value), max(high, found.value)


def _bound_above(hits: Array, sizes: Array, variance: float, tail: float) -> float:
    """Return the upper end for people with these numbers of hits and samples, (people,)."""
    hits, sizes = np.maximum(hits[sizes > 0], 0.0), sizes[sizes > 0]
    count, total, people = float(hits.sum()), float(sizes.sum()), len(sizes)
    none = float(1 - tail ** (1 / people))
    if count < 1e-9:
        return none
    fewer = np.arange(1, min(np.ceil(count - 1e-9), _MOST_STEPS + 1))
    variances = np.append(_find_most_variance(hits, sizes, fewer), variance)
    shares = np.append(fewer, count) / total
    trials = count_trials(shares, variances, total, people)
    # A smaller share with no fewer trials than a larger one can't have the highest end.
    open_ = np.append(trials[:-1] < np.minimum.accumulate(trials[:0:-1])[::-1], True)
    return float(max(none, bound_korn_graubard(shares[open_], trials[open_], tail).max()))


def _find_most_variance(hits: Array, sizes: Array, fewer: Array) -> Array:
    """Return the largest possible variance of a share with `fewer` hits among these people, (fewer,).

    It is largest if hits are concentrated: people are filled in the order of what one of their hits adds.
    """
    # Complex numbers sort several times as fast as rows.
    both, counts = np.unique(hits + 1j * sizes, return_counts=True)
    kinds = np.column_stack([both.real, both.imag])
    total, people = sizes.sum(), len(sizes)
    shares = fewer[:, None] / total
    adds = kinds[:, 0] - 2 * shares * kinds[:, 1]  # per hit, if all of a person's samples are hits
    order = np.argsort(-adds, axis=1)
    room = (kinds[:, 0] * counts)[order]
    before = np.cumsum(room, axis=1) - room
    taken = np.clip(fewer[:, None] - before, 0, room)
    squares = shares[:, 0] ** 2 * (sizes**2).sum() + (taken * adds[np.arange(len(adds))[:, None], order]).sum(1)
    return np.asarray(np.maximum(squares, 0) * people / max(people - 1, 1) / total**2)


def count_trials(shares: ArrayLike, variances: ArrayLike, most: float, people: int) -> Array:
    """Return the effective number of independent samples: at most `samples`, fewer if there are few people."""
    p, v = np.asarray(shares, dtype=float), np.asarray(variances, dtype=float)
    fair = np.divide(p * (1 - p), v, out=np.full(p.shape, float(most)), where=v > 0)
    few = scipy.special.stdtrit(max(most - 1, 1), 1 - TAIL) / scipy.special.stdtrit(max(people - 1, 1), 1 - TAIL)
    return np.asarray(np.minimum(fair, most) * min(few, 1.0) ** 2)


def bound_korn_graubard(shares: Array, trials: Array, tail: float = TAIL) -> Array:
    """Return the upper ends of shares known from these numbers of trials."""
    rest = trials * (1 - shares)
    return np.where(rest > 0, scipy.special.betaincinv(shares * trials + 1, np.maximum(rest, 1e-12), 1 - tail), 1.0)
