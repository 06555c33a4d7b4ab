"""The page's table for one training set: cells as text with a strip below, and the charts after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from markupsafe import Markup

from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import AUC
from .charts import Axis, Mark, count_intervals, draw_scale, draw_strip, span_axis
from .formats import (
    count_groups,
    format_auc,
    format_cost,
    format_estimate,
    format_mean,
    format_partial,
    format_rank,
    format_speed,
    format_too_few,
)
from .markdown import describe_shared
from .overview import Overview, describe_making, label_rows
from .page_charts import Figure, Picture, chart_carrying, chart_curves, chart_groups, mark_groups
from .rows import Row
from .verdicts import Verdict, make_verdict


class Column(NamedTuple):
    """A column's heading: its name, the small text below it, its class, and the axis of its strips."""

    name: str
    below: str = ""
    kind: str = ""
    scale: Markup | str = ""


class Cell(NamedTuple):
    """A cell's text, the strip and small text below it, its class, and its label where there is no heading."""

    shown: str
    kind: str = ""
    strip: Markup | str = ""
    label: str = ""
    below: str = ""


class Line(NamedTuple):
    """A row of the table: its address, whether it has details, its class, the words that find it, and its cells."""

    row: str
    told: bool
    kind: str
    words: str
    name: str
    rank: str
    cells: list[Cell]


