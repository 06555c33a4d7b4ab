"""Distinguishing a broken or missing file from one that can't be read right now, as when a server doesn't answer."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ...benchmark.core.types import T

TRANSIENT = frozenset(
    code
    for name in (
        *("EIO", "EAGAIN", "EBUSY", "EINTR", "ENFILE", "EMFILE", "ENOMEM", "ESTALE", "ETIMEDOUT", "ENOTCONN"),
        *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        *("EREMOTEIO", "ENOLINK", "ECOMM"),
    )
    if (code := getattr(errno, name, None))
)
PAUSES = (0.5, 2.0)  # Seconds between tries.
PIECE = 2**20  # bytes


def is_transient(error: OSError) -> bool:
    """Return whether an error says nothing of the file: another try, or the next command, may find it whole."""
    return error.errno in TRANSIENT


def retry(work: Callable[[], T]) -> T:
    """Do some work, again after pauses where it fails with an error that may pass.

    Raises:
        OSError: what the last try raised.
    """
    for pause in PAUSES:
        try:
            return work()
        except OSError as error:
            if not is_transient(error):
                raise
            time.sleep(pause)
    return work()


def find_transient_error(paths: Iterable[Path]) -> OSError | None:
    """Read files whole, and return the first error that may pass; None where there is none, or another one."""
    for path in paths:
        try:
            with path.open("rb") as file:
                while file.read(PIECE):
                    pass
        except OSError as error:
            if is_transient(error):
                return error
    return None
