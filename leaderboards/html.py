"""The board as one HTML file that needs nothing else: no network, and no JavaScript for reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ..benchmark.core.scorecard import Card, ScoreCard
from ..benchmark.stats.attributes import INTERSECTION
from ..benchmark.stats.seed_pooling import AUC
from . import charts
from .markdown import (
    MARK,
    NOTES,
    REPORTED,
    REPORTED_NOTE,
    REPORTED_TITLE,
    SYNTHETIC,
    Grid,
    describe_failure,
    format_auc,
    format_reported,
    make_details,
    make_overview,
    name_board,
)
from .pareto import draw_tradeoff, list_tradeoffs
from .published import list_citations, match_published
from .rows import Row, Table
from .terminal import format_footnote, make_card_tables, make_metrics_table
from .verdicts import make_verdicts
from .worst_case_images import WorstCase, load_worst_cases

TEMPLATES = Path(__file__).with_name("templates")
TOP = 40
"""Of a table with more rows than this, the page charts these first ones and tells their runs; its tables have all."""


@cache
def _load_page() -> Template:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    env.filters |= {
        "number": mark_up_number,
        "title_of": _read_title,
    }
    return env.get_template("board.html")


def render_page(made: list[Table]) -> str:
    """Return the whole page. All that comes from scorecards is escaped."""
    files = ("style.css", "board.js")
    static = {
        name.partition(".")[0]: Markup((TEMPLATES / name).read_text("utf-8"))  # our own files # nosec B704
        for name in files
    }
    sections = [Section(i, table) for i, table in enumerate(made)]
    return _load_page().render(
        sections=sections,
        notes=NOTES.splitlines(),
        banner=SYNTHETIC,
        title=name_board("crossfake leaderboard", made),
        **static,
    )


def mark_up_number(shown: str) -> Markup:
    """Set an interval, or why there is none, and a sample size smaller than the value they belong to."""
    written = str(escape(shown)).replace(MARK, '<sup title="can’t be told from the best">1</sup>')
    written = re.sub(r"(\([^()]*\binterval\b[^()]*\))", r'<span class="ci why">\1</span>', written)
    return Markup(re.sub(r"(\[[^\]]*\]|\(n \d+[^()]*\))", r'<span class="ci">\1</span>', written))  # escaped above # nosec B704


@dataclass(frozen=True)
class Section:
    """What the page shows of one table."""

    index: int
    table: Table

    @cached_property
    def top(self) -> list[Row]:
        """The first rows of each training set, which come the best first: as many of each as TOP allows."""
        trains = dict.fromkeys(row.train for row in self.table.rows)
        most = max(TOP // max(len(trains), 1), 1)
        return [row for train in trains for row in [r for r in self.table.rows if r.train == train][:most]]

    @property
    def folded(self) -> str:
        """What the page leaves out, and how it can be seen; empty where that is nothing."""
        total = len(self.table.rows)
        if len(self.top) == total:
            return ""
        return f"Charts and runs are of the first {len(self.top)} of {total} rows; of any other: bench show RUN."

    def list_anchors(self, rows: Iterable[Row]) -> list[str]:
        """Return the anchors of rows, empty for those whose runs aren't told."""
        told = {row.key for row in self.top}
        return [self.anchor(row.key) if row.key in told else "" for row in rows]

    def anchor(self, key: str) -> str:
        """Return the id of a row's part of the page."""
        return f"run-{self.index}-{re.sub(r'[^0-9A-Za-z_-]', '-', key)}"

    @property
    def overview(self) -> Grid:
        """The matrix of all test sets."""
        return make_overview(self.table)

    @property
    def verdicts(self) -> list[str]:
        """Which row is the best, or may be, in words."""
        return make_verdicts(self.table)

    @property
    def reported(self) -> Grid:
        """Published numbers beside the table's own."""
        return REPORTED, [format_reported(r) for r in match_published(self.table)]

    @property
    def citations(self) -> list[str]:
        """Where those stand."""
        return list_citations(match_published(self.table))

    reported_title, reported_note = REPORTED_TITLE, REPORTED_NOTE

    def details(self, test: str) -> Grid:
        """One test set's table."""
        return make_details(self.table, test)

    def label(self, row: Row) -> str:
        """Tell a row from the others in as few words as will do."""
        others = [r for r in self.table.rows if r.name == row.name and r is not row]
        parts = [row.name]
        parts += [row.train] if len({r.train for r in self.table.rows}) > 1 else []
        parts += [row.backend] if any(r.backend != row.backend for r in others) else []
        alike = [r for r in others if (r.train, r.backend) == (row.train, row.backend)]
        return " ".join([*parts, *([row.key[:6]] if alike else [])])

    def charts(self) -> list[Markup]:
        """Return what compares all rows: the heat map, and AUC against speed."""
        rows = [(self.label(r), [_heat_map_value(self.table, r, t) for t in self.table.tests]) for r in self.top]
        tradeoffs = list_tradeoffs(self.table, [(row, self.label(row)) for row in self.top])
        return [charts.draw_heat_map(rows, self.table.tests), *map(draw_tradeoff, tradeoffs)]

    def test_charts(self, test: str) -> list[Markup]:
        """Return the forest plot and the ROC curves of one test set."""
        rows = [row for row in self.top if test in row.results and row.results[test].done]
        if not rows:
            return []
        aucs = [(self.label(r), r.results[test].metrics[AUC]) for r in rows]
        rocs = [(self.label(r), curves.roc) for r in rows if (curves := r.results[test].done[0].curves).roc]
        plots = [charts.draw_roc(rocs, f"ROC on {test}"), charts.draw_det(rocs, f"DET on {test}")] if rocs else []
        return [charts.draw_forest(aucs, f"Video AUC on {test} with 95 % intervals"), *plots]

    def runs(self, row: Row) -> list[Run]:
        """Return what there is to tell of a row, a test set each."""
        found = [(test, row.results[test]) for test in self.table.tests if test in row.results]
        return [Run(row, test, (result.done or result.cards)[0]) for test, result in found]


