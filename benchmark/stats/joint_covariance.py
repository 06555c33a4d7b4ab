"""Joint errors of several rows' AUCs on one test set: videos that share a person aren't independent.

The dyadic sandwich (Aronow, Samii and Assenova 2015; Cameron and Miller 2014) for the linearised AUC: products of
influences over all pairs of videos that show or use the same person. docs/statistics.md has its coverage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from .metrics import Array
from .people import People


class Spread(NamedTuple):
    """The joint uncertainty of rows on one test set.

    `persons` (rows, people) are sums of each person's influences; `weights` (rows, people) are sums of their squares;
    `forms` are covariances (rows, rows): for a difference, the one with the largest variance counts.
    """

    persons: Array
    weights: Array
    forms: tuple[Array, ...]

    def select(self, rows: NDArray[np.int64]) -> Spread:
        """Return the same for some of the rows."""
        forms = tuple(form[np.ix_(rows, rows)] for form in self.forms)
        return Spread(self.persons[rows], self.weights[rows], forms)

    def variance(self) -> Array:
        """Return the variance of each row's AUC, (rows,)."""
        return np.asarray(np.max([np.diag(form) for form in self.forms], axis=0))

    def difference_variance(self) -> Array:
        """Return the variance of the difference of every two rows, (rows, rows)."""
        return np.asarray(np.max([_difference_of(form) for form in self.forms], axis=0).clip(0))

    def freedom(self) -> Array:
        """Return the degrees of freedom of each row's variance, (rows,), from the effective number of people."""
        return _count_freedom(self.weights.sum(1), (self.weights**2).sum(1))

    def difference_freedom(self) -> Array:
        """Return the degrees of freedom of every two rows' difference, (rows, rows), as if people alone mattered."""
        total = self.weights.sum(1)
        squares = self.weights @ self.weights.T
        own = np.diag(squares)
        return _count_freedom(total[:, None] + total, own[:, None] + own + 2 * squares)


def measure_spread(influence: Array, people: People) -> Spread:
    """Measure the spread of rows from their videos' influences on their AUCs, (rows, videos); see `place_videos`."""
    first = scipy.sparse.csr_array((np.ones(len(people.first)), (np.arange(len(people.first)), people.first)))
    shown, persons, pairs = influence @ first, influence @ people.person, influence @ people.pair
    firsts, everybody = int(np.count_nonzero(first.sum(0))), int(np.count_nonzero(people.person.sum(0)))
    dyadic = everybody / max(everybody - 1, 1) * (persons @ persons.T - pairs @ pairs.T)
    cluster = firsts / max(firsts - 1, 1) * (shown @ shown.T)
    return Spread(persons, influence**2 @ people.person, (dyadic, cluster, influence @ influence.T))


def _difference_of(form: Array) -> Array:
    own = np.diag(form)
    return np.asarray(own[:, None] + own - form - form.T)


def _count_freedom(total: Array, squares: Array) -> Array:
    """Return (sum w)^2 / sum w^2 - 1, at least 1."""
    found = np.divide(total**2, squares, out=np.full(total.shape, 2.0), where=squares > 0)
    return np.asarray(np.maximum(found - 1, 1))
