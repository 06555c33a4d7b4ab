"""Where cells run. Cells share only the result folder.

Several commands may run the same cells in one folder: each takes the groups that no other is working on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..core.errors import BenchError, require_known
from ..core.storage import HeldElsewhereError
from .cells import Cell, group_cells

if TYPE_CHECKING:
    from ..core.scorecard import Card


class Run(Protocol):
    """Runs a cell; without `wait`, a cell that another command is running raises HeldElsewhereError."""

    def __call__(self, cell: Cell, /, *, wait: bool) -> Card:
        """Return the cell's scorecard, or its failure."""
        ...


def inline(run: Run, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Card]]:
    """Runs one cell after another in this process; each uses the worker processes for its data.

    A group of cells that another command is running is left for later; if only such groups are left, waits for the
    first.
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


class EngineChoice(NamedTuple):
    """Where cells run: `inline`, or on `ray` at an `address` (empty: this machine), and GPUs per training.

    `devices` are those that share each training of this process.
    """

    name: str = "inline"
    address: str = ""
    gpus: int = 1
    devices: int = 1


ENGINES = ("inline", "ray")
INLINE = EngineChoice()


def parse_engine(text: str) -> EngineChoice:
    """Read `inline`, `inline?devices=2`, `ray`, `ray:10.0.0.1:6379` or `ray:10.0.0.1:6379?gpus=2`.

    Raises:
        BenchError: no such engine, or it doesn't accept an argument.
    """
    name, rest = re.fullmatch(r"([^:?]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    require_known("engine", name, ENGINES)
    address, _, counted = rest.removeprefix(":").partition("?")
    what, _, number = counted.partition("=")
    if name != "ray" and (address or what not in ("", "devices")):
        raise BenchError(f"--engine {name} has no --address or --gpus-per-group. Add --engine ray")
    if name == "ray" and "devices" in counted:
        raise BenchError("--engine ray has no --devices: there, a training has one. Leave out one of the two")
    if counted and not (
        what in ("gpus", "devices") and number.isdecimal() and 1 <= int(number[:4]) <= 1000 and len(number) < 5
    ):
        raise BenchError(f"--engine {text[:60]}: {what}={number[:20]} is not an integer from 1 to 1000")
    return EngineChoice(name, address, **({what: int(number)} if counted else {}))


def check_engine(text: str) -> None:
    """Check before any work that an engine can be used.

    Raises:
        BenchError: see `parse_engine`; or it isn't installed, or nothing answers at its address.
    """
    choice = parse_engine(text)
    if choice.name == "ray":
        from .ray_engine import check_ray

        check_ray(choice)
