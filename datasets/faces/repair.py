"""Finding damaged shards of a face store, so that they are prepared again instead of losing frames, or the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import parse_json
from ...benchmark.core.storage import write_json
from .face_store import DamagedShardError, check_shard, list_shards

CHECKED = ".checked.json"
"""Which shards were read whole and found good, with their size and time then: they aren't read whole again."""

Stamps = dict[str, list[int]]


def remove_damaged(folder: Path, say: Callable[[str], None]) -> None:
    """Remove the shards of a store that are cut short or damaged inside, each with a line.

    Raises:
        BenchError: a shard was written by another version of crossfake.
    """
    known, good = _read_stamps(folder), Stamps()
    for path in list_shards(folder):
        stamp = _stamp(path)
        try:
            if known.get(path.name) != stamp:
                check_shard(path)
            good[path.name] = stamp
        except DamagedShardError as error:
            path.unlink()
            say(f"{error.finding}: its faces are prepared again")
    if good != known:
        write_json(folder / CHECKED, good)


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _read_stamps(folder: Path) -> Stamps:
    try:
        return parse_json((folder / CHECKED).read_bytes(), dict, CHECKED)
    except (OSError, BenchError):
        return {}
