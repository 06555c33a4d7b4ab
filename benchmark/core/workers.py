"""The worker processes of a run: the same results in the same order, whatever their number."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

from .errors import BenchError
from .shared_arrays import Lender, Packed, Slot, pack
from .signals import STOPS

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 3  # How many items per worker are computed ahead.
BROKEN = "broken"
"""A file in the pool's folder that says that results are no longer wanted."""
ENDED = (
    "a worker process ended too soon: killed, perhaps for lack of memory, or stopped by the error above. "
    "Finished work is kept: repeat the command with fewer --workers"
)
_resting = threading.Lock()  # In a worker: held except while it computes.


def available_cores() -> int:
    """Return the processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Started(NamedTuple):
    """The state of a pool whose processes run: they watch the lifeline, and read functions from the folder."""

    executor: ProcessPoolExecutor
    lifeline: Connection
    folder: tempfile.TemporaryDirectory[str]


class WorkerPool:
    """Worker processes, started when there is work, and kept until the pool is closed.

    One pool serves a whole run: starting a process and importing modules takes longer than much of its work.
    """

    def __init__(self, workers: int = 0):
        """Make a pool of `workers` processes; with 0, everything runs in this one."""
        self.workers = workers
        self._started: _Started | None = None
        self._functions = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        plugin: str = "",
        *,
        ordered: bool = True,
        shares: bool = False,
    ) -> Iterator[Result]:
        """Yield function(item) for every item, computed a few items ahead.

        Args:
            function: read once by each process; one that can't be pickled runs in this process.
            items: the work, one message per item; consumed only as far as is computed ahead.
            plugin: the `file.py:Name` that the function's classes come from, if any; imported before unpickling.
            ordered: yield in the items' order, not as they finish.
            shares: a result's arrays come through shared memory, which is reused once two further results, or the end,
                have been requested.

        Raises:
            BenchError: a worker process was killed. The pool can be used again.
            Exception: whatever the function raises.
        """
        packed = _pack(function) if self.workers else None
        if packed is None:
            yield from map(function, items)
            return
        started, waiting, lender = self._start(), list[_Call[Result]](), Lender(shares)
        file = Path(started.folder.name) / f"{next(self._functions)}.pickle"
        file.write_bytes(packed)
        try:
            for item in items:
                slot = lender.lend()
                with _block_interrupts(), _hide_main():
                    waiting.append(_Call(started.executor.submit(_call, file, plugin, item, slot), slot))
                if len(waiting) > AHEAD * self.workers:
                    yield lender.receive(*_take(waiting, ordered))
            while waiting:
                yield lender.receive(*_take(waiting, ordered))
        except BrokenProcessPool:
            (Path(started.folder.name) / BROKEN).touch()
            self.close()
            raise BenchError(ENDED) from None
        finally:
            for call in waiting:
                call.future.cancel()
            lender.close()
            file.unlink(missing_ok=True)

    def _start(self) -> _Started:
        if self._started is None:
            spawn = multiprocessing.get_context("spawn")  # A fork after threads have started can deadlock.
            watched, lifeline = spawn.Pipe(duplex=False)
            folder = tempfile.TemporaryDirectory(prefix="crossfake-")
            executor = ProcessPoolExecutor(self.workers, spawn, _start_worker, (watched, folder.name))
            self._started = _Started(executor, lifeline, folder)
        return self._started

    def close(self) -> None:
        """End the processes, even busy ones; another `map` starts new ones."""
        if self._started:
            started, self._started = self._started, None
            started.lifeline.close()
            started.executor.shutdown(cancel_futures=True)
            started.folder.cleanup()


def _pack(function: Callable[..., object]) -> bytes | None:
    """Pickle a function; None if that fails, or if it is from the user's script, which workers don't import."""
    try:
        packed = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return None if b"__main__" in packed else packed


@contextmanager
def _hide_main() -> Iterator[None]:
    """Keep processes that start meanwhile from running the user's script again, which may lack a `__main__` guard."""
    main = vars(sys.modules["__main__"])
    hidden: dict[str, object] = {name: main.pop(name) for name in ("__spec__", "__file__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


def start_process(work: Callable[..., object], *arguments: object) -> BaseProcess:
    """Start a process that does some work, and ends with this one; stop signals concern this one alone."""
    with _block_interrupts(), _hide_main():
        started = multiprocessing.get_context("spawn").Process(target=_work_with_parent, args=(work, arguments))
        started.start()
    return started


def _work_with_parent(work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(*arguments)


IN_PROCESS = WorkerPool(0)
"""Computes everything in this process, and has nothing to close."""


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Let OpenCV use one thread: the work is shared among processes, and results then don't depend on where it runs."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Block stop signals in processes that start meanwhile: the parent gets them, too.

    The parent then closes the pool, which ends the processes without a half-sent result.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Call(NamedTuple, Generic[Result]):
    """A result that will come, and where its arrays will be."""

    future: Future[Result | Packed]
    slot: Slot | None


def _take(waiting: list[_Call[Result]], ordered: bool) -> tuple[Result | Packed, Slot | None]:
    """Wait for the next result, and return it with its slot."""
    first = waiting[0].future if ordered else next(as_completed([call.future for call in waiting]))
    call = waiting.pop(next(i for i, call in enumerate(waiting) if call.future is first))
    return first.result(), call.slot


def _start_worker(watched: Connection, folder: str) -> None:
    """Make this process a worker, which ends with its parent or with the pool, whichever is first."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # For a face finder that runs on torch, imported later.
    _resting.acquire()

    def end_if_closed(*_: object) -> None:
        if watched.poll(0):
            _end(folder)

    # The pool uses this signal to end idle workers; from anyone else, such as a scheduler, it concerns the parent.
    signal.signal(signal.SIGTERM, end_if_closed)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    for watch in (lambda: _end_with_parent(folder), lambda: _end_with_pool(watched, folder)):
        threading.Thread(target=watch, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _end_with_parent(folder: str = "") -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        _end(folder)


def _end_with_pool(watched: Connection, folder: str) -> None:
    """End this process when the pool is closed, but not while it sends a result: the parent would wait for the rest."""
    watched.poll(None)
    if (Path(folder) / BROKEN).exists():
        _end(folder)
    with _resting:
        _end(folder)


def _end(folder: str) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)  # A parent that was killed can't.
    os._exit(1)


def _call(file: Path, plugin: str, item: object, slot: Slot | None) -> Any:
    function = _load_function(file, plugin)
    _resting.release()
    try:
        return pack(function(item), slot)
    finally:
        _resting.acquire()


@lru_cache(maxsize=2)  # One may be used during another, such as for validation during training.
def _load_function(file: Path, plugin: str) -> Callable[[object], object]:
    if plugin:
        from .registry import import_target

        import_target(plugin)
    loaded: Callable[[object], object] = pickle.loads(file.read_bytes())  # from the parent process # nosec B301
    return loaded
