"""Walks folders: which files in a tree are videos and pictures, and what is skipped."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..benchmark.core.transient_errors import read_patiently
from .spelling import MEDIA_SUFFIXES, get_suffix

# Files that systems add, and everything that begins with a dot.
SYSTEM_NAMES = frozenset(
    name.casefold()
    for name in (
        *("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
        *("Thumbs.db", "ehthumbs.db", "desktop.ini"),
    )
)
_ESCAPED = re.compile("%([89A-F][0-9A-F])")  # See `name_in_utf8`.


@dataclass
class Skipped:
    """What a walk skipped: files by suffix, and paths inside the root for the rest.

    `repeated` are links to folders already visited, `closed` folders that can't be opened, `special` pipes, sockets and
    devices, `unnamed` media whose names aren't UTF-8 (invalid bytes as `%E9`), and `classless` folders with media whose
    path names no class.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    repeated: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    classless: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return a line for each kind that occurs."""
        counts = name_some([f"{n} {suffix or 'without suffix'}" for suffix, n in self.suffixes.most_common()], 10)
        kinds = {
            "links to folders that are read already": self.repeated,
            "folders left out: their paths name no class, such as real or fake": self.classless,
            "folders that can't be opened": self.closed,
            "pipes, sockets or devices left out": self.special,
            "names that aren't UTF-8, which count as unreadable (rename them)": self.unnamed,
        }
        by_suffix = [f"files left out, by suffix: {counts}"] if counts else []
        return by_suffix + [f"{what}: {name_some(paths)}" for what, paths in kinds.items() if paths]


class FolderListing(NamedTuple):
    """A folder's path within the root ("" for the root itself), and the sorted names of the media in it."""

    inside: str
    names: list[str]


class _Step(NamedTuple):
    path: str
    inside: str


def walk_folders(
    root: Path, skipped: Skipped | None = None, suffixes: Collection[str] = MEDIA_SUFFIXES
) -> Iterator[FolderListing]:
    """Yield every folder below `root` with files of these suffixes, in any case.

    Each real folder comes once: under its own name, or else under the first link to it. Hidden and system names are
    left out, and so are links to folders above the root. In a name that isn't UTF-8, invalid bytes become `%E9`: no
    such file exists, so it counts as unreadable.

    Args:
        root: where to start.
        skipped: collects what is skipped.
        suffixes: the wanted files' suffixes, in lower case with the dot.
    """
    skipped = Skipped() if skipped is None else skipped
    seen = {_identify(parent) for parent in root.resolve().parents}
    folders, links = [_Step(str(root), "")], deque[_Step]()
    while folders or links:
        step = folders.pop() if folders else links.popleft()
        try:
            key, entries = _identify(step.path), _list_entries(step.path)
        except OSError:
            skipped.closed.append(step.inside)
            continue
        if key in seen:
            skipped.repeated.append(step.inside)
            continue
        seen.add(key)
        steps = [(entry, _Step(entry.path, _join(step.inside, name_in_utf8(entry.name)))) for entry in entries]
        below = [(entry, inner) for entry, inner in steps if _is_folder(entry)]
        links += [inner for entry, inner in below if entry.is_symlink()]
        folders += [inner for entry, inner in reversed(below) if not entry.is_symlink()]
        files = [s for e, s in steps if not _is_folder(e) and _is_wanted(e, s, suffixes, skipped)]
        yield FolderListing(step.inside, sorted(file.inside.rpartition("/")[2] for file in files))


def list_files(folder: Path, suffixes: Collection[str], skipped: Skipped | None = None) -> list[str]:
    """Return the sorted names of a folder's own files with these suffixes; empty if it doesn't exist."""
    skipped = Skipped() if skipped is None else skipped
    try:
        entries = _list_entries(str(folder))
    except OSError:
        return []
    steps = [(entry, _Step(entry.path, name_in_utf8(entry.name))) for entry in entries if not _is_folder(entry)]
    return sorted(step.inside for entry, step in steps if _is_wanted(entry, step, suffixes, skipped))


def list_folders(folder: Path) -> list[str]:
    """Return the sorted names of a folder's subfolders, without system folders; empty if it doesn't exist."""
    try:
        return [entry.name for entry in _list_entries(str(folder)) if _is_folder(entry)]
    except OSError:
        return []


def name_in_utf8(name: str) -> str:
    """Return a name that can be printed and written: `caf%E9.mp4` if the byte E9 isn't UTF-8."""
    return (
        name if name.isascii() else "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in name)
    )


def stands_for_bytes(path: Path) -> bool:
    """Return whether a path from a walk stands for a file whose name isn't UTF-8."""
    raw = _ESCAPED.sub(lambda code: chr(0xDC00 + int(code[1], 16)), str(path))
    return raw != str(path) and not path.exists() and os.path.exists(raw)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to the system."""
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def _identify(path: str | Path) -> tuple[int, int]:
    stat = read_patiently(path, lambda: os.stat(path))
    return stat.st_dev, stat.st_ino


def _list_entries(folder: str) -> list[os.DirEntry[str]]:
    """Return a folder's entries; where they can't be read just now, a BenchError: a dataset without them is another."""

    def scan() -> list[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_hidden(e.name)), key=lambda e: e.name)

    return read_patiently(folder, scan)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a file or a broken link, which is reported when read."""
    try:
        return entry.is_file() or not os.path.exists(entry.path)
    except OSError:
        return True


def _is_wanted(entry: os.DirEntry[str], step: _Step, suffixes: Collection[str], skipped: Skipped) -> bool:
    """Return whether a file is one of those wanted."""
    if get_suffix(entry.name) not in suffixes:
        skipped.suffixes[get_suffix(step.inside)] += 1
        return False
    if not _is_file(entry):
        skipped.special.append(step.inside)
        return False
    if not step.path.endswith(step.inside):
        skipped.unnamed.append(step.inside)
    return True


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def name_some(names: Sequence[str], most: int = 3) -> str:
    """Return the first names for a message, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
