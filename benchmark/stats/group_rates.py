"""A detector's rates for each group of people, with each video's influence, and draws of their true values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..core.types import FAKE, REAL
from .attributes import cross_attributes
from .fairness_metrics import compute_rates
from .influence import Classes, Measured, Samples, measure_mean
from .intervals import count_freedom
from .metrics import Array
from .people import People
from .rankings import measure_ranking
from .shares import count_trials

if TYPE_CHECKING:
    import pandas as pd

_DEVIATES = np.linspace(-4, 4, 65)  # where quantiles are computed; values in between are interpolated


class Scored(NamedTuple):
    """One level of a seed's predictions, one row per sample: `label`, `score` and attributes ("" where not annotated).

    `videos`, (n,), gives the video in `people` that each sample belongs to; scores of at least `threshold` are called
    fake. `half`, (n,), are the scores to compare with 0.5, if different.
    """

    table: pd.DataFrame
    videos: NDArray[np.int64]
    people: People
    threshold: float
    half: ArrayLike | None = None


@dataclass(frozen=True)
class GroupRates:
    """One group as scored by one seed.

    `people` are those in its videos, which are numbered from 0; `rates` maps operating points to `fpr` and `tpr`, and
    the first one also to `auc`.
    """

    name: str
    people: People
    classes: Classes
    rates: Mapping[str, Mapping[str, Measured]]

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of real and fake samples."""
        return int(self.classes.reals.sum()), int(self.classes.fakes.sum())


def tabulate_groups(scored: Scored, known: Iterable[str]) -> dict[str, list[GroupRates]]:
    """Measure the groups of every attribute and of every two crossed."""
    table, threshold = scored.table, scored.threshold
    groupings = cross_attributes(table, known)
    if not groupings:
        return {}
    label, score = table["label"].to_numpy(np.int64), table["score"].to_numpy(float)
    half = score if scored.half is None else np.asarray(scored.half)
    called = {
        "at": score >= threshold,
        "half": half >= 0.5,
        "fpr5": score >= threshold_at_fpr(label, score, 0.05),
    }
    samples = Samples(label, score, np.asarray(scored.videos), scored.people)
    return {
        attribute: [
            _measure_group(name, rows, samples, called)
            for name, rows in zip(grouping.names, grouping.list_rows(), strict=True)
        ]
        for attribute, grouping in groupings.items()
    }


def _measure_group(
    name: str, rows: NDArray[np.int64], whole: Samples, called: Mapping[str, NDArray[np.bool_]]
) -> GroupRates:
    inside = np.zeros(len(whole.people.first), dtype=bool)
    inside[whole.videos[rows]] = True
    local = (np.cumsum(inside) - 1)[whole.videos[rows]]
    people = whole.people.restrict(np.flatnonzero(inside))
    samples = Samples(whole.labels[rows], whole.scores[rows], local, people)
    classes = {"fpr": samples.rows(REAL), "tpr": samples.rows(FAKE)}
    rates = {
        point: {rate: measure_mean(samples, fake[rows], of) for rate, of in classes.items()}
        for point, fake in called.items()
    }
    rates["at"] |= measure_ranking(samples, ["auc"])
    return GroupRates(name, samples.people, samples.classes, rates)


def threshold_at_fpr(label: ArrayLike, score: ArrayLike, rate: float) -> float:
    """Return the lowest threshold at which no more than `rate` of the reals are called fake."""
    reals = np.sort(np.asarray(score)[np.asarray(label) == REAL])[::-1]
    allowed = int(rate * len(reals))
    return float(np.nextafter(reals[allowed], np.inf)) if len(reals) else np.inf


class PointRates(NamedTuple):
    """Rates of groups and, last, of all: `observed`, (groups + 1), and `drawn` true values, (draws, ...)."""

    observed: dict[str, Array]
    drawn: dict[str, Array]

    @property
    def errors(self) -> dict[str, Array]:
        """The drawn errors of the observed rates, (draws, groups + 1)."""
        return {name: drawn - self.observed[name] for name, drawn in self.drawn.items()}

    def select(self, kept: Sequence[int]) -> PointRates:
        """Return the rates of some groups, and of all."""
        at = [*kept, -1]
        return PointRates(
            {name: rate[at] for name, rate in self.observed.items()},
            {name: rate[:, at] for name, rate in self.drawn.items()},
        )


