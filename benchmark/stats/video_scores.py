"""Only the videos' scores, without frames, groups and curves: what comparing many rows needs, read quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.predictions import read_predictions
from ..core.readers import read_parquet
from ..core.types import FAKE, REAL
from .attributes import group_names
from .metrics import Array
from .scoring import check_predictions, round_averages

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TEXTS = ("video", "method", "identity")


class VideoScores(NamedTuple):
    """What one seed of a row scored: ids, labels, scores and `identity` (n,), and the labels of what it dropped.

    `identity` is `target+source`, empty if unknown; a dropped video's label is None if unknown.
    """

    ids: Sequence[str]
    label: NDArray[np.int64]
    score: Array
    identity: Sequence[str]
    dropped: Mapping[str, int | None] = {}


class FrameScores(NamedTuple):
    """The scores of frames, (n,) each: a frame's video (index in `ids`), label and score; `table` has the rest."""

    ids: list[str]
    video: NDArray[np.int64]
    label: NDArray[np.int64]
    score: Array
    table: pa.Table

    @property
    def means(self) -> Array:
        """The mean score of each video, (ids,)."""
        return round_averages(np.bincount(self.video, self.score) / np.bincount(self.video))


def read_frame_scores(path: Path) -> FrameScores:
    """Read the columns `video`, `frame`, `label`, `score`, `method`, `identity` and `person`, if present.

    For boards with many rows: it takes a tenth of the time of `read_predictions` and `check_predictions`, and leaves
    unusable files to them.

    Raises:
        BenchError: the file is damaged, or doesn't contain predictions.
    """
    packed = read_parquet(path, [*_TEXTS, "frame", "label", "score", "person"], _TEXTS)
    if not _are_plain(packed):
        return pack_frames(_read_checked(path))
    found = _pack(packed)
    return found if _are_sound(found) else pack_frames(_read_checked(path))


def pack_frames(frames: pd.DataFrame) -> FrameScores:
    """Return the same from a table that can be scored."""
    import pyarrow as pa

    kept = [c for c in (*_TEXTS, "frame", "label", "score", "person") if c in frames]
    return _pack(pa.Table.from_pandas(frames[kept], preserve_index=False))


def _read_checked(path: Path) -> pd.DataFrame:
    table, _ = read_predictions(path)
    check_predictions(table, str(path))
    return table


def _are_plain(table: pa.Table) -> bool:
    """Return whether the columns exist, have no gaps, and have the types that we write."""
    import pyarrow as pa

    kinds = {"video": pa.types.is_dictionary, "frame": pa.types.is_integer, "label": pa.types.is_integer}
    kinds["score"] = pa.types.is_floating
    known = {name: table[name] for name in kinds if name in table.column_names}
    return len(known) == len(kinds) and all(
        kinds[name](column.type) and len(column) > 0 and not column.null_count for name, column in known.items()
    )


def _pack(table: pa.Table) -> FrameScores:
    table = table.unify_dictionaries().combine_chunks()
    codes, ids = _read_texts(table, "video")
    used, codes = np.unique(codes, return_inverse=True)
    label, score = table["label"].to_numpy().astype(np.int64), table["score"].to_numpy().astype(float)
    return FrameScores([ids[k] for k in used.tolist()], codes, label, score, table)


def _are_sound(frames: FrameScores) -> bool:
    """Return whether scores are finite, labels 0 or 1 and the same within a video."""
    if not np.isfinite(frames.score).all() or not np.isin(frames.label, (REAL, FAKE)).all():
        return False
    fakes, count = np.bincount(frames.video, frames.label), np.bincount(frames.video)
    return bool(((fakes == 0) | (fakes == count)).all())


def _read_texts(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return a text column as codes, -1 for missing values, with the texts."""
    import pyarrow as pa

    column = table[name].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(text) for text in column.dictionary.to_pylist()]


def pool_video_scores(frames: FrameScores) -> VideoScores:
    """Pool frames into videos; see `scoring.pool_frames`."""
    import pandas as pd

    first = np.zeros(len(frames.ids), np.int64)
    first[frames.video[::-1]] = np.arange(len(frames.video))[::-1]
    identity = [""] * len(first)
    if "identity" in frames.table.column_names:
        codes, names = _read_texts(frames.table, "identity")
        known = group_names(pd.Series([*names, None], dtype=object)).tolist()
        identity = [known[k] for k in codes[first].tolist()]
    return VideoScores(frames.ids, frames.label[first], frames.means, identity)
