"""Where things are kept, and how they are written so that a kill at any moment leaves nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BenchError

# The files of a run's folder, and of the folders of its test sets.
CHECKPOINT = "checkpoint.safetensors"
PREDICTIONS, SCORECARD, FAILURE = "predictions.parquet", "scorecard.json", "failure.json"


_ERRNO = re.compile(r"\b(?:errno|os error) (\d+)", re.IGNORECASE)  # As Arrow, FFmpeg and safetensors write it.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class WriteError(OSError):
    """A file or folder that can't be written, as on a full disk: which one, why, and what to do."""

    def __str__(self) -> str:
        home = _find_cache_home()
        cached = home is not None and Path(self.filename).absolute().is_relative_to(home.absolute())
        option = "BENCH_CACHE=DIR" if cached else "--runs DIR or --out DIR (the cache: BENCH_CACHE=DIR)"
        first = "Make room there, or name" if self.errno in _FULL else "Name"
        return f"{self.filename} can't be written: {self.strerror}. {first} another folder: {option}"


@contextmanager
def name_write_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn what goes wrong while `path` is written into an error that names it, whatever library wrote.

    Args:
        path: what the file will be called.
        temporary: what it is called meanwhile.

    Raises:
        WriteError: it can't be written.
    """
    try:
        yield
    except (WriteError, BenchError):
        raise
    except Exception as error:
        code = _find_errno(error)
        other = error.filename if isinstance(error, OSError) else None  # Such as a file that is read.
        ours = (str(path), str(temporary), *map(str, path.parents))
        if code is None or (other not in ours if other else code not in (*_FULL, *_CLOSED)):
            raise
        raise WriteError(code, os.strerror(code), str(path)) from error


def _find_errno(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _ERRNO.search(str(error))
    return int(found[1]) if found else None


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
    with name_write_errors(folder):
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
    """Yield a temporary path beside `path`; on success it takes the name `path` in one step, else it is removed.

    Raises:
        WriteError: it can't be written.
    """
    make_folder(path.parent)
    # The suffix stays last, since writers such as PyAV and OpenCV choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with name_write_errors(path, temporary):
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
    lock = FileLock(str(path.with_name(f".{path.name}.lock")), mode=0o644)
    with name_write_errors(Path(lock.lock_file)):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
