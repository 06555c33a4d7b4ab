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
    if "method" not in seeds[0].table:
        return {}
    methods = _list_methods(seeds[0].table)
    return {m: _measure_method(seeds, np.flatnonzero(rows), share_tail(len(methods))) for m, rows in methods.items()}


def measure_method_groups(seeds: Sequence[Scored], known: Iterable[str]) -> MethodGroups:
    """Score each group's manipulations against its real videos; intervals hold simultaneously within an attribute."""
    table = seeds[0].table
    if "method" not in table:
        return {}
    methods, found = _list_methods(table), {}
    for attribute, grouping in cross_attributes(table, known).items():
        tail = share_tail(len(grouping.names) * len(methods))
        found[attribute] = {
            group: {
                m: cell for m, of in methods.items() if (cell := _measure_method(seeds, rows[of[rows]], tail)).n_fake
            }
            for group, rows in zip(grouping.names, grouping.list_rows(), strict=True)
        }
    return found


def _list_methods(videos: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return the manipulations, sorted, each with a mask of its fakes and all reals, (videos,)."""
    label, method = videos["label"].to_numpy(), videos["method"].to_numpy(dtype=object)
    return {m: (label == REAL) | (method == m) for m in sorted(set(method[label == FAKE]))}


def _measure_method(seeds: Sequence[Scored], chosen: NDArray[np.int64], tail: float) -> MethodCell:
    table, rows = seeds[0].table, np.arange(len(chosen))
    people, label = seeds[0].people.restrict(chosen), table["label"].to_numpy(np.int64)[chosen]
    samples = [Samples(label, s.table["score"].to_numpy(float)[chosen], rows, people) for s in seeds]
    hits = [measure_mean(x, x.scores >= s.threshold, x.rows(FAKE)) for x, s in zip(samples, seeds, strict=True)]
    auc, of_auc = average_over_seeds([measure_ranking(x, ["auc"])["auc"] for x in samples], people)
    tpr, of_tpr = average_over_seeds(hits, people)
    fakes = len(samples[0].rows(FAKE))
    return MethodCell(
        auc=estimate_ranking(auc, people, samples[0].classes, n=len(label), parts=of_auc, tail=tail),
        n_fake=fakes,
        tpr=estimate_share(tpr, people, n=fakes, parts=of_tpr, tail=tail),
    )
