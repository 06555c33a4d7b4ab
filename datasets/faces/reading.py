"""Distinguishing a broken or missing file from one that can't be read right now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...benchmark.core.transient_errors import is_transient

PIECE = 2**20  # bytes


def find_transient_error(paths: Iterable[Path]) -> OSError | None:
    """Read files completely, and return the first temporary error; None if there is none, or a permanent one."""
    for path in paths:
        try:
            with path.open("rb") as file:
                while file.read(PIECE):
                    pass
        except OSError as error:
            if is_transient(error):
                return error
    return None
