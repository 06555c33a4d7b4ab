"""Several seeds as one row."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from statistics import stdev
from typing import TYPE_CHECKING, NamedTuple

import scipy

from ..core.display import say_once
from ..core.errors import BenchError
from ..core.group_comparisons import AttributeTests
from ..core.predictions import read_predictions
from ..core.scorecard import GroupCell, Groups, LevelCell, MethodCell, ScoreCard
from ..core.types import Estimate
from .attributes import INTERSECTION, with_attributes
from .group_gaps import find_shared_attributes, take_videos
from .group_tests import compare_attributes
from .method_rates import MethodGroups, measure_method_groups
from .paired import keep_shared_videos
from .scoring import check_predictions, find_shared_people, make_seed_scores, measure_metrics
from .shares import LEVEL

if TYPE_CHECKING:
    import pandas as pd

MIN_SHARED = 0.95
"""The share of videos that each seed must have in common with the others; others are left out of all."""
AUC, FRAME_AUC = "video.auc", "frame.auc"
SUMMARISED = (INTERSECTION, "gender", "race")
"""The attributes in which to look for the worst group, in this order."""


class PooledMetrics(NamedTuple):
    """The metrics of one row on one test set, its tables of groups, and whether these differ; see `ScoreCard`."""

    metrics: dict[str, Estimate]
    groups: Groups
    group_tests: dict[str, AttributeTests]
    method_groups: MethodGroups


def pool_seeds(cards: Sequence[ScoreCard]) -> PooledMetrics:
    """Average the scorecards of one row on one test set, one per seed.

    Uses the videos' influences if all predictions exist and cover (nearly) the same videos, else `merge_estimates`,
    which drops the tests of groups: p-values can't be combined.
    """
    if not cards:
        return PooledMetrics({}, {}, {}, {})
    if len(cards) < 2:
        return PooledMetrics(cards[0].metrics, cards[0].groups, cards[0].group_tests, cards[0].method_groups)
    frames = _read_all_predictions(cards)
    videos = [set(table["video"].unique()) for table in frames]
    if not frames or len(set.intersection(*videos)) < MIN_SHARED * max(map(len, videos)):
        return _merge_cards(cards)
    return _pool_predictions(cards, keep_shared_videos([frames])[0])


def _pool_predictions(cards: Sequence[ScoreCard], frames: Sequence[pd.DataFrame]) -> PooledMetrics:
    seeds = [make_seed_scores(with_attributes(t), *c.operating_point) for t, c in zip(frames, cards, strict=True)]
    people = find_shared_people(seeds)
    found, groups = measure_metrics(seeds, people, min(c.draws for c in cards))
    # Each seed has its own carried thresholds, with intervals that aren't sums of influences.
    carried = set.intersection(*({n for n in c.metrics if "_at_source_" in n} for c in cards))
    found |= {n: merge_estimates([c.metrics[n] for c in cards]) for n in sorted(carried)}
    scored, known = take_videos(seeds, people), find_shared_attributes(seeds)
    return PooledMetrics(found, groups, compare_attributes(scored, known), measure_method_groups(scored, known))


def _merge_cards(cards: Sequence[ScoreCard]) -> PooledMetrics:
    """Merge what the scorecards have in common, except the worst groups, which may differ."""
    shared = set.intersection(*(set(c.metrics) for c in cards))
    names = [name for name in cards[0].metrics if name in shared and not name.rpartition(".")[2].startswith("worst")]
    groups: Groups = {}
    for attribute, table in cards[0].groups.items():
        known = [c.groups.get(attribute, {}) for c in cards]
        groups[attribute] = {g: _merge_cells([k[g] for k in known]) for g in table if all(g in k for k in known)}
    metrics = {name: merge_estimates([c.metrics[name] for c in cards]) for name in names}
    return PooledMetrics(metrics, groups, {}, _merge_method_groups([c.method_groups for c in cards]))


def _merge_method_groups(tables: Sequence[MethodGroups]) -> MethodGroups:
    """Merge the cells that all tables have."""
    merged: MethodGroups = {}
    for attribute, groups in tables[0].items():
        for group, cells in groups.items():
            found = [t.get(attribute, {}).get(group, {}) for t in tables]
            shared = {m: _merge_methods([f[m] for f in found]) for m in cells if all(m in f for f in found)}
            merged.setdefault(attribute, {})[group] = shared
    return merged


def _merge_methods(cells: Sequence[MethodCell]) -> MethodCell:
    return MethodCell(
        auc=merge_estimates([c.auc for c in cells]),
        n_fake=min(c.n_fake for c in cells),
        tpr=merge_estimates([c.tpr for c in cells]),
    )


def _merge_cells(cells: Sequence[GroupCell]) -> GroupCell:
    of_videos = [c.video for c in cells]
    merged = LevelCell(
        n_real=min(c.n_real for c in of_videos),
        n_fake=min(c.n_fake for c in of_videos),
        auc=merge_estimates([c.auc for c in of_videos]),
        left_out=next((c.left_out for c in of_videos if c.left_out), ""),
    )
    return GroupCell(video=merged)


def merge_estimates(estimates: Sequence[Estimate], bounded: bool = True) -> Estimate:
    """Return the mean over seeds with an interval; undefined if one is, with the smallest n.

    Its ends combine, as in MOVER (Zou and Donner 2008), the mean distance of the seeds' own ends, since all saw the
    same videos, and the spread between seeds, by Student's t. The ends of a rate or gap stay within 0 ... 1, or as they
    were; those of a difference, which isn't `bounded`, aren't clipped.
    """
    values = []
    for e in estimates:
        if e.value is None:
            return e
        values.append(e.value)
    count, n = len(estimates), min(e.n for e in estimates)
    value = sum(values) / count
    ends = [(e.lo, e.hi) for e in estimates if e.lo is not None and e.hi is not None]
    if len(ends) < count:
        return Estimate(value, None, None, n, next(e.note for e in estimates if e.lo is None))
    spread = float(scipy.special.stdtrit(count - 1, (1 + LEVEL) / 2)) * stdev(values) / count**0.5 if count > 1 else 0.0
    below, above = (
        hypot(sum(abs(v - e) for v, e in zip(values, end, strict=True)) / count, spread)
        for end in zip(*ends, strict=True)
    )
    lo, hi = value - below, value + above
    most = max(1.0, *(hi for _, hi in ends))
    return Estimate(value, max(lo, 0.0), min(hi, most), n) if bounded else Estimate(value, lo, hi, n)


def subtract_estimates(a: Estimate | None, b: Estimate | None) -> Estimate | None:
    """Return a - b of two independent estimates; the interval combines theirs (MOVER, Zou and Donner 2008)."""
    if not a or not b or a.value is None or b.value is None:
        return None
    value, n = a.value - b.value, min(a.n, b.n)
    if a.lo is None or a.hi is None or b.lo is None or b.hi is None:
        return Estimate(value, None, None, n, (a if a.lo is None else b).note)
    below = ((a.value - a.lo) ** 2 + (b.hi - b.value) ** 2) ** 0.5
    above = ((a.hi - a.value) ** 2 + (b.value - b.lo) ** 2) ** 0.5
    return Estimate(value, value - below, value + above, n)


class GroupSummary(NamedTuple):
    """How an attribute's groups compare: the group with the lowest video AUC, and the gap.

    `qualified` of `groups` have enough videos of each class. With fewer than two there is no `worst` and no `group`.
    `worst` has the interval of the group's own row, and the size of its smaller class as n.
    """

    attribute: str
    qualified: int
    groups: int
    group: str = ""
    worst: Estimate | None = None
    gap: Estimate | None = None


def summarise_groups(pooled: PooledMetrics) -> GroupSummary | None:
    """Summarise the first attribute of SUMMARISED with two large enough groups; None if nothing is annotated.

    If none has two, describes the first annotated one.
    """
    known = [a for a in (*SUMMARISED, *pooled.groups) if pooled.groups.get(a)]
    found = [_summarise_attribute(pooled, attribute) for attribute in known]
    return next((one for one in found if one.worst), found[0] if found else None)


def _summarise_attribute(pooled: PooledMetrics, attribute: str) -> GroupSummary:
    cells = {group: cell.video for group, cell in pooled.groups[attribute].items()}
    known = {group: cell.auc.value for group, cell in cells.items() if not cell.left_out and cell.auc.value is not None}
    counts = GroupSummary(attribute, len(known), len(cells))
    if len(known) < 2:
        return counts
    cell = cells[group := min(known, key=known.__getitem__)]
    worst = cell.auc._replace(n=min(cell.n_real, cell.n_fake))
    gap = pooled.metrics.get(f"video.fairness.{attribute}.auc_gap")
    return counts._replace(group=group, worst=worst, gap=gap)


def _read_all_predictions(cards: Sequence[ScoreCard]) -> list[pd.DataFrame]:
    """Read the predictions of all cards; empty if any are gone or can't be used."""
    tables = [table for c in cards if (table := read_card_predictions(c)) is not None]
    return tables if len(tables) == len(cards) else []


def read_card_predictions(card: ScoreCard) -> pd.DataFrame | None:
    """Return the predictions behind a scorecard; None if they are gone or can't be used, which is reported."""
    path = card.predictions_path
    if not path.is_file():
        return None
    try:
        table, _ = read_predictions(path)
        check_predictions(table, str(path))
    except BenchError as error:
        say_once(f"left out: {error}")
        return None
    return table
