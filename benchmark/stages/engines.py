"""Where cells run. A cell shares nothing with another but the result folder.

Several commands may run the same cells in one folder: each takes the groups that no other is at work on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from ..core.storage import HeldElsewhereError
from .cells import Cell, group_cells

if TYPE_CHECKING:
    from ..core.scorecard import Card


class Run(Protocol):
    """Runs a cell; without `wait`, a cell that another command is at work on raises HeldElsewhereError."""

    def __call__(self, cell: Cell, /, *, wait: bool) -> Card:
        """Return the cell's scorecard, or its failure."""
        ...


def inline(run: Run, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Card]]:
    """One cell after the other in this process; each uses the worker processes for its data.

    A group of cells that another command is at work on is left for later; where all that are left are, the first is
    waited for.
    """
    waiting, held = deque(group_cells(cells)), 0
    while waiting:
        group = waiting.popleft()
        while group:
            try:
                card = run(group[0], wait=held > len(waiting))
            except HeldElsewhereError:
                held += 1
                waiting.append(group)
                break
            yield group.pop(0), card
            held = 0


Engine = Callable[[Run, Sequence[Cell]], Iterator[tuple[Cell, "Card"]]]
ENGINES: dict[str, Engine] = {"inline": inline}
