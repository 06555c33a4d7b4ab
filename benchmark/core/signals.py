"""Signals that stop a command, and deferring them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer stop signals until the block is done: an exception within torch's import aborts the process."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    before = {n: signal.getsignal(n) for n in STOPS if main and callable(signal.getsignal(n))}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
