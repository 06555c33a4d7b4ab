"""What a board needs from a cell's predictions, in a small file next to its scorecard: a board reads no frames.

These are the videos' scores, labels and people, and the worst frames. Videos' influences on metrics aren't stored:
computing them from the scores is faster than reading them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ..core.display import say_once
from ..core.errors import BenchError
from ..core.keys import file_hash
from ..core.readers import parse_json, read_bytes, read_safetensors_metadata, shorten
from ..core.scorecard import ScoreCard
from ..core.storage import SCORECARD, WriteError, write_atomically
from ..core.types import FAKE, REAL
from ..stats.video_scores import VideoScores, pool_video_scores, read_frame_scores
from .worst_cases import WorstFrame, find_worst_cases

FILE = "video_scores.safetensors"
VERSION = 1
MOST_BYTES = 2**28  # two million videos
KINDS = {"score": "<f8", "label": "<i8", "videos": "|u1", "identities": "|u1", "worst": "|u1"}
"""The arrays of a file. The last three are JSON: names, `target+source`, and the worst fakes and reals."""
Arrays = dict[str, NDArray[np.generic]]
_NAMES = TypeAdapter(list[str])
_WORST = TypeAdapter(tuple[list[WorstFrame], list[WorstFrame]])


class CellScores(NamedTuple):
    """The scores of one cell's videos, and by label those on which it is most wrong."""

    videos: VideoScores
    worst: dict[int, list[WorstFrame]]


def read_scores(cards: Sequence[ScoreCard]) -> list[VideoScores]:
    """Read the videos' scores for all cards of a row; empty if one's predictions are gone or can't be used."""
    found = [scores.videos for card in cards if (scores := read_cell_scores(card)) is not None]
    dropped = [{d.video: d.label for d in card.coverage.dropped} for card in cards]
    if len(found) < len(cards):
        return []
    return [scores._replace(dropped=lost) for scores, lost in zip(found, dropped, strict=True)]


def read_cell_scores(card: ScoreCard) -> CellScores | None:
    """Read what a board needs from a card's predictions; None if they are gone or can't be used, which is reported.

    The file next to a run's scorecard is used if it belongs to these predictions. Otherwise it is recomputed, which is
    reported, and saved if the folder is writable.
    """
    predictions = card.predictions_path
    if not predictions.is_file():
        return None
    kept = card.folder / FILE if card.path.name == SCORECARD else None
    if kept is not None and kept.is_file():
        try:
            return _read_file(kept, file_hash(predictions))
        except BenchError as error:
            say_once(f"{error}: recomputed")
    try:
        found = _summarise(predictions)
    except BenchError as error:
        say_once(f"left out: {error}")
        return None
    if kept is not None:
        with suppress(WriteError):  # The board is correct without it, only slower.
            _write_file(kept, predictions, found)
    return found


def keep_cell_scores(predictions: Path) -> None:
    """Save next to predictions what a board needs from them: the same bytes for the same predictions.

    Raises:
        BenchError: see `read_frame_scores`.
        WriteError: it can't be written.
    """
    _write_file(predictions.with_name(FILE), predictions, _summarise(predictions))


def _summarise(predictions: Path) -> CellScores:
    frames = read_frame_scores(predictions)
    return CellScores(pool_video_scores(frames), find_worst_cases(frames))


def _write_file(path: Path, predictions: Path, found: CellScores) -> None:
    from safetensors.numpy import save

    arrays: Arrays = {
        "score": found.videos.score.astype("<f8"),
        "label": found.videos.label.astype("<i8"),
        "videos": _pack(list(found.videos.ids)),
        "identities": _pack(list(found.videos.identity)),
        "worst": _pack([found.worst[label] for label in (FAKE, REAL)]),
    }
    told = {"version": VERSION, "predictions": file_hash(predictions), "content": _hash(arrays)}
    content = save(arrays, metadata={"crossfake": json.dumps(told)})
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def _pack(content: object) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content, allow_nan=False).encode(), np.uint8)


def _hash(arrays: Arrays) -> str:
    found = hashlib.sha256()
    for name in KINDS:
        found.update(b"%s %d " % (name.encode(), arrays[name].nbytes))
        found.update(arrays[name].tobytes())
    return found.hexdigest()


def _read_file(path: Path, predictions_hash: str) -> CellScores:
    """Read a file of `_write_file` for the predictions with this hash.

    Raises:
        BenchError: it belongs to other predictions or another version, is too large, or is damaged.
    """
    arrays, told = _read_arrays(path)
    if told.get("version") != VERSION:
        raise BenchError(f"{FILE} has another version")
    if told.get("predictions") != predictions_hash:
        raise BenchError(f"{path} belongs to other predictions")
    if told.get("content") != _hash(arrays):
        raise BenchError(f"{path} is damaged")
    try:
        ids, identities = (_parse_names(arrays[name].tobytes()) for name in ("videos", "identities"))
        fakes, reals = _WORST.validate_json(arrays["worst"].tobytes())
    except ValidationError as error:
        raise BenchError(f"{path} is damaged ({shorten(error)})") from None
    label, score = arrays["label"].astype(np.int64), arrays["score"].astype(np.float64)
    sound = len({*ids}) == len(ids) == len(identities) == len(label) == len(score) > 0
    known = ((label == REAL) | (label == FAKE)).all() and np.isfinite(score).all()
    known = known and all(isfinite(w.score) for w in (*fakes, *reals))
    if not sound or not known:
        raise BenchError(f"{path} is damaged (its videos, labels and scores don't match)")
    return CellScores(VideoScores(ids, label, score, identities), {FAKE: fakes, REAL: reals})


def _read_arrays(path: Path) -> tuple[Arrays, dict[str, object]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_bytes(path, MOST_BYTES)
    packed = read_safetensors_metadata(path).get("crossfake", "{}")
    told = parse_json(packed, dict, f"the header of {path}")
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise BenchError(f"{path} is damaged ({shorten(error)})") from None
    if {name: array.dtype.str for name, array in arrays.items()} != KINDS or any(a.ndim != 1 for a in arrays.values()):
        raise BenchError(f"{path} is damaged (it has unexpected arrays)")
    return arrays, told


@lru_cache(maxsize=64)
def _parse_names(packed: bytes) -> list[str]:
    """Return a shared list for equal names: cells of one test set share theirs."""
    return _NAMES.validate_json(packed)
