"""Errors that say nothing of a file, as when a server doesn't answer: tried again, then reported, never an outcome."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from .errors import BenchError
from .types import T

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


def read_patiently(path: Path | str, work: Callable[[], T]) -> T:
    """Do some work that reads `path`, as `retry` does.

    Raises:
        BenchError: it still can't be read, for a reason that may pass.
        OSError: it can't be read, for another reason.
    """
    try:
        return retry(work)
    except OSError as error:
        if not is_transient(error):
            raise
        raise BenchError(f"{path} can't be read just now ({error.strerror}). Type the command again") from None
