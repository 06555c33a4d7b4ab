"""The board's content: tables of rows. A row is one detector trained on one set, its seeds pooled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isclose

from ..benchmark.core.cell_description import CellDescription
from ..benchmark.core.errors import BenchError, make_unknown_error
from ..benchmark.core.provenance import Provenance
from ..benchmark.core.scorecard import Card, Failure, ScoreCard
from ..benchmark.core.speeds import Condition, Speed
from ..benchmark.core.types import Estimate
from ..benchmark.stages.cell_scores import read_scores
from ..benchmark.stages.pooled_seeds import read_pooled
from ..benchmark.stats.ranks import Column, Standing, average_counted, find_standings, mark_best, measure_columns
from ..benchmark.stats.seed_pooling import (
    AUC,
    GroupSummary,
    PooledMetrics,
    subtract_estimates,
    summarise_groups,
)
from ..benchmark.stats.unscored import Bounds, bound_by_coverage
from ..benchmark.stats.video_scores import VideoScores
from ..datasets.base import strip_part
from .protocols import format_source, format_training_videos, make_row_key, sort_by_protocol
from .speeds import Speeds, list_conditions, match_speeds

Fact = tuple[str, object]
"""Facts about a row, by name."""


@dataclass(frozen=True)
class Result:
    """One row on one test set: a card per seed, and their pooled metrics."""

    cards: list[Card]
    pooled: PooledMetrics

    @property
    def metrics(self) -> dict[str, Estimate]:
        """The metrics, seeds pooled."""
        return self.pooled.metrics

    @property
    def status(self) -> str:
        """`done` if any seed is; otherwise `failed` or `skipped`."""
        found = {c.status for c in self.cards}
        return next(s for s in ("done", "failed", "skipped") if s in found)

    @property
    def done(self) -> list[ScoreCard]:
        """The cards that hold numbers."""
        return [c for c in self.cards if isinstance(c, ScoreCard)]

    @property
    def lost(self) -> list[Failure]:
        """The cards without numbers: their seeds failed or were skipped."""
        return [c for c in self.cards if isinstance(c, Failure)]

    @property
    def seeds(self) -> set[int]:
        """The seeds that have numbers."""
        return {c.cell.seed for c in self.done}

    def auc_of(self, seeds: set[int]) -> Estimate | None:
        """Return video AUC over some of the seeds that have numbers; None without any."""
        kept = [c for c in self.done if c.cell.seed in seeds]
        return (self.pooled if len(kept) == len(self.done) else read_pooled(kept)).metrics.get(AUC)

    @property
    def contaminated(self) -> int:
        """How many of the test videos a seed was trained on, if known."""
        return max((c.cell.contaminated or 0 for c in self.done), default=0)

    @cached_property
    def groups(self) -> GroupSummary | None:
        """The worst group and the gap: of the intersection, or of gender or race alone if its groups are too small."""
        return summarise_groups(self.pooled)


@dataclass(frozen=True)
class Row:
    """One detector trained on one set; `speeds` were measured separately."""

    key: str
    name: str
    backend: str
    train: str
    seeds: tuple[int, ...]
    results: dict[str, Result]
    speeds: Speeds = field(default_factory=dict)

    @cached_property
    def cards(self) -> list[Card]:
        """Every card of the row."""
        return [card for result in self.results.values() for card in result.cards]

    @property
    def done(self) -> list[ScoreCard]:
        """Those that hold numbers."""
        return [card for result in self.results.values() for card in result.done]

    @property
    def cell(self) -> CellDescription:
        """How the row was made, by its first card."""
        return self.cards[0].cell

    @property
    def params(self) -> int | None:
        """The number of trained parameters, the same on every test set."""
        return next((c.params for c in self.done if c.params), None)

    @property
    def flops(self) -> int | None:
        """Floating-point operations per image, the same on every test set."""
        return next((c.flops for c in self.done if c.flops), None)

    @property
    def commands(self) -> list[str]:
        """The commands that reproduce the row."""
        found = (c.provenance.command for c in self.cards if c.provenance)
        return list(dict.fromkeys(c for c in found if c))

    @property
    def protocol(self) -> list[Fact]:
        """How the row was made."""
        cell = self.cell
        return [
            ("detector", self.name),
            ("trained on", self.train),
            ("training videos", format_training_videos(cell)),
            ("threshold from", format_source(cell)),
            ("seeds", ", ".join(map(str, self.seeds))),
            ("weights", cell.weights),
            ("selection", cell.selection),
            ("frames", cell.frames),
            ("limit", cell.limit),
            ("world", cell.world),
            ("protocol", cell.protocol),
            ("options", ", ".join(f"{k} {v}" for k, v in cell.options.items())),
            ("row", self.key),
            ("runs", ", ".join(dict.fromkeys(c.cell.train_key for c in self.cards))),
        ]

    @property
    def environment(self) -> list[Fact]:
        """Where the first card was made; none of this should change a number."""
        known = next((c.provenance for c in self.cards if c.provenance), Provenance(command=""))
        edited = " (edited)" if known.commit.dirty else ""
        found = [("commit", f"{known.commit.id[:10]}{edited}")] if known.commit.id else []
        found += [(name, value) for name, value in (("time", known.time), ("python", known.python)) if value]
        return [*found, *known.machine.items(), *known.packages.items()]

    def drop(self, test: str) -> Estimate | None:
        """Return how much video AUC is lost against the test split of the training set, with its interval."""
        return self._drops.get(test)

    @cached_property
    def _drops(self) -> dict[str, Estimate | None]:
        """The drop on each other test set, over the seeds that have both numbers: a seed may have failed on one."""
        home, found = self.results.get(self.train), {}
        for test, away in self.results.items():
            if home and away is not home and (both := home.seeds & away.seeds):
                found[test] = subtract_estimates(home.auc_of(both), away.auc_of(both))
        return found


@dataclass(frozen=True)
class Table:
    """Rows made under one protocol, the best on the mean of all test sets first.

    `best` holds (row key, test) of rows that aren't significantly worse than a test set's best, `standings` the ranks
    over all test sets but a row's own, by row key, `bounds` by (row key, test) the AUC over all videos, scored or not.
    """

    title: str
    tests: list[str]
    rows: list[Row]
    best: frozenset[tuple[str, str]] = frozenset()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    bounds: Mapping[tuple[str, str], Bounds] = field(default_factory=dict)

    @property
    def is_synthetic(self) -> bool:
        """Whether any of its rows were trained or tested on the demo world."""
        return self.title.startswith("demo ")

    @property
    def heading(self) -> str:
        """The title, marked if the data is synthetic."""
        return f"Synthetic: {self.title}" if self.is_synthetic else self.title

    @property
    def conditions(self) -> list[Condition]:
        """The devices, precisions and threads that speeds were measured with, the most common first."""
        return list_conditions(row.speeds for row in self.rows)

    def on(self, test: str) -> list[Row]:
        """Return the rows that have a result or a failure on a test set."""
        return [row for row in self.rows if test in row.results]

    def strength(self, row: Row) -> float | None:
        """Return a row's mean video AUC on all sets but its own; None if it lacks a number that other rows have."""
        found = self.standings.get(row.key)
        return found.mean.value if found else None


