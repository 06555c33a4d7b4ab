"""Several seeds as one number, and which rows can't be told from a test set's best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import hypot
from pathlib import Path
from statistics import stdev
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from ..benchmark.compare import METRICS, best_marks, pooled
from ..benchmark.errors import BenchError
from ..benchmark.intervals import LEVEL
from ..benchmark.predict import read_predictions
from ..benchmark.score import as_json
from .collect import Card

AUC, FRAME_AUC = "video.auc", "frame.auc"
Number = dict[str, Any]  # An Estimate as JSON: value, lo, hi, n and perhaps a note.


def pool(cards: Sequence[Card]) -> dict[str, Number]:
    """Return the metrics of one row on one test set, a card a seed.

    What ranks or calibrates is pooled over seeds by the two-level bootstrap, where all predictions are there; every
    other metric by `merge`.
    """
    if len(cards) < 2:
        return cards[0]["metrics"] if cards else {}
    shared = [name for name in cards[0]["metrics"] if all(name in c["metrics"] for c in cards)]
    merged = {name: merge([c["metrics"][name] for c in cards]) for name in shared}
    frames = _predictions(cards)
    try:
        return merged | as_json(pooled(frames, [name for name in METRICS if name in shared])) if frames else merged
    except BenchError:  # Seeds scored on other videos.
        return merged


def merge(numbers: Sequence[Number]) -> Number:
    """Return the mean over seeds with an interval; undefined where one is, and n the smallest.

    Its ends join, as in MOVER (Zou and Donner 2008), the mean distance of the seeds' own ends, since all saw the same
    videos, and the spread between seeds, by Student's t. A rate's or gap's ends stay within 0 ... 1, or what they were.
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
    most = max(1.0, *(e["hi"] for e in numbers))
    return merged | {"lo": max(merged["value"] - below, 0.0), "hi": min(merged["value"] + above, most)}


def best(rows: Sequence[tuple[str, Sequence[Card]]]) -> list[str]:
    """Return the names of the best row by video AUC and of all that a paired test can't tell from it.

    Rows without predictions or too small for an interval aren't compared; nothing is best among fewer than two.
    """
    sound = [(name, cards) for name, cards in rows if cards and all(c["metrics"][AUC]["lo"] is not None for c in cards)]
    compared = [(name, frames) for name, cards in sound if (frames := _predictions(cards))]
    if len(compared) < 2:
        return []
    marks = best_marks([frames for _, frames in compared])
    return [name for (name, _), mark in zip(compared, marks, strict=True) if mark]


def _predictions(cards: Sequence[Card]) -> list[pd.DataFrame]:
    """Read the predictions of all cards; none where one's are gone."""
    paths = [Path(c["predictions"]) for c in cards]
    return [_read(p, p.stat().st_mtime_ns) for p in paths] if all(p.is_file() for p in paths) else []


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> pd.DataFrame:
    return read_predictions(path)[0]
