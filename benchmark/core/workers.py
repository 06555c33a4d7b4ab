"""Ordered, bounded look-ahead over worker processes: the same results in the same order whatever their number."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import BenchError

T = TypeVar("T")
_function: Callable[[Any], Any] | None = None


def available_cores() -> int:
    """Return the processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ahead(function: Callable[[Any], T], items: Iterable[Any], workers: int, plugin: str = "") -> Iterator[T]:
    """Yield function(item) for every item, in order, computed ahead in `workers` processes (0: in this one).

    Args:
        function: picklable; sent to each process once.
        items: what to work on, one message each.
        workers: how many processes.
        plugin: the `file.py:Name` that the function's classes come from, if any; imported before unpickling.

    Raises:
        BenchError: a worker process was killed.
        Exception: whatever the function raises.
    """
    if workers == 0:
        yield from map(function, items)
        return
    spawn = multiprocessing.get_context("spawn")  # A fork after threads have started can deadlock.
    packed = pickle.dumps(function)
    with ProcessPoolExecutor(workers, spawn, initializer=_start, initargs=(packed, plugin)) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(_call, item))
                if len(waiting) > 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise BenchError(
                "a worker process ended too soon: killed, perhaps for want of memory, or stopped by the error above. "
                "What is finished is kept: type the command again, with fewer --workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def end_with_parent() -> None:
    """End this worker process as soon as the one that started it is gone: killed, that can't tell its workers to."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(packed: bytes, plugin: str) -> None:
    global _function
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)
    if plugin:
        from .registry import import_target

        import_target(plugin)
    _function = pickle.loads(packed)


def _call(item: Any) -> Any:
    assert _function is not None
    return _function(item)
