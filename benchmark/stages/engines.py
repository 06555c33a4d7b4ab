"""Where cells run. A cell shares nothing with another but the result folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Run = Callable[[Any], Any]


def inline(run: Run, cells: Iterable[Any]) -> Iterator[Any]:
    """One cell after the other in this process; each uses the worker processes for its data."""
    return map(run, cells)


ENGINES: dict[str, Callable[[Run, Iterable[Any]], Iterator[Any]]] = {"inline": inline}
