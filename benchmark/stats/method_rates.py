"""A detector's rates for each manipulation against all real videos, overall and for each group of people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.scorecard import MethodCell
from ..core.types import FAKE, REAL
from .attributes import cross_attributes
from .group_rates import Scored
from .influence import Samples, measure_mean
from .intervals import average_over_seeds, estimate_ranking, estimate_share
from .rankings import measure_ranking
from .shares import share_tail

if TYPE_CHECKING:
    import pandas as pd

MethodGroups = dict[str, dict[str, dict[str, MethodCell]]]
"""By attribute, group and method."""


def measure_methods(seeds: Sequence[Scored]) -> dict[str, MethodCell]:
    """Score each manipulation against all real videos, averaged over training seeds on the same videos.

    The intervals hold simultaneously for all manipulations.
    """
    table = seeds[0].table
    if "method" not in table:
        return {}
    methods = _list_methods(table)
    everybody = np.ones(len(table), dtype=bool)
    return {m: _measure_method(seeds, m, everybody, share_tail(len(methods))) for m in methods}


def measure_method_groups(seeds: Sequence[Scored], known: Iterable[str]) -> MethodGroups:
    """Score each group's manipulations against its real videos; intervals hold simultaneously within an attribute."""
    table = seeds[0].table
    if "method" not in table:
        return {}
    methods, found = _list_methods(table), {}
    for attribute, names in cross_attributes(table, known).items():
        groups = sorted(set(names) - {""})
        tail = share_tail(len(groups) * len(methods))
        found[attribute] = {
            g: {m: cell for m in methods if (cell := _measure_method(seeds, m, (names == g).to_numpy(), tail)).n_fake}
            for g in groups
        }
    return found


def _list_methods(videos: pd.DataFrame) -> list[str]:
    return sorted(set(videos.loc[videos["label"] == FAKE, "method"]))


def _measure_method(seeds: Sequence[Scored], method: str, among: NDArray[np.bool_], tail: float) -> MethodCell:
    table = seeds[0].table
    chosen = np.flatnonzero(among & ((table["label"] == REAL) | (table["method"] == method)).to_numpy())
    people, label = seeds[0].people.restrict(chosen), table["label"].to_numpy(np.int64)[chosen]
    samples = [Samples(label, s.table["score"].to_numpy(float)[chosen], np.arange(len(chosen)), people) for s in seeds]
    hits = [measure_mean(x, x.scores >= s.threshold, label == FAKE) for x, s in zip(samples, seeds, strict=True)]
    auc, of_auc = average_over_seeds([measure_ranking(x, ["auc"])["auc"] for x in samples], people)
    tpr, of_tpr = average_over_seeds(hits, people)
    fakes = int((label == FAKE).sum())
    return MethodCell(
        auc=estimate_ranking(auc, people, samples[0].classes, n=len(label), parts=of_auc, tail=tail),
        n_fake=fakes,
        tpr=estimate_share(tpr, people, n=fakes, parts=of_tpr, tail=tail),
    )
