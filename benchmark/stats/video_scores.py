"""The scores of videos alone, without frames, groups and curves: what comparing many rows needs, read quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core.errors import BenchError
from ..core.readers import read_parquet
from ..core.types import FAKE, REAL
from .metrics import Array
from .scoring import check_predictions, pool_frames, round_averages

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = ("video", "identity")


class VideoScores(NamedTuple):
    """What one seed of a row scored: ids, labels, scores and `identity` (n,), and the labels of what it dropped.

    `identity` is `target+donor`, empty where nobody is known; a dropped video's label is None where nothing tells it.
    """

    ids: Sequence[str]
    label: NDArray[np.int64]
    score: Array
    identity: Sequence[str]
    dropped: Mapping[str, int | None] = {}


def pool_video_scores(frames: pd.DataFrame) -> VideoScores:
    """Pool a table of frames; see `scoring.pool_frames`."""
    videos = pool_frames(frames)
    identity = videos["identity"].tolist() if "identity" in videos else [""] * len(videos)
    return VideoScores(videos["video"].tolist(), videos["label"].to_numpy(np.int64), videos["score"].to_numpy(), identity)


def read_video_scores(path: Path) -> VideoScores:
    """Read the videos' scores of predictions that crossfake wrote.

    Raises:
        BenchError: the file is damaged, or isn't predictions.
    """
    table = read_parquet(path, ["video", "label", "score", "identity"], _TEXTS)
    if lacking := [name for name in ("video", "label", "score") if name not in table.column_names]:
        raise BenchError(f"{path} has no column {lacking[0]}: no predictions")
    codes, ids = _read_texts(table, "video")
    score, label = (table[name].to_numpy().astype(float) for name in ("score", "label"))
    if not len(codes) or (codes < 0).any() or not np.isfinite(score).all() or not np.isin(label, (REAL, FAKE)).all():
        check_predictions(table.to_pandas().assign(frame=range(len(codes))), str(path))
        raise BenchError(f"{path} can't be read as predictions")
    count = np.bincount(codes)
    mean = round_averages(np.bincount(codes, score) / count)
    label_of = np.bincount(codes, label) / count
    if not np.isin(label_of, (REAL, FAKE)).all():
        raise BenchError(f"{path}: a label differs from the video's other frames")
    first = np.zeros(len(ids), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    identity = [""] * len(ids)
    if "identity" in table.column_names:
        people, names = _read_texts(table, "identity")
        identity = [names[k] if k >= 0 else "" for k in people[first].tolist()]
    return VideoScores(ids, label_of.astype(np.int64), mean, identity)


def _read_texts(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column of texts as the codes of distinct ones; -1 where there is none."""
    import pyarrow as pa

    column = table[name].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    used, codes = np.unique(codes, return_inverse=True)
    texts = column.dictionary.to_pylist()
    lacking = int(used[:1].sum() < 0) if len(used) else 0
    return codes - lacking, [texts[k] for k in used[lacking:].tolist()]