@dataclass(frozen=True)
class PageBoard:
    """The rows that were trained on one set; `top` are those with charts and details."""

    overview: Overview
    top: list[Row]
    anchor: Callable[[Row], str]

    @property
    def verdict(self) -> Verdict | None:
        """The verdict in words, if there are numbers."""
        return make_verdict(self.overview) if self.overview.looked_at else None

    @property
    def shared(self) -> str:
        """What is the same for all rows."""
        return describe_shared(self.overview)

    @cached_property
    def axis(self) -> Axis:
        """The common axis of all AUCs."""
        o = self.overview
        found = [r.metrics[AUC] for row in o.rows for r in row.results.values() if r.done]
        return span_axis([*found, *(s.mean for row in o.rows if (s := o.table.standings.get(row.key)))])

    @property
    def intervals(self) -> int:
        """The number of intervals on the common axis."""
        return count_intervals(self.axis)

    @property
    def groups_axis(self) -> Axis:
        """The axis of groups' AUCs, which can take any value."""
        return Axis(0, 1)

    @cached_property
    def columns(self) -> list[Column]:
        """The headings after rank and detector."""
        o, scale = self.overview, draw_scale(self.axis)
        mean = [Column("Mean", _count_sets(o.targets), "mean", scale)] if o.targets != [o.train] else []
        tests = [
            Column(t, self._describe_test(t), "set home" if t == o.train and mean else "set", scale if known else "")
            for t, known in ((t, any(t in row.results and row.results[t].done for row in o.rows)) for t in o.tests)
        ]
        drop = [Column("Drop", "home minus mean")] if mean and o.train in o.tests else []
        where = ", ".join(filter(None, [f"on {o.groups_test}" if o.groups_test else "", o.groups_counted]))
        groups = [Column("Worst group", where), Column("Gap", "each group’s AUC", "", draw_scale(self.groups_axis))]
        alone = len(o.table.conditions) == 1  # Then the text above the table says it.
        speeds = [Column("Speed", "img/s" if alone else f"img/s, {c.describe()}") for c in o.table.conditions]
        made = [Column(name.capitalize()) for name in o.varying]
        return [*mean, *tests, *drop, *groups, *speeds, Column("Params", "millions"), *made]

    def _describe_test(self, test: str) -> str:
        videos = self.overview.videos_of(test)
        home = ["home"] if test == self.overview.train else []
        return ", ".join([*home, *([f"{videos} videos"] if videos else [])])

    @cached_property
    def lines(self) -> list[Line]:
        """The rows of the table."""
        told = {id(row) for row in self.top}
        rows = self.overview.rows
        return [self._make_line(row, name, id(row) in told) for row, name in zip(rows, label_rows(rows), strict=True)]

    def _make_line(self, row: Row, name: str, told: bool) -> Line:
        o = self.overview
        words = " ".join([row.name, *describe_making(row).values(), row.train, row.key])
        cells = [*self._score(row), *self._judge_groups(row)]
        cells += [Cell(format_speed(row.speeds.get(c)), label=f"img/s, {c.describe()}") for c in o.table.conditions]
        cells.append(Cell(format_cost(row)[0], label="M params"))
        cells += [Cell(describe_making(row)[name], "made", label=name.capitalize()) for name in o.varying]
        rank = format_rank(o.table, row)
        return Line(self.anchor(row), told, self.find_tier(row), words, name, rank, cells)

    @cached_property
    def compared(self) -> frozenset[str]:
        """The test sets on which rows are compared, so that a row without a mark is worse than another."""
        return frozenset(test for _, test in self.overview.table.best)

    def find_tier(self, row: Row) -> str:
        """Return the class of a row: `best` (or not significantly worse), `worse`, or `unranked`."""
        if row in self.overview.ranked:
            return "best" if self.overview.table.standings[row.key].best else "worse"
        return "unranked"

    def _score(self, row: Row) -> list[Cell]:
        """Return the mean, the AUC on each test set, and the drop, if the table has them."""
        o = self.overview
        cells = []
        if o.targets != [o.train]:
            standing = o.table.standings.get(row.key)
            mean = self._strip(standing.mean, "hollow" if self.find_tier(row) == "worse" else "") if standing else ""
            cells.append(Cell(format_mean(o.table, row), "auc mean", mean, "mean elsewhere"))
        cells += [self._score_on(row, test) for test in o.tests]
        if o.targets != [o.train] and o.train in o.tests:
            drop = o.drop(row)
            cells.append(Cell(format_estimate(drop) if drop else "", "auc drop", label="drop"))
        return cells

    def _score_on(self, row: Row, test: str) -> Cell:
        o, result = self.overview, row.results.get(test)
        shown, partial = format_auc(o.table, row, test), format_partial(result, o.table.bounds.get((row.key, test)))
        if result is None or not result.done:
            return Cell(shown, {"ERR": "auc err", "skipped": "auc skipped"}.get(shown, "auc"), label=test)
        worse = test in self.compared and (row.key, test) not in o.table.best
        home = " home" if test == o.train and o.targets != [test] else ""
        return Cell(
            shown, f"auc set{home}", self._strip(result.metrics[AUC], "hollow" if worse else ""), test, partial.strip()
        )

    def _strip(self, e: Estimate, kind: str = "") -> Markup:
        return draw_strip(self.axis, [Mark(e, kind=kind)])

    def _judge_groups(self, row: Row) -> list[Cell]:
        """Return the worst group, and the gap with a dot for each group."""
        o = self.overview
        where = f"worst on {o.groups_test}" if o.groups_test else "worst group"
        groups, result = o.groups_of(row), row.results.get(o.groups_test)
        if not groups or not result or not groups.worst:
            shown = format_too_few(groups) if groups or not o.groups_test else ""
            return [Cell(shown, "auc", label=where), Cell("", "auc", label="gap")]
        counted = "" if o.groups_counted else f"; {count_groups(groups)}"
        below = f"{groups.group}, n\N{NO-BREAK SPACE}{groups.worst.n}{counted}"
        strip = draw_strip(self.groups_axis, mark_groups(result.pooled.groups[groups.attribute]), joined=True)
        gap = format_estimate(groups.gap) if groups.gap else ""
        return [Cell(format_estimate(groups.worst), "auc", "", where, below), Cell(gap, "auc", strip, "gap")]

    @property
    def carrying(self) -> list[Figure | Picture]:
        """Charts of how AUC, threshold and speed go together."""
        return chart_carrying(self.overview, self.top, self.anchor, self.find_tier)

    @property
    def groups(self) -> list[tuple[str, list[Figure]]]:
        """A chart of each row's groups, by test set; the one to show first comes first."""
        o = self.overview
        tests = sorted(o.tests, key=lambda t: t != o.groups_test)
        found = [(t, chart_groups(o, self.top, t, self.anchor, self.find_tier)) for t in tests]
        return [(test, figures) for test, figures in found if figures]

    @property
    def curves(self) -> Sequence[Picture]:
        """ROC and DET curves of each test set."""
        return [
            chart for test in self.overview.tests for chart in chart_curves(self.overview, self.top, test, self.anchor)
        ]


def _count_sets(tests: Sequence[str]) -> str:
    return f"{len(tests)} other dataset{'' if len(tests) == 1 else 's'}"
