"""The board as one HTML file that needs nothing else: no network, and no JavaScript for reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ..benchmark.core.keys import hash_key
from ..benchmark.core.scorecard import Card, ScoreCard
from .formats import MARK, format_cost, format_rank, format_wins
from .markdown import (
    NOTES,
    REPORTED_ALL,
    REPORTED_NOTE,
    REPORTED_TITLE,
    SYNTHETIC,
    Grid,
    describe_failure,
    format_reported,
    make_details,
    name_board,
)
from .overview import make_overviews
from .page_board import PageBoard
from .page_charts import Figure, Picture, chart_run
from .published import list_citations, match_published
from .recorded_command import narrow_commands
from .rows import Fact, Row, Table
from .terminal import format_footnote, make_card_tables, make_metrics_table
from .worst_case_images import WorstCase, load_worst_cases

TEMPLATES = Path(__file__).with_name("templates")
TOP = 40
"""The page has charts and details of at most this many rows of a table; its tables have all of them."""
CELLS = 160
"""At most this many runs on a test set are detailed, over all tables: each takes 40 kB, or 80 with its faces."""


@cache
def _load_page() -> Template:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    env.filters |= {"number": mark_up_number, "breakable": mark_up_name}
    return env.get_template("board.html")


def render_page(made: list[Table], name: str = "leaderboard") -> str:
    """Return the whole page. Everything from scorecards is escaped.

    Args:
        made: the tables.
        name: the name of the other three files, which the page links to.
    """
    files = ("style.css", "board.js", "theme.js")
    static = {
        name.partition(".")[0]: Markup((TEMPLATES / name).read_text("utf-8"))  # our own files # nosec B704
        for name in files
    }
    return _load_page().render(
        sections=[Section(table, CELLS // len(made)) for table in made],
        notes=NOTES,
        banner=SYNTHETIC,
        title=name_board("crossfake leaderboard", made),
        synthetic=bool(made) and all(table.is_synthetic for table in made),
        date=_find_date(row for table in made for row in table.rows),
        version=version("crossfake"),
        files=[(kind, f"{quote(name)}.{kind}") for kind in ("csv", "json", "md")],
        **static,
    )


def _find_date(rows: Iterable[Row]) -> str:
    """Return the day of the newest result: `28 November 2026`; empty if no card has a date."""
    made = [c.provenance for row in rows for c in row.cards if c.provenance and c.provenance.time]
    if not made:
        return ""
    day = datetime.fromisoformat(max(made, key=lambda p: p.timestamp or 0).time)
    return f"{day.day} {day:%B %Y}"


def mark_up_number(shown: str) -> Markup:
    """Mark up an interval (or the reason for none) and a sample size in smaller print than their value."""
    written = str(escape(shown)).replace(MARK, '<sup title="not significantly worse than the best">1</sup>')
    if "interval" in written:
        written = re.sub(r"(\([^()]*\binterval\b[^()]*\))", r'<span class="ci why">\1</span>', written)
    return Markup(re.sub(r"(\[[^\]]*\]|\(n \d+[^()]*\))", r'<span class="ci">\1</span>', written))  # escaped above # nosec B704


def mark_up_name(name: str) -> Markup:
    """Let a long name break after its dots, hyphens and underscores."""
    return Markup(re.sub(r"([._-])(?=\w)", r"\1<wbr>", str(escape(name))))  # escaped before # nosec B704


@dataclass(frozen=True)
class Section:
    """What the page shows of one table, with details of at most `cells` cells."""

    table: Table
    cells: int
    reported_title = REPORTED_TITLE
    reported_note = REPORTED_NOTE

    @property
    def id(self) -> str:
        """The table's place in the page, which stays the same whatever other tables there are."""
        return f"table-{hash_key(self.table.title, 6)}"

    @cached_property
    def top(self) -> list[Row]:
        """The best rows of each training set, as many of each as TOP and `cells` allow."""
        trains = dict.fromkeys(row.train for row in self.table.rows)
        most = max(min(TOP, self.cells // max(len(self.table.tests), 1)) // max(len(trains), 1), 1)
        return [row for train in trains for row in [r for r in self.table.rows if r.train == train][:most]]

    @property
    def folded(self) -> str:
        """What the page leaves out, and how to see it; empty if it leaves out nothing."""
        total = len(self.table.rows)
        if len(self.top) == total:
            return ""
        return f"Charts and details cover the first {len(self.top)} of {total} rows; for any other: bench show RUN."

    @cached_property
    def boards(self) -> list[PageBoard]:
        """The rows of each training set."""
        told = {id(row) for row in self.top}
        return [
            PageBoard(o, [row for row in o.rows if id(row) in told], self.anchor) for o in make_overviews(self.table)
        ]

    def anchor(self, row: Row) -> str:
        """Return the permanent address of a row within the page."""
        told = [self.table.title, row.key, row.name, row.backend, row.train]
        return f"row-{re.sub(r'[^0-9A-Za-z_-]', '-', row.key)}-{hash_key(told, 4)}"

    def details(self, test: str) -> tuple[Grid, list[str]]:
        """Return one test set's table, and the addresses of its rows."""
        return make_details(self.table, test), [self.anchor(row) for row in self.table.on(test)]

    @property
    def reported(self) -> Grid:
        """Published numbers next to the table's own."""
        return REPORTED_ALL, [format_reported(r) for r in match_published(self.table)]

    @property
    def citations(self) -> list[str]:
        """The sources of the published numbers."""
        return list_citations(match_published(self.table))

    def commands(self, row: Row) -> list[str]:
        """Return the commands that reproduce a row."""
        return narrow_commands(row)

    def facts(self, row: Row) -> list[Fact]:
        """Return how a row was made, and its rank."""
        standing = [
            ("rank", format_rank(self.table, row)),
            ("duels won", format_wins(self.table, row)),
            ("GFLOPs", format_cost(row)[1]),
        ]
        return [*row.protocol, *standing]

    def runs(self, row: Row) -> list[Run]:
        """Return a row's details, one item per test set."""
        found = [(test, row.results[test]) for test in self.table.tests if test in row.results]
        return [Run(row, test, (result.done or result.cards)[0]) for test, result in found]


@dataclass(frozen=True)
class Run:
    """A row's details on one test set: its first seed's scorecard in full, and why other seeds have none."""

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

    def charts(self) -> list[Figure | Picture]:
        """Return group rates, score histograms and calibration, if the scorecard has them."""
        return chart_run(self.scorecard, self.test)

    def mistakes(self) -> dict[str, list[WorstCase]]:
        """Return the worst mistakes."""
        return load_worst_cases(self.scorecard)
