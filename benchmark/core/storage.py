"""Where files are kept, and how they are written so that a kill at any moment leaves nothing half-written."""

from __future__ import annotations

import errno
import getpass
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from . import environment
from .display import escape_line, say
from .errors import BenchError
from .owners import get_owner, parse_owner

# The files of a run's folder, and of the folders of its test sets.
CHECKPOINT = "checkpoint.safetensors"
PREDICTIONS, SCORECARD, FAILURE = "predictions.parquet", "scorecard.json", "failure.json"
STALE_SECONDS = 24 * 3600.0
"""The age at which a half-written file counts as abandoned, if its owner can't be checked."""


_ERRNO = re.compile(r"\b(?:errno|os error) (\d+)", re.IGNORECASE)  # As Arrow, FFmpeg and safetensors write it.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class WriteError(OSError):
    """A file or folder that can't be written, as on a full disk: which one, why, and what to do."""

    @property
    def is_refused(self) -> bool:
        """Whether writing isn't allowed there, as opposed to a full disk."""
        return self.errno in _CLOSED

    def __str__(self) -> str:
        home = _find_cache_home()
        cached = home is not None and Path(self.filename).absolute().is_relative_to(home.absolute())
        option = "BENCH_CACHE=DIR" if cached else "--runs DIR or --out DIR (the cache: BENCH_CACHE=DIR)"
        first = "Make room there, or name" if self.errno in _FULL else "Name"
        return f"{self.filename} can't be written: {self.strerror}. {first} another folder: {option}"


@contextmanager
def name_write_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn any library's failure to write `path` into an error that names it.

    Args:
        path: the file's final name.
        temporary: its temporary name.

    Raises:
        WriteError: it can't be written.
    """
    try:
        yield
    except (WriteError, BenchError):
        raise
    except Exception as error:
        code = _find_errno(error)
        other = error.filename if isinstance(error, OSError) else None  # For example, an input file.
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
    if given := environment.read(environment.CACHE):
        return expand_user(given)
    if given := environment.read(environment.CACHE_HOME):
        return Path(given) / "crossfake"
    try:
        return Path.home() / ".cache" / "crossfake"
    except RuntimeError:
        raise BenchError("no home folder is known here for the cache. Name a folder: BENCH_CACHE=DIR") from None


def expand_user(path: str) -> Path:
    """Return a path with `~` as the home folder.

    Raises:
        BenchError: that user's home folder is unknown.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BenchError(f"no home folder is known for {path}. Write the folder's whole path") from None


def strip_separators(label: str) -> str:
    """Return a dataset's or detector's label as a part of a file name."""
    return label.replace(":", "-").replace("/", "-")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; the cache is private, whatever the umask."""
    home = _find_cache_home()
    with name_write_errors(folder):
        if home and not home.exists() and folder.absolute().is_relative_to(home.absolute()):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)


def _find_cache_home() -> Path | None:
    try:
        return cache_home()
    except BenchError:  # Writing elsewhere needs no cache.
        return None


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it is renamed to `path` in one step, else removed.

    After a power failure, `path` is either unchanged or complete.

    Raises:
        WriteError: it can't be written.
    """
    make_folder(path.parent)
    sweep(path.parent)
    # The suffix comes last, since writers such as PyAV and OpenCV choose the format by it.
    temporary = path.with_name(f".{path.stem[:32]}.{get_owner()}-{next(_numbers)}.tmp{path.suffix}")
    try:
        with name_write_errors(path, temporary):
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
    finally:
        if temporary.exists():  # On a read-only file system, removing a missing file fails as well.
            temporary.unlink()


_numbers = count()


def _flush(file: Path) -> None:
    """Flush a file to disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove the half-written files and lock notes that dead processes left in a folder; once per folder.

    If an owner can't be checked, as on another host, its files are removed after a day. Locks may be held for longer.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    for path in folder.glob(".*.tmp*"):
        if (found := _TEMPORARY.fullmatch(path.name)) and _is_left_over(path, found["owner"]):
            _remove(path)
    for note in folder.glob(f".*{_NOTE}"):
        if (written := _read_note(note)) and (owner := parse_owner(written.owner)) and owner.is_gone():
            _remove(note)


def _remove(path: Path) -> None:
    """Remove a leftover; on a read-only disk it stays."""
    if path.is_dir() and not path.is_symlink():  # A folder that was half-removed.
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _is_left_over(path: Path, owner: str | None) -> bool:
    known = parse_owner(owner or "")
    try:
        return (known is not None and known.is_gone()) or time.time() - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:  # It has been finished meanwhile.
        return False


_swept: set[Path] = set()
# Earlier versions wrote only the process id.
_TEMPORARY = re.compile(r"\..*\.(?:(?P<owner>[^.]+)-\d+|\d+)\.tmp(?:\.[^.]*)?", re.DOTALL)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write indented JSON atomically; NaN is refused, since no other reader of JSON takes it."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


class HeldElsewhereError(BenchError):
    """Somebody else holds a lock; `told` says on what, who, where and since when."""

    def __init__(self, told: str):
        super().__init__(f"skipped: {told}. Try again when that has ended")
        self.told = told


@contextmanager
def hold_lock(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an inter-process lock named after `path`; the system frees it when its holder is killed.

    A waiting process says on stderr for whom, and since when.

    Raises:
        HeldElsewhereError: another process holds it, and `wait` is false.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    sweep(path.parent)
    lock = FileLock(str(path.with_name(f".{path.name}.lock")), mode=0o644)
    note = path.with_name(f".{path.name}{_NOTE}")
    with name_write_errors(Path(lock.lock_file)):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            told = f"{path}, which {_describe_holder(note)} is using"
            if not wait:
                raise HeldElsewhereError(told) from None
            say(f"waiting for {told}", aside=True)
            lock.acquire()
    try:
        with name_write_errors(note):
            note.write_text(f"{_name_user()}\n{get_owner()}\n", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


class _Note(NamedTuple):
    """The note next to a lock: the user, the owner, and since when they hold it."""

    user: str
    owner: str
    since: float


_NOTE = ".owner"


def _read_note(path: Path) -> _Note | None:
    """Read a lock's note; None if its holder has just begun or just finished."""
    try:
        user, owner = path.read_text(encoding="utf-8").split()
        return _Note(user, owner, path.stat().st_mtime)
    except (OSError, ValueError):
        return None


def _describe_holder(note: Path) -> str:
    """Say who holds a lock, where, and since when, as far as its note says."""
    written = _read_note(note)
    if written is None:
        return "another process"
    known = parse_owner(written.owner)
    where = f"process {known.pid} on {known.host.partition('+')[0]}" if known else "another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(written.since))
    return f"{where} ({escape_line(written.user)}, since {since})"


def _name_user() -> str:
    try:
        return getpass.getuser().replace(" ", "_")
    except (OSError, KeyError):  # A user id without a name here.
        return str(os.getuid())
