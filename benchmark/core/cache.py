"""The cache's content: face stores, worlds and models, with size and last use; and their removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import BenchError, make_unknown_error
from .owners import get_owner
from .storage import cache_home, hold_lock, name_write_errors, sweep

SHARED = ("faces", "demo")
"""Folders whose subfolders are listed and removed one by one."""


class Kept(NamedTuple):
    """A folder of the cache: `name` is its path there, `used` when it was last read or written (seconds)."""

    name: str
    path: Path
    size: int
    used: float


def list_kept() -> list[Kept]:
    """Return the cache's folders, the largest first."""
    return sorted((_measure(path) for path in _list_folders(cache_home())), key=lambda kept: (-kept.size, kept.name))


def _list_folders(home: Path) -> Iterator[Path]:
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        inner = sorted(path.iterdir()) if path.name in SHARED and path.is_dir() else [path]
        yield from (p for p in inner if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _measure(path: Path) -> Kept:
    """Add up a folder's files by their size on disk; links aren't followed."""
    size, lock = 0, path.with_name(f".{path.name}.lock")
    used = [path.stat().st_mtime, *([lock.stat().st_mtime] if lock.is_file() else [])]  # Users open the lock.
    for folder, _, files in os.walk(path):
        for stat in (os.lstat(os.path.join(folder, name)) for name in files):
            size += stat.st_blocks * 512
            used.append(stat.st_mtime)
    return Kept(path.relative_to(cache_home()).as_posix(), path, size, max(used))


def find_kept(names: Sequence[str]) -> list[Kept]:
    """Return the folders of these names.

    Raises:
        BenchError: there is no folder of one of the names.
    """
    known = {kept.name: kept for kept in list_kept()}
    for name in names:
        if name not in known:
            raise make_unknown_error(f"the cache has no '{name}'", name, known, "See: bench cache")
    return [known[name] for name in dict.fromkeys(names)]


def remove_kept(kept: Kept) -> None:
    """Remove a folder of the cache, whole or not at all: half a world could be mistaken for a complete one.

    Raises:
        BenchError: another process is at work on it.
        WriteError: it can't be removed.
    """
    with hold_lock(kept.path, wait=False), name_write_errors(kept.path):
        doomed = kept.path.with_name(f".{kept.path.name[:32]}.{get_owner()}-0.tmp")
        kept.path.rename(doomed)
        shutil.rmtree(doomed)


def sweep_cache() -> None:
    """Remove what killed processes left half-written or half-removed in the cache."""
    home = cache_home()
    for folder in (home, *(home / name for name in SHARED), *_list_folders(home)):
        sweep(folder)


def parse_age(text: str) -> float:
    """Read a number of days as seconds.

    Raises:
        BenchError: it is none.
    """
    if not text.isdecimal() or len(text) > 5:
        raise BenchError(f"'{text[:20]}' is not a number of days. Example: --unused 90")
    return int(text) * 86400.0
