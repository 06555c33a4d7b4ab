"""Which frames of a store's videos couldn't be used: noted beside the faces, since they enter a training's key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import read_json
from ...benchmark.core.storage import write_json
from ...benchmark.core.types import PrepareResult

NOTE = ".lost.json"


def note_lost(folder: Path, outcomes: Mapping[str, PrepareResult]) -> None:
    """Write which frames of which videos are lost, where that isn't what is written already."""
    lost = {video: [frame for frame, _ in o.lost] for video, o in sorted(outcomes.items()) if o.lost}
    if lost != read_lost(folder):
        write_json(folder / NOTE, lost)


def read_lost(folder: Path) -> dict[str, list[int]]:
    """Return the lost frames by video; none where nothing was prepared yet, or the note can't be read."""
    try:
        return read_json(folder / NOTE, dict)
    except (OSError, BenchError):  # The next preparation writes it again.
        return {}