def make_tables(cards: Iterable[Card], speeds: Sequence[Speed] = ()) -> list[Table]:
    """Return a table for each protocol, real ones first: worlds, frame counts, limits and methods never mix."""
    members = sort_by_protocol(cards)
    titles = sorted(members, key=lambda t: (not t.startswith("real"), t))
    return [_make_table(title, members[title], speeds) for title in titles]


def _make_table(title: str, cards: list[Card], speeds: Sequence[Speed]) -> Table:
    found: dict[tuple[str, str, str, str], dict[str, list[Card]]] = defaultdict(lambda: defaultdict(list))
    for card in cards:
        found[make_row_key(card)][card.cell.test].append(card)
    rows = [_add_speeds(_make_row(*key, by_test), speeds) for key, by_test in found.items()]
    trains = {row.train for row in rows}
    tests = sorted({t for row in rows for t in row.results}, key=lambda t: (t not in trains, t))
    columns = measure_columns({t: [_read_scores(row.results.get(t)) for row in rows] for t in tests})
    bounds = _bound_results(rows, columns)
    standings = {row.key: s for train in trains for row, s in _find_standings(rows, train, columns, bounds)}
    marks = {(rows[i].key, t) for i, t in mark_best(list(columns.values()))}
    means = {key: standing.mean.value or 0.0 for key, standing in standings.items()}
    rows.sort(key=lambda r: (r.train, -means.get(r.key, 0.0), r.name, r.backend, r.key))
    return Table(title, tests, rows, frozenset(marks), standings, bounds)


def _read_scores(result: Result | None) -> list[VideoScores]:
    """Read the videos' scores of all seeds; none for rows that can't be compared.

    Those are too small for an interval, lack predictions, or were trained on some of the videos.
    """
    if result is None or not result.done or result.contaminated or any(c.video.auc.lo is None for c in result.done):
        return []
    return read_scores(result.done)


