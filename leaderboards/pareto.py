"""What a detector's accuracy costs: mean AUC against images a second, and against the time that one image takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import NamedTuple

from markupsafe import Markup

from ..benchmark.core.speeds import Condition
from .charts import (
    COLOURS,
    WIDTH,
    Axis,
    Point,
    draw_dot,
    draw_frame,
    draw_path,
    draw_text,
    wrap_svg,
)
from .rows import Row, Table

QUICK, LATENT = "images a second", "milliseconds an image"


class Cost(NamedTuple):
    """A row on the chart: its label, what it costs, and its mean AUC on the other sets."""

    label: str
    cost: float
    auc: float


class Tradeoff(NamedTuple):
    """The rows that were measured under one condition; on the frontier is what no other beats on both axes."""

    condition: Condition
    axis: str
    points: list[Cost]
    frontier: list[Cost]

    @property
    def title(self) -> str:
        """What the chart is called."""
        return f"Mean video AUC against {self.axis}: {self.condition.describe()}"


def list_tradeoffs(table: Table, labels: Sequence[tuple[Row, str]]) -> list[Tradeoff]:
    """Return two for each condition, of the labelled rows that have a mean AUC: by throughput, and by latency."""
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
    """Return the points that no other beats on both axes, the best cost first."""
    sign = 1 if more_is_better else -1
    kept: list[Cost] = []
    for point in sorted(points, key=lambda p: (sign * p.cost, p.auc), reverse=True):
        if not kept or point.auc > kept[-1].auc:
            kept.append(point)
    return kept


def draw_tradeoff(tradeoff: Tradeoff) -> Markup:
    """Draw cost (on a logarithmic axis) against AUC; steps join the frontier, and numbers tell the rows."""
    costs, aucs = [p.cost for p in tradeoff.points], [p.auc for p in tradeoff.points]
    x = Axis(min(costs) / 1.5, max(costs) * 1.5, 46, WIDTH - 8, log=True)
    y = Axis(floor(min(aucs) * 20 - 0.2) / 20, min(ceil(max(aucs) * 20 + 0.2) / 20, 1.0), 240, 12)
    parts = draw_frame(x, y, (tradeoff.axis, "mean video AUC on the other sets"))
    parts.append(draw_path(_list_steps(tradeoff.frontier, x, y), "frontier"))
    for i, (label, cost, auc) in enumerate(tradeoff.points):
        below = 296 + i * 22
        parts += [*_draw_numbered_dot(x(cost), y(auc), i), *_draw_numbered_dot(46, below - 4, i)]
        parts.append(draw_text(62, below, label))
    return wrap_svg(286 + 22 * len(tradeoff.points), tradeoff.title, parts)


def _list_steps(frontier: Sequence[Cost], x: Axis, y: Axis) -> list[Point]:
    """Return the corners of the line through the frontier: what costs as much as a point is no better than it."""
    corners: list[Point] = []
    for before, point in zip([None, *frontier], frontier, strict=False):
        corners += [(x(point.cost), y(before.auc))] if before else []
        corners.append((x(point.cost), y(point.auc)))
    return corners


def _draw_numbered_dot(x: float, y: float, i: int) -> list[str]:
    """Draw a dot with its number: there are more dots than colours."""
    return [draw_dot(x, y, f"s{i % COLOURS}", 8), draw_text(x, y + 3.5, str(i + 1), "inside", "middle")]
