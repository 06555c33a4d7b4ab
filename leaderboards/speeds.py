"""Which speeds belong to a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..benchmark.core.cell_description import CellDescription
from ..benchmark.core.keys import hash_key
from ..benchmark.core.speeds import Condition, Speed

Speeds = Mapping[Condition, Speed]
"""A row's speed under each condition: the fastest, if it was measured in several ways."""


def match_speeds(cell: CellDescription, params: int | None, speeds: Iterable[Speed]) -> Speeds:
    """Return the speeds of a row's architecture, identified by detector, backend, options and parameter count."""
    own = (cell.detector, cell.backend, hash_key(cell.options))
    found: dict[Condition, Speed] = {}
    for speed in speeds:
        same = (speed.detector, speed.backend, hash_key(speed.options)) == own
        if same and (params is None or speed.params in (None, params)):
            before = found.get(speed.condition)
            if before is None or speed.best.value > before.best.value:
                found[speed.condition] = speed
    return found


def list_conditions(rows: Iterable[Speeds]) -> list[Condition]:
    """Return the conditions that rows were measured under, the most common first."""
    counted = Counter(condition for speeds in rows for condition in speeds)
    return sorted(counted, key=lambda condition: (-counted[condition], condition))
