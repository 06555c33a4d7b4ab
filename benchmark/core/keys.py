"""The keys of results: short hashes of everything that changes the numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISREG

from .errors import BenchError
from .registry import Entry, MemoryEntry
from .storage import expand_user
from .transient_errors import read_patiently
from .types import Video


def hash_key(content: object, length: int = 10) -> str:
    """Hash plain data (dicts, lists, strings, numbers) to a short hexadecimal key, independent of dict order."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def code_hash(entry: Entry) -> str | None:
    """Hash a plugin's file, or an object given in memory; None for the project's own code, which has versions."""
    if isinstance(entry, MemoryEntry):
        return entry.code
    module = entry.target.rpartition(":")[0]
    if entry.file is None and module.partition(".")[0] == __name__.partition(".")[0]:
        return None
    spec = None if entry.file else find_spec(module)
    path = entry.file or (Path(spec.origin) if spec and spec.origin else None)
    return file_hash(path) if path else None


def file_hash(path: Path) -> str:
    """Hash a file's content, SHA-256 in hexadecimal.

    Raises:
        BenchError: there is no such file.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    found = path.stat()
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _FRESH:
        return _read_hash(path)
    return _recall_hash(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


START, SHA = "pretrained", "sha256:"  # the option of a detector that may name a file to start from


def name_start(options: Mapping[str, object]) -> dict[str, object]:
    """Return options that say what is in the file that training starts from, wherever it is: `sha256:...`."""
    given = options.get(START)
    path = expand_user(given) if isinstance(given, str) and given else None
    return {**options, START: f"{SHA}{file_hash(path)}"} if path and path.is_file() else dict(options)


_FRESH = 2 * 10**9
"""Nanoseconds within which a file may be written again without its times telling."""


@lru_cache(maxsize=2**16)
def _recall_hash(path: Path, state: tuple[int, ...]) -> str:
    """Hash a file once while it stays the same: every key needs a checkpoint's hash, a board those of all cells."""
    return _read_hash(path)


def _read_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_key(videos: list[Video], recall: Callable[[Video], int] | None = None, faces_only: bool = False) -> str:
    """Hash a list of videos: ids, labels, splits, sources, file sizes; not their location or time.

    Args:
        videos: the videos.
        recall: returns the size that a video's file had when its faces were found, or 0; used if the file is missing.
        faces_only: use `recall` first, and look at a file only if that doesn't know it.
    """
    return hash_key([_describe_video(v, recall, faces_only) for v in videos])


def _describe_video(video: Video, recall: Callable[[Video], int] | None, faces_only: bool) -> tuple[object, ...]:
    size = recall(video) if recall and faces_only else 0
    size = size or measure_file(video.path)
    if size < 0 and recall and not faces_only:
        size = recall(video) or size
    pictures = ([p.frame for p in video.pictures],) if video.pictures else ()
    return video.id, video.label, video.split, video.original, size, *pictures


def measure_file(path: Path) -> int:
    """Return a file's size in bytes; -1 if it doesn't exist.

    Raises:
        BenchError: it can't be read for a reason that may pass: without its size, the key would be another.
    """
    try:
        found = read_patiently(path, lambda: os.stat(path))
    except (OSError, ValueError):
        return -1
    return found.st_size if S_ISREG(found.st_mode) else -1
