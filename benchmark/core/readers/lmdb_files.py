"""LMDB files, read without a memory map: every page, key and value is checked against the file's size.

The library maps the file, and a damaged page or truncated file that leads it past the end kills the process. Here pages
are read as bytes, so that damage is a one-line error. Databases of 64-bit little-endian machines are read, with keys
in LMDB's default order, by their bytes.
"""

from __future__ import annotations

import os
import struct
import weakref
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..errors import BenchError

MAGIC, VERSION, NO_PAGE = 0xBEEFC0DE, 1, 2**64 - 1
HEADER = 16  # bytes of a page's header
BRANCH, LEAF = 0x01, 0x02
BIG_VALUE = 0x01
MOST_LEVELS = 32  # as in the library
PAGE_SIZES = range(256, 65_536 + 1)


class _Meta(NamedTuple):
    page_size: int
    flags: int
    root: int
    last_page: int
    transaction: int


class _Node(NamedTuple):
    key: bytes
    page: int  # of a branch: where it leads
    size: int  # of a value
    flags: int
    start: int  # of a leaf's value, within the page


class LmdbFile:
    """The main database of an LMDB folder, or of its `data.mdb`.

    Raises:
        BenchError: there is none, it is truncated or damaged, or of an unsupported kind.
    """

    def __init__(self, path: Path):
        self.path = path / "data.mdb" if path.is_dir() else path
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise BenchError(f"{self.path} can't be read: {error.strerror or error}") from None
        weakref.finalize(self, self._file.close)
        self._size = os.fstat(self._file.fileno()).st_size
        self._meta = self._read_meta()
        self._read_page = lru_cache(maxsize=256)(self._read_page_now)

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value; None if it has none.

        Raises:
            BenchError: a page on the way is damaged.
        """
        number = self._meta.root
        for _ in range(MOST_LEVELS):
            if number == NO_PAGE:
                return None
            page = self._read_page(number)
            (kind,) = struct.unpack_from("<H", page, 10)
            count = self._count_nodes(page)
            if kind & LEAF:
                at = self._find(page, 0, count, key)
                node = self._read_node(page, at) if at < count else None
                return self._read_value(page, node) if node and node.key == key else None
            if not kind & BRANCH or not count:
                raise self._make_error(f"page {number} is of an unknown kind")
            at = self._find(page, 1, count, key)  # A branch's first key counts as smaller than all others.
            exact = at < count and self._read_node(page, at).key == key
            number = self._read_node(page, at if exact else at - 1).page
        raise self._make_error("its pages lead in a circle")

    def _find(self, page: bytes, low: int, high: int, key: bytes) -> int:
        """Return the first node whose key is not smaller."""
        while low < high:
            middle = (low + high) // 2
            if self._read_node(page, middle).key < key:
                low = middle + 1
            else:
                high = middle
        return low

    def _read_meta(self) -> _Meta:
        """Return the newer of the two meta pages."""
        first = self._parse_meta(0)
        metas = [first] if first else []
        for size in [first.page_size] if first else [4096]:
            metas += [second] if (second := self._parse_meta(size)) else []
        if not metas:
            raise self._make_error("it doesn't begin as an LMDB file of a 64-bit machine")
        meta = max(metas, key=lambda m: m.transaction)
        if meta.flags:
            raise BenchError(f"{self.path}: LMDBs with sorted duplicates or integer keys aren't supported")
        if (meta.last_page + 1) * meta.page_size > self._size:
            whole = (meta.last_page + 1) * meta.page_size
            raise self._make_error(f"it has {self._size:,} bytes of {whole:,}; copy it again")
        return meta

    def _parse_meta(self, place: int) -> _Meta | None:
        content = self._read(place, HEADER + 136)
        if len(content) < HEADER + 136 or struct.unpack_from("<II", content, HEADER) != (MAGIC, VERSION):
            return None
        page_size, *_ = struct.unpack_from("<I", content, HEADER + 24)
        flags, _, root = struct.unpack_from("<HH32xQ", content, HEADER + 24 + 48 + 4)
        last_page, transaction = struct.unpack_from("<QQ", content, HEADER + 24 + 96)
        return _Meta(page_size, flags, root, last_page, transaction) if page_size in PAGE_SIZES else None

    def _read(self, place: int, size: int) -> bytes:
        self._file.seek(place)
        return self._file.read(size)

    def _read_page_now(self, number: int) -> bytes:
        size = self._meta.page_size
        if number > self._meta.last_page:
            raise self._make_error(f"it leads to page {number} of {self._meta.last_page + 1}")
        page = self._read(number * size, size)
        if len(page) < size:
            raise self._make_error("it was cut while it was read")
        return page

    def _count_nodes(self, page: bytes) -> int:
        lower: int = struct.unpack_from("<H", page, 12)[0]
        if not HEADER <= lower <= len(page):
            raise self._make_error("a page's list of keys doesn't fit into it")
        return (lower - HEADER) // 2

    def _read_node(self, page: bytes, number: int) -> _Node:
        (place,) = struct.unpack_from("<H", page, HEADER + 2 * number)
        if place + 8 > len(page):
            raise self._make_error("a key is outside its page")
        low, high, flags, length = struct.unpack_from("<HHHH", page, place)
        if place + 8 + length > len(page):
            raise self._make_error("a key is outside its page")
        key = page[place + 8 : place + 8 + length]
        return _Node(key, low | high << 16 | flags << 32, low | high << 16, flags, place + 8 + length)

    def _read_value(self, page: bytes, node: _Node) -> bytes:
        if node.flags & ~BIG_VALUE:
            raise self._make_error("a value isn't plain bytes")
        if not node.flags & BIG_VALUE:
            if node.start + node.size > len(page):
                raise self._make_error("a value is outside its page")
            return page[node.start : node.start + node.size]
        if node.start + 8 > len(page):
            raise self._make_error("a value is outside its page")
        (first,) = struct.unpack_from("<Q", page, node.start)
        start, end = first * self._meta.page_size + HEADER, (self._meta.last_page + 1) * self._meta.page_size
        if start + node.size > end:
            raise self._make_error("a value reaches beyond the end")
        content = self._read(start, node.size)
        if len(content) < node.size:
            raise self._make_error("it was cut while it was read")
        return content

    def _make_error(self, why: str) -> BenchError:
        return BenchError(f"{self.path} is cut short or damaged: {why}")
