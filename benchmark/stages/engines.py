"""Where cells run. A cell shares nothing with another but the result folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.scorecard import Card
    from .cells import Cell

Run = Callable[["Cell"], "Card"]


def inline(run: Run, cells: Iterable[Cell]) -> Iterator[Card]:
    """One cell after the other in this process; each uses the worker processes for its data."""
    return map(run, cells)


ENGINES: dict[str, Callable[[Run, Iterable[Cell]], Iterator[Card]]] = {"inline": inline}
