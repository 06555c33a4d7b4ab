"""How long the cells of a run take, and how long is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cells import Cell


@dataclass
class Pace:
    """How long new cells took: the first of a run, which may train, and the others."""

    first: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    trainings: set[tuple[str, str, int]] = field(default_factory=set)

    def add(self, cell: Cell, seconds: float) -> None:
        """Note how long a cell took."""
        (self.others if cell.training in self.trainings else self.first).append(seconds)
        self.trainings.add(cell.training)

    def tell(self, left: Sequence[Cell]) -> str:
        """Estimate the remaining time, once one cell of each kind has run."""
        trained = len({c.training for c in left} - self.trainings)
        kinds = [(self.first, trained), (self.others, len(left) - trained)]
        if not all(seconds or not count for seconds, count in kinds):
            return ""
        minutes = sum(mean(seconds) * count for seconds, count in kinds if count) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
