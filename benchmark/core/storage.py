"""Where things are kept, and how they are written so that a kill at any moment leaves nothing half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BenchError

# The files of a run's folder, and of the folders of its test sets.
CHECKPOINT = "checkpoint.safetensors"
PREDICTIONS, SCORECARD, FAILURE = "predictions.parquet", "scorecard.json", "failure.json"


def cache_home() -> Path:
    """Return the folder for face stores, the demo world and models: BENCH_CACHE, else XDG_CACHE_HOME/crossfake."""
    if given := os.environ.get("BENCH_CACHE"):
        return expand_user(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "crossfake"
    try:
        return Path.home() / ".cache" / "crossfake"
    except RuntimeError:
        raise BenchError("no home folder is known here for the cache. Name a folder: BENCH_CACHE=DIR") from None


def expand_user(path: str) -> Path:
    """Return a path with `~` as the home folder.

    Raises:
        BenchError: nobody knows that home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BenchError(f"no home folder is known for {path}. Write the folder's whole path") from None


def make_folder(folder: Path) -> None:
    """Make a folder with those above it; the cache's own is closed to others, whatever the umask."""
    home = _find_cache_home()
    if home and not home.exists() and folder.absolute().is_relative_to(home.absolute()):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _find_cache_home() -> Path | None:
    try:
        return cache_home()
    except BenchError:  # What is written elsewhere needs no cache.
        return None


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path` in one step, else it is removed."""
    make_folder(path.parent)
    # The suffix stays last, since writers such as PyAV and OpenCV choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write indented JSON atomically; NaN is refused, since no other reader of JSON takes it."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold an inter-process lock named after `path`; the system frees it when its holder is killed."""
    from filelock import FileLock

    make_folder(path.parent)
    with FileLock(str(path.with_name(f".{path.name}.lock")), mode=0o644):
        yield