def find_rates(groups: Sequence[GroupRates], point: str, draws: int) -> PointRates:
    """Return all rates of the groups at an operating point, and draws of their true values.

    Each group's draws don't depend on the other groups or on the seed.
    """
    fair = {name: np.array([_value_of(g, name, point) for g in groups]) for name in ("fpr", "tpr", "auc")}
    drawn = {
        name: np.stack([_draw_rate(g, i, name, point, draws) for i, g in enumerate(groups)], axis=1)
        for name in ("fpr", "tpr", "auc")
    }
    sizes = np.array([g.size for g in groups], dtype=float).T
    return PointRates(_complete(fair, sizes), _complete(drawn, sizes))


def _value_of(group: GroupRates, rate: str, point: str) -> float:
    return group.rates["at" if rate == "auc" else point][rate].value


def _complete(rates: Mapping[str, Array], sizes: Array) -> dict[str, Array]:
    """Append the overall value to FPR and TPR, (..., groups), and add derived rates; AUC has no overall value."""
    real, fake = sizes
    alarms, hits = np.nan_to_num(rates["fpr"] * real), np.nan_to_num(rates["tpr"] * fake)
    counts = [np.broadcast_to(n, alarms.shape) for n in (real, fake)] + [alarms, hits]
    whole = compute_rates(*(np.concatenate([n, n.sum(-1, keepdims=True)], axis=-1) for n in counts))
    auc = rates["auc"]
    return {**whole, "auc": np.concatenate([auc, np.full((*auc.shape[:-1], 1), np.nan)], axis=-1)}


def _draw_rate(group: GroupRates, number: int, rate: str, point: str, draws: int) -> Array:
    """Draw a rate's true value, (draws,): a share by quantiles midway between Jeffreys' and Clopper and Pearson's.

    An AUC is drawn from Student's t on the logit scale; if it is 0 or 1, as a share of the smaller class's people.
    """
    found = group.rates["at" if rate == "auc" else point][rate]
    if np.isnan(found.value) or _count_people(group, found) < 2:  # One person says nothing about others.
        return np.full(draws, np.nan)
    uniform = _draw_levels(("fpr", "tpr", "auc").index(rate), number, draws)
    if rate == "auc" and 0 < found.value < 1:
        spread = group.people.measure_spread(found.influence)
        reach = scipy.special.stdtrit(count_freedom(spread), uniform) * spread.of_level**0.5
        middle = scipy.special.logit(found.value)
        return np.asarray(scipy.special.expit(middle + reach / (found.value * (1 - found.value))))
    trials = _count_trials(group, found)
    hits, misses = found.value * trials, (1 - found.value) * trials
    levels = scipy.special.ndtr(_DEVIATES)
    above = scipy.special.betaincinv(hits + 0.75, misses + 0.25, levels)
    below = scipy.special.betaincinv(hits + 0.25, misses + 0.75, levels)
    return np.asarray(np.interp(uniform, levels, np.where(levels < 0.5, below, above)))


@lru_cache(maxsize=256)
def _draw_levels(rate: int, number: int, draws: int) -> Array:
    """Draw quantiles' levels in a random order, (draws,), the same each time."""
    return np.random.default_rng([rate, number]).permutation((np.arange(draws) + 0.5) / max(draws, 1))


def _count_people(group: GroupRates, found: Measured) -> int:
    """Return the number of people of the (smaller) class behind a rate."""
    among = [found.sizes > 0] if found.sizes is not None else [of > 0 for of in group.classes]
    return min(group.people.count(mask) for mask in among)


def _count_trials(group: GroupRates, found: Measured) -> float:
    """Return the number of trials that a rate is worth: if all agree, the number of people."""
    people = _count_people(group, found)
    if found.value in (0, 1):
        return people
    assert found.sizes is not None
    variance = group.people.measure_spread(found.influence, found.among).of_level
    return float(count_trials(found.value, variance, found.sizes.sum(), people))
