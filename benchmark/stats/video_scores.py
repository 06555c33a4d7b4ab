"""The scores of videos alone, without frames, groups and curves: what comparing many rows needs, read quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core.predictions import read_predictions
from ..core.readers import read_parquet
from ..core.types import FAKE, REAL
from .attributes import group_names
from .metrics import Array
from .scoring import check_predictions, round_averages

_TEXTS = ("video", "method", "identity")


class VideoScores(NamedTuple):
    """What one seed of a row scored: ids, labels, scores and `identity` (n,), and the labels of what it dropped.

    `identity` is `target+source`, empty where nobody is known; a dropped video's label is None where nothing tells it.
    """

    ids: Sequence[str]
    label: NDArray[np.int64]
    score: Array
    identity: Sequence[str]
    dropped: Mapping[str, int | None] = {}


def read_frame_scores(path: Path) -> pd.DataFrame:
    """Read what there is of `video`, `frame`, `label`, `score`, `method`, `identity` and `person`, texts as categories.

    For boards of many rows: a tenth of the time that `read_predictions` and `check_predictions` take, and it tells what
    of these columns can't be used as they do.

    Raises:
        BenchError: the file is damaged, or isn't predictions.
    """
    packed = read_parquet(path, [*_TEXTS, "frame", "label", "score", "person"], _TEXTS)
    frames: pd.DataFrame = packed.to_pandas()
    known = {name for name in ("video", "frame", "label", "score") if name in frames}
    sound = len(known) == 4 and len(frames) and isinstance(frames["video"].dtype, pd.CategoricalDtype)
    if not sound or frames[sorted(known)].isna().any().any() or not _are_sound(frames):
        table, _ = read_predictions(path)
        check_predictions(table, str(path))
        return table
    return frames


def _are_sound(frames: pd.DataFrame) -> bool:
    label, score = frames["label"], frames["score"]
    numbers = label.dtype.kind in "iu" and score.dtype.kind == "f" and frames["frame"].dtype.kind in "iu"
    if not numbers or not np.isfinite(score).all() or not label.isin((REAL, FAKE)).all():
        return False
    codes = frames["video"].cat.codes.to_numpy()
    fakes, count = np.bincount(codes, label), np.bincount(codes)
    return bool(((fakes == 0) | (fakes == count)).all())


def read_video_scores(path: Path) -> VideoScores:
    """Read the videos' scores of predictions that crossfake wrote.

    Raises:
        BenchError: see `read_frame_scores`.
    """
    return pool_video_scores(read_frame_scores(path))


def pool_video_scores(frames: pd.DataFrame) -> VideoScores:
    """Pool a table of frames into videos; see `scoring.pool_frames`."""
    video = frames["video"].astype("category").cat.remove_unused_categories()
    codes, ids = video.cat.codes.to_numpy(), video.cat.categories.tolist()
    mean = round_averages(np.bincount(codes, frames["score"]) / np.bincount(codes))
    first = np.zeros(len(ids), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    rows = frames[[c for c in ("label", "identity") if c in frames]].iloc[first]
    identity = group_names(rows["identity"].astype(object)).tolist() if "identity" in rows else [""] * len(ids)
    return VideoScores(ids, rows["label"].to_numpy(np.int64), mean, identity)
