"""Paths and ids from files: one spelling, and none that leads out of its folder."""

from __future__ import annotations

import posixpath
import re

from ..errors import BenchError
from .text import shorten

_DRIVE = re.compile(r"[A-Za-z]:/")
MOST_PATH_BYTES, MOST_NAME_BYTES = 4000, 255  # The longest path, and name within it, that systems accept.


def normalise_id(text: str) -> str:
    """Return an id or path in its normal spelling: `/` for `\\`, without surrounding blanks, `./`, `//` or a final `/`.

    Absolute paths and leading `..` stay; `safe_relative_path` refuses both.
    """
    slashed = text.strip().replace("\\", "/")
    return posixpath.normpath(slashed) if slashed else ""


def safe_relative_path(text: str, where: str) -> str:
    """Return `normalise_id(text)` if it is a path within a folder.

    Args:
        text: a path or an id from a file.
        where: the place that errors name, such as "labels.csv, row 3".

    Raises:
        BenchError: it is empty, absolute, leads out with `..`, contains a NUL, or is too long for a file.
    """
    path = normalise_id(text)
    if path in ("", "."):
        raise BenchError(f"{where}: the path is empty")
    absolute = path.startswith("/") or _DRIVE.match(path)
    if absolute or path == ".." or path.startswith("../") or "\0" in path:
        what = "is absolute" if absolute else "holds a NUL" if "\0" in path else "climbs out of its folder"
        raise BenchError(f"{where}: the path {shorten(path)} {what}; write it relative to the folder, without ..")
    if 4 * len(path) <= MOST_NAME_BYTES:  # A character has at most so many bytes.
        return path
    written = path.encode(errors="replace")
    if max(map(len, written.split(b"/"))) > MOST_NAME_BYTES:
        raise BenchError(
            f"{where}: the path {shorten(path)} has a name of over {MOST_NAME_BYTES} bytes, which no file can have"
        )
    if len(written) > MOST_PATH_BYTES:
        raise BenchError(f"{where}: the path {shorten(path)} has over {MOST_PATH_BYTES} bytes, which no file can have")
    return path
