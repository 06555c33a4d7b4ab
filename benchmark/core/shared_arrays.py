"""Arrays that worker processes hand over through memory that both share, not through a pipe.

Each buffer is a memfd: memory without a name, which the system frees with the last process that has it, however that
ends. Nothing is in /dev/shm, so nothing can be left there, and its size doesn't matter. Where there is no memfd (it is
Linux's), results are pickled.
"""

from __future__ import annotations

import mmap
import os
import pickle
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")
HELD = 2
"""How many further results may be asked for before a result's memory is used again."""
ALIGNMENT = 64


class Slot(NamedTuple):
    """Where a worker writes a result: a file of its parent process, identified by a number."""

    path: str
    number: int
    size: int


class Packed(NamedTuple):
    """A result whose arrays are in a slot, each at an offset in bytes and with a number of bytes."""

    content: bytes
    places: list[tuple[int, int]]


class _Buffer:
    """Memory of this process that its workers can open."""

    def __init__(self, size: int):
        self.file = os.memfd_create("crossfake")
        os.ftruncate(self.file, size)
        self.memory = mmap.mmap(self.file, size)
        self.slot = Slot(f"/proc/{os.getpid()}/fd/{self.file}", next(_numbers), size)

    def close(self) -> None:
        """Give the memory back now: a worker, or an array, may still have it mapped."""
        self.memory.madvise(mmap.MADV_REMOVE)
        os.close(self.file)


_numbers = count()


class Lender:
    """Lends buffers to the calls of one `map`, and takes the results out of them.

    The first results tell how large a buffer has to be. An array of a result is a view of its buffer.
    """

    def __init__(self, shares: bool):
        self._shares = shares and hasattr(os, "memfd_create")
        self._size = 0
        self._free: list[_Buffer] = []
        self._lent: dict[int, _Buffer] = {}
        self._held: deque[_Buffer] = deque()

    def lend(self) -> Slot | None:
        """Return where the next call may leave its arrays; None where it has to send them."""
        if not self._size:
            return None
        buffer = self._free.pop() if self._free else None
        if buffer and buffer.slot.size < self._size:
            buffer.close()
            buffer = None
        try:
            buffer = buffer or _Buffer(self._size)
        except OSError:  # Too many files are open, or files may not be so large.
            return None
        self._lent[buffer.slot.number] = buffer
        return buffer.slot

    def receive(self, result: Result | Packed, slot: Slot | None) -> Result:
        """Return what a call found."""
        buffer = self._lent.pop(slot.number) if slot else None
        if isinstance(result, Packed):
            assert buffer is not None
            self._held.append(buffer)
            if len(self._held) > HELD:
                self._free.append(self._held.popleft())
            view = memoryview(buffer.memory)
            arrays = [view[start : start + size] for start, size in result.places]
            loaded: Result = pickle.loads(result.content, buffers=arrays)  # from the worker process # nosec B301
            return loaded
        if buffer:
            self._free.append(buffer)
        if self._shares:
            self._size = max(self._size, _arrange(_split(result)[1])[1])
        return result

    def close(self) -> None:
        """Free everything that was lent."""
        for buffer in (*self._free, *self._lent.values(), *self._held):
            buffer.close()
        self._free, self._lent, self._size = [], {}, 0
        self._held.clear()


def pack(result: Result, slot: Slot | None) -> Result | Packed:
    """Leave a result's arrays in a slot, and return the rest; where they can't be left there, the result itself."""
    if slot is None:
        return result
    content, arrays = _split(result)
    places, size = _arrange(arrays)
    if not 0 < size <= slot.size:
        return result
    try:
        memory = _open(slot)
    except OSError:
        return result
    with memoryview(memory) as view:
        for (start, length), array in zip(places, arrays, strict=True):
            view[start : start + length] = array
    return Packed(content, places)


def _split(result: object) -> tuple[bytes, list[memoryview]]:
    found: list[pickle.PickleBuffer] = []
    content = pickle.dumps(result, protocol=5, buffer_callback=found.append)
    return content, [one.raw() for one in found]


def _arrange(arrays: Sequence[memoryview]) -> tuple[list[tuple[int, int]], int]:
    """Return where in a slot each array begins, with its length, and how large the slot has to be."""
    places, end = [], 0
    for array in arrays:
        places.append((end, array.nbytes))
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return places, end


@lru_cache(maxsize=256)
def _open(slot: Slot) -> mmap.mmap:
    file = os.open(slot.path, os.O_RDWR)
    try:
        return mmap.mmap(file, slot.size)
    finally:
        os.close(file)
