"""Who appears in which videos, and how far a number can be off because of it.

Videos that show or use the same person are correlated, and a person whose face is swapped into many videos appears in
all of them. Videos of different people are taken to be independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from .metrics import Array


class Spread(NamedTuple):
    """The variance of a number, the number of `people` behind it, and their `effective` number.

    `of_level` is the variance for the interval of a value that isn't a difference: if each video has two people, both
    contribute to the value against which its influence is measured, more so the more videos they have. `crossed` tells
    whether any people appear in others' videos.
    """

    variance: float
    people: int
    effective: float
    of_level: float
    crossed: bool


@dataclass(frozen=True)
class People:
    """The people in some videos; two people who are only swapped with each other count as one.

    `first` (videos,) numbers who is shown, among `size` people. `marks` has `person` and `pair`; None if nobody appears
    in another's videos.
    """

    first: NDArray[np.int64]
    size: int
    marks: tuple[scipy.sparse.csr_array, scipy.sparse.csr_array] | None = None

    @property
    def crossed(self) -> bool:
        """Whether a person appears in videos of several others."""
        return self.marks is not None

    @cached_property
    def person(self) -> scipy.sparse.csr_array:
        """Who is shown or used, (videos, people)."""
        if self.marks:
            return self.marks[0]
        count = len(self.first)
        return scipy.sparse.csr_array((np.ones(count), self.first, np.arange(count + 1)), shape=(count, self.size))

    @cached_property
    def pair(self) -> scipy.sparse.csr_array:
        """Every two people of a video, (videos, pairs)."""
        return self.marks[1] if self.marks else scipy.sparse.csr_array((len(self.first), 0))

    def restrict(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> People:
        """Return the people of some videos, given by mask or index; people keep their numbers."""
        marks = (self.marks[0][chosen], self.marks[1][chosen]) if self.marks else None
        return People(self.first[chosen], self.size, marks)

    def count(self, among: NDArray[np.bool_] | None = None) -> int:
        """Return how many people are shown in the videos, or in those `among` them."""
        return int(np.count_nonzero(np.bincount(self.first if among is None else self.first[among])))

    def measure_spread(self, influence: Array, among: NDArray[np.bool_] | None = None) -> Spread:
        """Return the variance of a sum of influences by the dyadic sandwich, at least that from the shown people alone.

        Fafchamps and Gubert 2007; Cameron and Miller 2014; Aronow, Samii and Assenova 2015: products of influences over
        all pairs of videos that share a person. That is the sum over people of their squared total influence, minus the
        part that two people share, which was counted twice.

        Args:
            influence: (videos,) each video's contribution to the number's deviation.
            among: the videos that the number is of (default: all).
        """
        shown = self.add_up(influence)
        count = self.count(among)
        variance = float((shown**2).sum()) * count / max(count - 1, 1)
        if not self.crossed:
            return Spread(variance, count, _count_effective(self.add_up(influence**2)), variance, False)
        sums, shared = influence @ self.person, influence @ self.pair
        present = np.ones(len(influence)) if among is None else among.astype(float)
        videos = present @ self.person
        everybody, alike = int(np.count_nonzero(videos)), _count_effective(videos)
        dyadic = float((sums**2).sum() - (shared**2).sum())
        whole, of_level = (max(variance, dyadic * n / max(n - lost, 1)) for n, lost in ((everybody, 1), (alike, 2)))
        return Spread(whole, everybody, _count_effective(influence**2 @ self.person), of_level, True)

    def add_up(self, values: Array) -> Array:
        """Sum (videos,) values for each person who is shown."""
        return np.bincount(self.first, values).astype(float, copy=False)

    def measure_covariance(self, influences: Array) -> Array:
        """Return the covariance of sums of influences, (videos, k), as `measure_spread` does for one: (k, k)."""
        shown, count = np.stack([self.add_up(of) for of in influences.T], axis=1), self.count()
        found = shown.T @ shown * count / max(count - 1, 1)
        if self.crossed:
            sums, shared = self.person.T @ influences, self.pair.T @ influences
            everybody = self.person.shape[1]
            dyadic = (sums.T @ sums - shared.T @ shared) * everybody / max(everybody - 1, 1)
            found = dyadic if np.trace(dyadic) > np.trace(found) else found
        size, axes = np.linalg.eigh(found)
        return np.asarray((axes * np.maximum(size, 0)) @ axes.T)


def _count_effective(weights: Array) -> float:
    total = float((weights**2).sum())
    return float(weights.sum() ** 2 / total) if total else 0.0


def number_apart(clusters: ArrayLike) -> People:
    """Return people who appear only in their own videos, given each video's person number, (videos,)."""
    first = np.unique(np.asarray(clusters, dtype=np.int64), return_inverse=True)[1].astype(np.int64)
    return People(first, int(first.max(initial=-1)) + 1)


def find_people(identity: Sequence[str]) -> People:
    """Number the people in videos by their `identity` (`target+source`, the target first; empty if unknown).

    Each name is one person, except that two who are only swapped with each other are one. A video with unknown people
    has its own person.
    """
    split = {name: tuple(dict.fromkeys(p for p in name.split("+") if p)) for name in dict.fromkeys(identity)}
    named = {name: people for name, people in split.items() if people}
    pairs = _find_pairs(named.values())
    codes: dict[str | int, int] = {}
    of_name = {
        name: list(dict.fromkeys(codes.setdefault(pairs.get(p, p), len(codes)) for p in people))
        for name, people in named.items()
    }
    members = [of_name.get(name) or [codes.setdefault(i, len(codes))] for i, name in enumerate(identity)]
    two: dict[tuple[int, int], int] = {}
    shared = [
        [two.setdefault((min(a, b), max(a, b)), len(two)) for k, a in enumerate(m) for b in m[k + 1 :]] for m in members
    ]
    first = np.array([m[0] for m in members], dtype=np.int64)
    marks = (_mark(members, len(codes)), _mark(shared, len(two))) if two else None
    return People(first, len(codes), marks)


def _find_pairs(videos: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Return one common name for two people who have no other partner."""
    partners: dict[str, set[str]] = {}
    for people in videos:
        for person in people:
            partners.setdefault(person, set()).update(p for p in people if p != person)
    only = {person: next(iter(found)) for person, found in partners.items() if len(found) == 1}
    return {person: min(person, other) for person, other in only.items() if only.get(other) == person}


def _mark(members: Sequence[Sequence[int]], size: int) -> scipy.sparse.csr_array:
    ends = np.concatenate([[0], np.cumsum([len(m) for m in members])]).astype(np.int64)
    columns = np.array([c for m in members for c in m], dtype=np.int64)
    return scipy.sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(members), size))
