"""What a detector does for each manipulation, against all real videos, and for each of every group of people."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core.scorecard import MethodCell
from ..core.types import FAKE, REAL
from .attributes import cross_attributes
from .group_rates import Scored
from .influence import Samples, measure_mean
from .intervals import estimate_ranking, estimate_share
from .rankings import measure_ranking
from .shares import share_tail


def measure_methods(scored: Scored) -> dict[str, MethodCell]:
    """Score each manipulation against all real videos, with intervals that hold for all of them at once."""
    if "method" not in scored.table:
        return {}
    methods = _list_methods(scored.table)
    everybody = np.ones(len(scored.table), dtype=bool)
    return {m: _measure_method(scored, m, everybody, share_tail(len(methods))) for m in methods}


def measure_method_groups(scored: Scored, known: Iterable[str]) -> dict[str, dict[str, dict[str, MethodCell]]]:
    """Score each manipulation of each group against its real videos; intervals hold for all of an attribute's."""
    if "method" not in scored.table:
        return {}
    methods, found = _list_methods(scored.table), {}
    for attribute, names in cross_attributes(scored.table, known).items():
        groups = sorted(set(names) - {""})
        tail = share_tail(len(groups) * len(methods))
        found[attribute] = {
            g: {m: cell for m in methods if (cell := _measure_method(scored, m, (names == g).to_numpy(), tail)).n_fake}
            for g in groups
        }
    return found


def _list_methods(videos: pd.DataFrame) -> list[str]:
    return sorted(set(videos.loc[videos["label"] == FAKE, "method"]))


def _measure_method(scored: Scored, method: str, among: NDArray[np.bool_], tail: float) -> MethodCell:
    table = scored.table
    chosen = np.flatnonzero(among & ((table["label"] == REAL) | (table["method"] == method)).to_numpy())
    part, people = table.iloc[chosen], scored.people.restrict(chosen)
    label, score = part["label"].to_numpy(np.int64), part["score"].to_numpy(float)
    samples, fakes = Samples(label, score, np.arange(len(part)), people), int((label == FAKE).sum())
    auc = measure_ranking(samples, ["auc"])["auc"]
    hits = measure_mean(samples, score >= scored.threshold, label == FAKE)
    return MethodCell(
        auc=estimate_ranking(auc, people, samples.classes, n=len(label), tail=tail),
        n_fake=fakes,
        tpr=estimate_share(hits, people, n=fakes, tail=tail),
    )
