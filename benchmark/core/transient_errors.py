"""Temporary errors, such as a server that doesn't answer: retried, then reported, never recorded as an outcome."""

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
    """Return whether an error is temporary: another attempt, or the next command, may succeed."""
    return error.errno in TRANSIENT


def retry(work: Callable[[], T]) -> T:
    """Do some work, and repeat it after pauses if it fails with a temporary error.

    Raises:
        OSError: the last attempt's error.
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
    """Do some work that reads `path`, like `retry`.

    Raises:
        BenchError: it still can't be read, for a temporary reason.
        OSError: it can't be read, for another reason.
    """
    try:
        return retry(work)
    except OSError as error:
        if not is_transient(error):
            raise
        raise BenchError(f"{path} can't be read just now ({error.strerror}). Run the command again") from None
