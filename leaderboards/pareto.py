"""What a detector's accuracy costs: mean AUC against images per second, and against the time per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..benchmark.core.speeds import Condition
from .charts import Dot, Point, draw_scatter
from .formats import format_digits
from .rows import Row, Table

QUICK, LATENT = "images per second", "milliseconds per image"


class Cost(NamedTuple):
    """A row on the chart: its label, its cost, and its mean AUC on the other sets."""

    label: str
    cost: float
    auc: float


class Tradeoff(NamedTuple):
    """The rows that were measured under one condition; those on the frontier are beaten by none on both axes."""

    condition: Condition
    axis: str
    points: list[Cost]
    frontier: list[Cost]

    @property
    def title(self) -> str:
        """What the chart is called."""
        return f"Mean video AUC against {self.axis}: {self.condition.describe()}"


def list_tradeoffs(table: Table, labels: Sequence[tuple[Row, str]]) -> list[Tradeoff]:
    """Return two trade-offs for each condition, by throughput and by latency, of the rows that have a mean AUC."""
    found = []
    for condition in table.conditions:
        measured = [
            (label, row.speeds[condition], mean)
            for row, label in labels
            if condition in row.speeds and (mean := table.strength(row)) is not None
        ]
        quick = [Cost(label, speed.best.value, mean) for label, speed, mean in measured]
        latent = [Cost(label, speed.latency.p50_ms, mean) for label, speed, mean in measured]
        if measured:
            found.append(Tradeoff(condition, QUICK, quick, find_frontier(quick, more_is_better=True)))
            found.append(Tradeoff(condition, LATENT, latent, find_frontier(latent, more_is_better=False)))
    return found


def find_frontier(points: Iterable[Cost], more_is_better: bool) -> list[Cost]:
    """Return the points that no other point beats on both axes, the best cost first."""
    sign = 1 if more_is_better else -1
    kept: list[Cost] = []
    for point in sorted(points, key=lambda p: (sign * p.cost, p.auc), reverse=True):
        if not kept or point.auc > kept[-1].auc:
            kept.append(point)
    return kept


def draw_tradeoff(tradeoff: Tradeoff, find_mark: Callable[[str], tuple[str, str]]) -> Markup:
    """Draw AUC against cost (on a logarithmic axis); steps join the frontier.

    Args:
        tradeoff: what is drawn.
        find_mark: returns, for a row's label, the row that its mark belongs to, and the mark's class.
    """
    dots = [
        Dot(label, *find_mark(label), cost, auc, f"{format_digits(cost)} {tradeoff.axis}, mean AUC {auc:.3f}")
        for label, cost, auc in tradeoff.points
    ]
    return draw_scatter(dots, (tradeoff.axis, "mean AUC elsewhere"), _list_steps(tradeoff.frontier), tradeoff.title)


def _list_steps(frontier: Sequence[Cost]) -> list[Point]:
    """Return the corners of the line through the frontier: no row with a point's cost is better than it."""
    corners: list[Point] = []
    for before, point in zip([None, *frontier], frontier, strict=False):
        corners += [(point.cost, before.auc)] if before else []
        corners.append((point.cost, point.auc))
    return corners
