"""Lists a store's unusable frames next to the faces, since they are part of a training's key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import read_json
from ...benchmark.core.storage import write_json
from ...benchmark.core.types import PrepareResult
from .face_store import FaceStore

NOTE = ".lost.json"


def note_lost(folder: Path, outcomes: Mapping[str, PrepareResult]) -> None:
    """Write the lost frames of each video, unless the file is up to date."""
    lost = _list_lost(outcomes)
    if lost != _read_note(folder):
        write_json(folder / NOTE, lost)


def read_lost(folder: Path) -> dict[str, list[int]]:
    """Return the lost frames by video; none where nothing was prepared yet; from the faces where the note is damaged.

    Raises:
        BenchError: these can't be read either.
    """
    noted = _read_note(folder)
    return _list_lost(FaceStore(folder).outcomes()) if noted is None else noted


def _read_note(folder: Path) -> dict[str, list[int]] | None:
    if not (folder / NOTE).exists():
        return {}
    try:
        return read_json(folder / NOTE, dict)
    except BenchError:  # The next preparation writes it again.
        return None


def _list_lost(outcomes: Mapping[str, PrepareResult]) -> dict[str, list[int]]:
    return {video: [frame for frame, _ in o.lost] for video, o in sorted(outcomes.items()) if o.lost}
