"""From predictions to a scorecard: every metric with interval and n, per method, per group, with coverage."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from . import metrics
from .errors import BenchError
from .groups import gaps, group_tables
from .intervals import estimate
from .types import FAKE, REAL, Estimate

SCHEMA_VERSION = 1
ATTRIBUTES = ("gender", "race")
SOURCE_VAL = "largest TPR - FPR on the source val split"
REQUIRED = ("video", "frame", "label", "score")


def to_videos(frames: pd.DataFrame) -> pd.DataFrame:
    """Pool frame scores into a row a video by their mean, sorted by video id; what isn't annotated becomes ""."""
    texts = [c for c in ("method", *ATTRIBUTES) if c in frames]
    frames = frames.assign(**{c: frames[c].astype(object).where(frames[c].notna(), "").astype(str) for c in texts})
    first = {c: (c, "first") for c in ("label", *texts)}
    return frames.groupby("video", sort=True).agg(score=("score", "mean"), **first).reset_index()


def check_predictions(frames: pd.DataFrame, origin: str) -> None:
    """Refuse a table that can't be scored: missing columns, no rows, NaN scores, labels other than 0 and 1.

    Raises:
        BenchError: names the column, and the first offending rows (1 is the first row of data).
    """
    missing = [c for c in REQUIRED if c not in frames]
    if missing:
        raise BenchError(
            f"{origin} has no column {', '.join(missing)}; it has {', '.join(map(str, frames.columns))}. "
            f"Needed: {', '.join(REQUIRED)}"
        )
    if frames.empty:
        raise BenchError(f"{origin} has no rows: nothing to score")
    score = pd.to_numeric(frames["score"], errors="coerce").to_numpy(float)
    conflict = frames.groupby("video")["label"].transform("nunique").to_numpy() > 1
    for what, bad in (
        ("no video", frames["video"].isna().to_numpy()),
        ("a score that is no finite number", ~np.isfinite(score)),
        ("a label other than 0 and 1", ~frames["label"].isin([REAL, FAKE]).to_numpy()),
        ("a label that differs from the video's other frames", conflict),
        ("a frame that was there before", frames.duplicated(["video", "frame"]).to_numpy()),
    ):
        if bad.any():
            rows = (np.flatnonzero(bad)[:5] + 1).tolist()
            raise BenchError(f"{origin}: {what} in {int(bad.sum())} rows (first: {', '.join(map(str, rows))})")


def scorecard(
    frames: pd.DataFrame, *, threshold: float | None, draws: int = 1000, rule: str = SOURCE_VAL
) -> dict[str, Any]:
    """Score a predictions table.

    Args:
        frames: a row a frame: `video`, `frame`, `label`, `score`, and where known `method`, `gender`, `race`.
        threshold: the video-level operating point fixed on the source validation split; None if there is none.
        draws: bootstrap draws over videos.
        rule: where the threshold comes from, in words.

    Returns:
        `metrics`, `methods`, `groups` and `counts`, of plain dicts and Estimates.
    """
    videos = to_videos(frames)
    index = pd.Series(np.arange(len(videos)), index=videos["video"])
    clusters = index.loc[frames["video"]].to_numpy()
    at = 0.5 if threshold is None else threshold
    result = _level("video", videos, np.arange(len(videos)), draws) | _level("frame", frames, clusters, draws)
    if threshold is not None:
        result |= _accuracies(videos, frames, clusters, threshold, draws)
    return {
        "metrics": result | gaps(videos, ATTRIBUTES, at, draws),
        "methods": _methods(videos, draws),
        "groups": group_tables(videos, ATTRIBUTES, at, draws),
        "threshold": {"value": at, "rule": "0.5" if threshold is None else rule},
        "counts": _counts(videos, frames),
    }


def _level(level: str, table: pd.DataFrame, clusters: np.ndarray, draws: int) -> dict[str, Estimate]:
    label, score = table["label"].to_numpy(), table["score"].to_numpy(float)
    named = {"auc": metrics.auc, "ap": metrics.average_precision, "eer": metrics.equal_error_rate}
    return {
        f"{level}.{name}": estimate(partial(metric, label, score), clusters, n=len(table), draws=draws)
        for name, metric in named.items()
    }


def _accuracies(
    videos: pd.DataFrame, frames: pd.DataFrame, clusters: np.ndarray, threshold: float, draws: int
) -> dict[str, Estimate]:
    tables = {"video": (videos, np.arange(len(videos))), "frame": (frames, clusters)}
    return {
        f"{level}.acc": estimate(
            partial(metrics.accuracy, table["label"].to_numpy(), table["score"].to_numpy(), threshold),
            members,
            n=len(table),
            draws=draws,
        )
        for level, (table, members) in tables.items()
    }


def _methods(videos: pd.DataFrame, draws: int) -> dict[str, Any]:
    """Score each manipulation against all real videos."""
    if "method" not in videos:
        return {}
    result: dict[str, Any] = {}
    for method in sorted(set(videos.loc[videos["label"] == FAKE, "method"])):
        part = videos[(videos["label"] == REAL) | (videos["method"] == method)]
        auc = _level("video", part, np.arange(len(part)), draws)["video.auc"]
        result[method] = {"video.auc": auc, "n_fake": int((part["label"] == FAKE).sum())}
    return result


def _counts(videos: pd.DataFrame, frames: pd.DataFrame) -> dict[str, int]:
    return {
        "videos": len(videos),
        "real_videos": int((videos["label"] == REAL).sum()),
        "fake_videos": int((videos["label"] == FAKE).sum()),
        "frames": len(frames),
    }


def as_json(content: Any) -> Any:
    """Turn Estimates into `{"value", "lo", "hi", "n"[, "note"]}` dicts, at any depth."""
    if isinstance(content, Estimate):
        plain = {"value": content.value, "lo": content.lo, "hi": content.hi, "n": content.n}
        return plain | ({"note": content.note} if content.note else {})
    if isinstance(content, dict):
        return {k: as_json(v) for k, v in content.items()}
    return [as_json(v) for v in content] if isinstance(content, list) else content