def _bound_results(rows: Sequence[Row], columns: Mapping[str, Column]) -> dict[tuple[str, str], Bounds]:
    """Return the AUC over all videos for every result; estimated from the scored share if predictions are missing."""
    found = {}
    for row in rows:
        for test, result in row.results.items():
            value = result.metrics[AUC].value if result.done else None
            if value is not None:
                shares = [c.coverage.scored / max(c.coverage.official, c.coverage.scored, 1) for c in result.done]
                found[row.key, test] = bound_by_coverage(value, min(shares))
    return found | {(rows[i].key, t): b for t, c in columns.items() for i, b in zip(c.rows, c.bounds, strict=True)}


def list_targets(rows: Iterable[Row], train: str) -> list[str]:
    """Return the test sets of all rows trained on `train`, without `train` itself if there are others.

    Other parts of the same dataset count as `train` itself: `ff++:c23:4m` isn't unseen for `ff++:c23`.
    """
    measured = sorted({t for row in rows if row.train == train for t, result in row.results.items() if result.done})
    return [t for t in measured if strip_part(t) != strip_part(train)] or measured


def _find_standings(
    rows: Sequence[Row],
    train: str,
    columns: Mapping[str, Column],
    bounds: Mapping[tuple[str, str], Bounds],
) -> list[tuple[Row, Standing]]:
    """Rank the rows trained on one set over the test sets that any of them has, without the training set.

    A row that lacks one of the test sets, or was trained on some of it, has no rank; see `list_targets`.
    """
    own = [(i, row) for i, row in enumerate(rows) if row.train == train]
    tests = list_targets([row for _, row in own], train)
    whole = [(i, row) for i, row in own if tests and all((row.key, t) in bounds for t in tests)]
    whole = [(i, row) for i, row in whole if not any(row.results[t].contaminated for t in tests)]
    compared = [columns[t] for t in tests] if columns.keys() >= {*tests} else []
    found = find_standings(compared, [i for i, _ in whole])
    standings = [
        found.get(i) or average_counted([bounds[row.key, t] for t in tests], _explain_lack(row, i, tests, columns))
        for i, row in whole
    ]
    return [(row, _show_one_interval(row, tests, one)) for (_, row), one in zip(whole, standings, strict=True)]


def _explain_lack(row: Row, number: int, tests: Sequence[str], columns: Mapping[str, Column]) -> str:
    """Say on which test sets a row can't be compared: it has no interval there, or its predictions are missing."""
    if few := [t for t in tests if any(c.video.auc.lo is None for c in row.results[t].done)]:
        return f"too few videos of {', '.join(few)}"
    lost = [t for t in tests if t not in columns or number not in columns[t].rows]
    return f"no predictions on {', '.join(lost)}"


def _show_one_interval(row: Row, tests: Sequence[str], standing: Standing) -> Standing:
    """Give the mean over a single test set the interval that the same number has there, unless videos were missed."""
    auc = row.results[tests[0]].metrics[AUC]
    same = len(tests) == 1 and auc.value is not None and isclose(auc.value, standing.mean.value or 0)
    return standing._replace(mean=auc) if same else standing


def _make_row(key: str, name: str, backend: str, train: str, by_test: dict[str, list[Card]]) -> Row:
    seeds = sorted({c.cell.seed for cards in by_test.values() for c in cards})
    return Row(key, name, backend, train, tuple(seeds), {t: _make_result(cards) for t, cards in by_test.items()})


def _add_speeds(row: Row, speeds: Sequence[Speed]) -> Row:
    return replace(row, speeds=match_speeds(row.cell, row.params, speeds)) if speeds else row


def _make_result(cards: list[Card]) -> Result:
    cards = sorted(cards, key=lambda c: c.cell.seed)
    return Result(cards, read_pooled([c for c in cards if isinstance(c, ScoreCard)]))


def find_row(cards: Iterable[Card], key: str) -> tuple[Table, Row]:
    """Return the row whose key, or one of whose training keys, begins with `key`, and its table.

    Raises:
        BenchError: none does, or several do.
    """
    rows: dict[tuple[str, ...], list[Card]] = defaultdict(list)
    for title, members in sort_by_protocol(cards).items():
        for card in members:
            rows[(title, *make_row_key(card))].append(card)
    found = [row for row, members in rows.items() if any(k.startswith(key) for c in members for k in _keys(c))]
    if len(found) == 1:
        (table,) = make_tables(rows[found[0]])  # This row alone: the statistics of the others take time.
        return table, table.rows[0]
    if not found:
        raise make_unknown_error(f"no row '{key}'", key, [row[1] for row in rows], f"Rows: {_list_rows(rows)}")
    raise BenchError(f"'{key}' is the start of several rows: {_list_rows(found)}. Give one in full")


def _keys(card: Card) -> tuple[str, str]:
    return card.cell.recipe_key, card.cell.train_key


def _list_rows(rows: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(f"{key} ({name} on {train})" for _, key, name, _, train in rows) or "none"
