"""Who a detector fails for: per-group and intersectional tables, each cell with its n, and the gaps between groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import metrics
from .intervals import estimate
from .types import FAKE, REAL, Estimate

MIN_PER_CLASS = 5
INTERSECTION = "intersection"


def attributes_of(videos: pd.DataFrame, known: Iterable[str]) -> dict[str, pd.Series]:
    """Return each annotated attribute as a column of group names, and their intersection where there are several."""
    present = [a for a in known if a in videos and (videos[a] != "").any()]
    columns = {a: videos[a] for a in present}
    if len(present) > 1:
        whole = (videos[present] != "").all(axis=1)
        columns[INTERSECTION] = videos[present].agg("-".join, axis=1).where(whole, "")
    return columns


def group_tables(videos: pd.DataFrame, known: Iterable[str], threshold: float, draws: int) -> dict[str, Any]:
    """Return, for every attribute, its groups with AUC, FPR and TPR at `threshold`, and n (real, fake) videos.

    Args:
        videos: one row a video with `label`, `score` and the attributes' columns ("" where not annotated).
        known: the attributes to look for.
        threshold: the operating point, on P(fake).
        draws: bootstrap draws.
    """
    return {
        attribute: {g: _group(videos[names == g], threshold, draws) for g in sorted(set(names) - {""})}
        for attribute, names in attributes_of(videos, known).items()
    }


def _group(members: pd.DataFrame, threshold: float, draws: int) -> dict[str, Any]:
    label, score = members["label"].to_numpy(), members["score"].to_numpy()
    real, fake = int((label == REAL).sum()), int((label == FAKE).sum())
    clusters = np.arange(len(members))
    cell: dict[str, Any] = {
        "n_real": real,
        "n_fake": fake,
        "video.auc": estimate(lambda w: metrics.auc(label, score, w), clusters, n=len(members), draws=draws),
        "video.fpr": _rate(label, score, threshold, REAL, real, draws),
        "video.tpr": _rate(label, score, threshold, FAKE, fake, draws),
    }
    if min(real, fake) < MIN_PER_CLASS:
        cell["left_out"] = f"fewer than {MIN_PER_CLASS} videos of a class (real {real}, fake {fake})"
    return cell


def _rate(label: NDArray, score: NDArray, threshold: float, which: int, n: int, draws: int) -> Estimate:
    rate = estimate(
        lambda w: metrics.positive_rate(label, score, threshold, which, w), np.arange(len(label)), n=n, draws=draws
    )
    return rate if n else rate._replace(note="no such videos")


def gaps(videos: pd.DataFrame, known: Iterable[str], threshold: float, draws: int) -> dict[str, Estimate]:
    """Return the range over groups (largest minus smallest) of AUC and of FPR at `threshold`, per attribute.

    Groups with fewer than MIN_PER_CLASS videos of a class don't enter; `n` is the smallest cell that did, real or
    fake, since a gap is no better known than its smallest cell.
    """
    result: dict[str, Estimate] = {}
    label, score = videos["label"].to_numpy(), videos["score"].to_numpy()
    for attribute, names in attributes_of(videos, known).items():
        masks = [m for g in sorted(set(names) - {""}) if _large_enough(m := (names == g).to_numpy(), label)]
        if len(masks) < 2:
            none = Estimate(None, None, None, 0, f"fewer than two groups with {MIN_PER_CLASS} videos of each class")
            result |= {f"video.fairness.{attribute}.{what}_gap": none for what in ("auc", "fpr")}
            continue
        smallest = min(int((label[m] == c).sum()) for m in masks for c in (REAL, FAKE))
        result[f"video.fairness.{attribute}.auc_gap"] = _range(
            lambda m, w: metrics.auc(label[m], score[m], w), masks, smallest, draws
        )
        result[f"video.fairness.{attribute}.fpr_gap"] = _range(
            lambda m, w: metrics.positive_rate(label[m], score[m], threshold, REAL, w), masks, smallest, draws
        )
    return result


def _large_enough(mask: NDArray, label: NDArray) -> bool:
    return min(int((label[mask] == c).sum()) for c in (REAL, FAKE)) >= MIN_PER_CLASS


def _range(metric: Any, masks: list[NDArray], smallest: int, draws: int) -> Estimate:
    def spread(weights: NDArray | None) -> NDArray:
        values = np.stack([metric(m, None if weights is None else weights[:, m]) for m in masks])
        return values.max(0) - values.min(0)

    return estimate(spread, np.arange(len(masks[0])), n=smallest, draws=draws)
