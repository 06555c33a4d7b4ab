"""Several seeds as one row, and which rows can't be told from a test set's best."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtrit

from ..core.predictions import read_predictions
from ..core.scorecard import Card, Number, as_json, read_operating_point
from .attributes import with_attributes
from .bootstrap import LEVEL
from .paired import keep_shared_videos, mark_best
from .scoring import draw_resamples, make_seed_scores, measure_metrics

MIN_SHARED = 0.95
"""The share of its videos that each seed must have in common with the others; what one lacks is left out of all."""
AUC, FRAME_AUC = "video.auc", "frame.auc"


class PooledMetrics(NamedTuple):
    """The metrics of one row on one test set, and its tables of groups: {attribute: {group: cell}}."""

    metrics: dict[str, Number]
    groups: dict[str, dict[str, dict[str, Any]]]


def pool_seeds(cards: Sequence[Card]) -> PooledMetrics:
    """Average the scorecards of one row on one test set, a card a seed.

    By the two-level bootstrap where all predictions are there and (nearly) of the same videos, else by
    `merge_estimates`.
    """
    if len(cards) < 2:
        return PooledMetrics(cards[0]["metrics"], cards[0]["groups"]) if cards else PooledMetrics({}, {})
    frames = _read_all_predictions(cards)
    videos = [set(table["video"].unique()) for table in frames]
    if not frames or len(set.intersection(*videos)) < MIN_SHARED * max(map(len, videos)):
        return _merge_cards(cards)
    return _pool_predictions(cards, keep_shared_videos([frames])[0])


def _pool_predictions(cards: Sequence[Card], frames: Sequence[pd.DataFrame]) -> PooledMetrics:
    points = map(read_operating_point, cards)
    seeds = [make_seed_scores(with_attributes(table), *point) for table, point in zip(frames, points, strict=True)]
    metrics, groups = measure_metrics(seeds, draw_resamples(seeds, min(c["score"]["draws"] for c in cards)))
    return PooledMetrics(as_json(metrics), as_json(groups))


def _merge_cards(cards: Sequence[Card]) -> PooledMetrics:
    """Merge what the scorecards have in common, but for the worst groups, which may be another one in each."""
    shared = set.intersection(*(set(c["metrics"]) for c in cards))
    names = [name for name in cards[0]["metrics"] if name in shared and not name.rpartition(".")[2].startswith("worst")]
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for attribute, table in cards[0]["groups"].items():
        cells = {g: [c["groups"].get(attribute, {}).get(g) for c in cards] for g in table}
        groups[attribute] = {g: _merge_cells(found) for g, found in cells.items() if all(found)}
    return PooledMetrics({name: merge_estimates([c["metrics"][name] for c in cards]) for name in names}, groups)


def _merge_cells(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    left_out = [c["left_out"] for c in cells if "left_out" in c]
    counts = {name: min(c[name] for c in cells) for name in ("n_real", "n_fake")}
    return counts | {AUC: merge_estimates([c[AUC] for c in cells])} | ({"left_out": left_out[0]} if left_out else {})


def merge_estimates(numbers: Sequence[Number], bounded: bool = True) -> Number:
    """Return the mean over seeds with an interval; undefined where one is, and n the smallest.

    Its ends join, as in MOVER (Zou and Donner 2008), the mean distance of the seeds' own ends, since all saw the same
    videos, and the spread between seeds, by Student's t. A rate's or gap's ends stay within 0 ... 1, or what they were;
    those of a difference, which isn't `bounded`, lie where they lie.
    """
    for e in numbers:
        if e["value"] is None:
            return e
    values, count = [e["value"] for e in numbers], len(numbers)
    merged = {"value": sum(values) / count, "lo": None, "hi": None, "n": min(e["n"] for e in numbers)}
    if any(e["lo"] is None for e in numbers):
        return merged
    spread = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * stdev(values) / count**0.5 if count > 1 else 0.0
    below, above = (hypot(sum(abs(e["value"] - e[end]) for e in numbers) / count, spread) for end in ("lo", "hi"))
    merged |= {"lo": merged["value"] - below, "hi": merged["value"] + above}
    most = max(1.0, *(e["hi"] for e in numbers))
    return merged | {"lo": max(merged["lo"], 0.0), "hi": min(merged["hi"], most)} if bounded else merged


def subtract_estimates(a: Number | None, b: Number | None) -> Number | None:
    """Return a - b of two independent estimates; the interval joins theirs (MOVER, Zou and Donner 2008)."""
    if not a or not b or a["value"] is None or b["value"] is None:
        return None
    value, n = a["value"] - b["value"], min(a["n"], b["n"])
    if bare := next((e for e in (a, b) if e["lo"] is None), None):
        why = {"note": bare["note"]} if bare.get("note") else {}
        return {"value": value, "lo": None, "hi": None, "n": n, **why}
    below = ((a["value"] - a["lo"]) ** 2 + (b["hi"] - b["value"]) ** 2) ** 0.5
    above = ((a["hi"] - a["value"]) ** 2 + (b["value"] - b["lo"]) ** 2) ** 0.5
    return {"value": value, "lo": value - below, "hi": value + above, "n": n}


def find_worst_group(pooled: PooledMetrics, attribute: str) -> tuple[str, Number] | None:
    """Return the group with the lowest video AUC among those large enough, n being its smaller class; None of none."""
    cells = {g: c for g, c in pooled.groups.get(attribute, {}).items() if "left_out" not in c}
    known = [g for g in cells if cells[g][AUC]["value"] is not None]
    if not known:
        return None
    name = min(known, key=lambda g: cells[g][AUC]["value"])
    # The metric, where there is one, allows for being the lowest of several.
    number = pooled.metrics.get(f"video.fairness.{attribute}.worst_auc", cells[name][AUC])
    number = cells[name][AUC] if number["value"] is None else number
    return name, {**number, "n": min(cells[name][k] for k in ("n_real", "n_fake"))}


def find_best(rows: Sequence[tuple[str, Sequence[Card]]]) -> list[str]:
    """Return the names of the best row by video AUC and of all that a paired test can't tell from it.

    Rows without predictions or too small for an interval aren't compared; nothing is best among fewer than two.
    """
    sound = [(name, cards) for name, cards in rows if cards and all(c["metrics"][AUC]["lo"] is not None for c in cards)]
    compared = [(name, frames) for name, cards in sound if (frames := _read_all_predictions(cards))]
    if len(compared) < 2:
        return []
    marks = mark_best([frames for _, frames in compared])
    return [name for (name, _), mark in zip(compared, marks, strict=True) if mark]


def _read_all_predictions(cards: Sequence[Card]) -> list[pd.DataFrame]:
    """Read the predictions of all cards; none where one's are gone."""
    paths = [Path(c["predictions"]) for c in cards]
    return [read_predictions(p)[0] for p in paths] if all(p.is_file() for p in paths) else []