@dataclass(frozen=True)
class Run:
    """What the page shows of one row on one test set: its first seed's scorecard in full, and why others have none."""

    row: Row
    test: str
    card: Card

    @property
    def done(self) -> bool:
        """Whether there are numbers."""
        return isinstance(self.card, ScoreCard)

    @property
    def scorecard(self) -> ScoreCard:
        """The numbers; there are none unless it is `done`."""
        assert isinstance(self.card, ScoreCard)
        return self.card

    @property
    def losses(self) -> list[str]:
        """Which seeds failed or were skipped, and why."""
        return [describe_failure(card) for card in self.row.results[self.test].lost]

    @property
    def tables(self) -> list[Grid]:
        """By method, and by group."""
        return make_card_tables(self.scorecard)

    @property
    def metrics(self) -> Grid:
        """Every metric."""
        return make_metrics_table(self.scorecard)

    @property
    def footnote(self) -> str:
        """Threshold, temperature and coverage."""
        return format_footnote(self.scorecard)

    def charts(self) -> list[Markup]:
        """Return group rates, score histograms and calibration, where the scorecard has them."""
        card = self.scorecard
        curves, made = card.curves, []
        if groups := card.groups.get(INTERSECTION) or next(iter(card.groups.values()), None):
            rates = [
                (f"{g} ({c.video.n_real} real, {c.video.n_fake} fake)", c.video.fpr, c.video.tpr)
                for g, c in groups.items()
            ]
            made.append(charts.draw_group_rates(rates, f"False and true positive rate by group, {self.test}"))
        if h := curves.histogram:
            title = f"Scores of fakes and reals, {self.test}"
            made.append(charts.draw_histogram(h.real, h.fake, card.threshold.value, title))
        if r := curves.reliability:
            made.append(charts.draw_reliability(r, curves.reliability_n, f"Calibration, {self.test}"))
        return made

    def mistakes(self) -> dict[str, list[WorstCase]]:
        """Return the worst mistakes."""
        return load_worst_cases(self.scorecard)


def _read_title(chart: Markup) -> str:
    return Markup(chart.partition("<title>")[2].partition("</title>")[0])  # escaped when it was drawn # nosec B704


def _heat_map_value(table: Table, row: Row, test: str) -> float | str:
    result = row.results.get(test)
    value = result.metrics[AUC].value if result and result.done else None
    return float(value) if value is not None else format_auc(table, row, test)
