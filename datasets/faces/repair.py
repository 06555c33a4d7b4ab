"""Finding shards of a face store that are damaged, so that they are prepared again, or that don't belong there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import parse_json, shorten
from ...benchmark.core.storage import write_json
from .face_store import DamagedShardError, StoreSettings, check_shard, list_shards, read_settings

CHECKED = ".checked.json"
"""Shards that were fully read and found intact, with their size and time, so that they aren't checked again."""

Stamps = dict[str, list[int]]


def remove_damaged(folder: Path, say: Callable[[str], None], can_replace: Callable[[], bool]) -> None:
    """Remove a store's truncated or damaged shards, each with a message.

    Raises:
        BenchError: a shard was written by another version of crossfake, or it is damaged and can't be replaced.
    """
    known, good = _read_stamps(folder), Stamps()
    for path in list_shards(folder):
        stamp = _stamp(path)
        try:
            if known.get(path.name) != stamp:
                check_shard(path)
            good[path.name] = stamp
        except DamagedShardError as error:
            if not can_replace():
                remedy = "there is no video to prepare it from. Copy that file again"
                raise BenchError(f"{error.finding}, and {remedy}") from None
            path.unlink(missing_ok=True)  # Another part may have found it, too.
            say(f"{error.finding}: its faces are prepared again")
    if good != known:
        write_json(folder / CHECKED, good)


def refuse_mixture(folder: Path, recorded: StoreSettings) -> None:
    """Refuse a store that has faces made with other settings than those `recorded` with new ones.

    Raises:
        BenchError: names one of those files, and what differs.
    """
    paths = list_shards(folder)
    others = [(path, found) for path in paths if (found := read_settings(path)) != recorded]
    if not others:
        return
    path, found = others[0]
    names = [name for name in {**recorded, **found} if found.get(name) != recorded.get(name)]
    differing = ", ".join(f"{name} {shorten(found.get(name))} instead of {recorded.get(name)}" for name in names)
    told = f"{len(others)} of {len(paths)} files, such as {path.name}, with {differing}"
    raise BenchError(f"{folder} was prepared with other settings: {told}. Name another folder, or remove those files")


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _read_stamps(folder: Path) -> Stamps:
    try:
        return parse_json((folder / CHECKED).read_bytes(), dict, CHECKED)
    except (OSError, BenchError):
        return {}
