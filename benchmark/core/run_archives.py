"""Runs in one file, for another machine's board: cards, predictions and settings, without weights.

The file is a zip whose members are paths within a folder of runs. A foreign archive is checked completely before
anything is unpacked: names that stay within the folder, kinds of files that runs have, limited numbers and sizes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG

from .errors import BenchError
from .readers import safe_relative_path, shorten
from .storage import make_folder, write_atomically

SUFFIXES = (".json", ".yaml", ".txt", ".parquet")
MOST_FILES = 200_000
MOST_BYTES = 8 * 2**30
MOST_FILE_BYTES = 2**30
MOST_RATIO = 1000  # Ratio of a member's size to its size in the archive.
MOST_DEPTH = 6


def pack_runs(folders: Iterable[Path], runs: Path, out: Path) -> int:
    """Pack run folders below `runs` into a zip, and return the number of files.

    Raises:
        WriteError: it can't be written.
    """
    files = sorted({path for folder in folders for path in _list_files(folder)})
    with write_atomically(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(runs).as_posix())
    return len(files)


def _list_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a run that another machine's board needs: no weights, training state or half-written file."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.suffix in SUFFIXES:
            yield path


def unpack_runs(path: Path, runs: Path) -> list[Path]:
    """Unpack an archive of runs into a folder of runs, and return the new files.

    Existing files stay as they are: results with the same key are the same wherever they were made.

    Raises:
        BenchError: it isn't an archive, is truncated, or has a member that no run has; nothing is written then.
        WriteError: a file can't be written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {_check_member(info, path): info for info in archive.infolist() if not info.is_dir()}
            _check_whole(archive, members, path)
            return [target for name, info in members.items() if (target := _unpack(archive, info, runs / name))]
    except FileNotFoundError:
        raise BenchError(f"no archive {path}. Make one: bench run ... --export {path.name}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BenchError(f"{path} can't be read as an archive of runs: {shorten(error)}") from None


def _check_member(info: zipfile.ZipInfo, path: Path) -> str:
    """Return a member's path within a folder of runs.

    Raises:
        BenchError: no run has such a file.
    """
    name = safe_relative_path(info.filename, str(path))
    parts, mode = PurePosixPath(name).parts, info.external_attr >> 16
    odd = any(part.startswith(".") for part in parts) or not 1 < len(parts) <= MOST_DEPTH
    if odd or PurePosixPath(name).suffix not in SUFFIXES or (mode and not S_ISREG(mode) and not S_ISDIR(mode)):
        raise BenchError(f"{path} holds {shorten(info.filename)}, which isn't a run's. Nothing was unpacked")
    if info.file_size > MOST_FILE_BYTES or info.file_size > MOST_RATIO * max(info.compress_size, 1024):
        raise BenchError(f"{path}: {shorten(info.filename)} says it has {info.file_size} bytes. Nothing was unpacked")
    return name


def _check_whole(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> None:
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) < len(files):
        raise BenchError(f"{path} holds a file twice. Nothing was unpacked")
    if len(files) > MOST_FILES or sum(info.file_size for info in files) > MOST_BYTES:
        raise BenchError(f"{path} holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB. Nothing was unpacked")
    if damaged := archive.testzip():
        raise BenchError(f"{path} is damaged in {shorten(damaged)}. Nothing was unpacked; copy it again")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> Path | None:
    """Write a member unless it exists, and return its path; the actual size counts, not the declared one."""
    if target.exists():
        return None
    make_folder(target.parent)
    with archive.open(info) as member, write_atomically(target) as temporary:
        temporary.write_bytes(member.read(MOST_FILE_BYTES))
    return target
