"""Sharing work: of several commands, on one machine or many, each does every n-th piece."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from .errors import BenchError

T = TypeVar("T")
MOST_PARTS = 100_000


class Part(NamedTuple):
    """One of `parts` equal parts of some work, numbered from 1."""

    number: int
    parts: int

    def take(self, items: Sequence[T]) -> Sequence[T]:
        """Return this part's items: together, the parts cover each item once."""
        return items[self.number - 1 :: self.parts]


def parse_part(text: str) -> Part:
    """Read `2/8`, the second of eight parts.

    Raises:
        BenchError: it has another form, or there is no such part.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if not found:
        raise BenchError(f"--part takes the number of a part and how many there are, such as 2/8, not '{text[:20]}'")
    part = Part(int(found[1]), int(found[2]))
    if not 1 <= part.number <= part.parts <= MOST_PARTS:
        n = part.parts if 1 <= part.parts <= MOST_PARTS else 8
        raise BenchError(f"--part {text}: there is no such part. They are numbered from 1: 1/{n} to {n}/{n}")
    return part
