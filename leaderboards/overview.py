"""The rows of a table that were trained on one set: what they share, and how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import AUC, GroupSummary, subtract_estimates
from .formats import count_groups
from .rows import Fact, Row, Table, list_targets


@dataclass(frozen=True)
class Overview:
    """The rows of a table that were trained on one set, the best first."""

    table: Table
    train: str

    @cached_property
    def rows(self) -> list[Row]:
        """The rows, in the table's order."""
        return [row for row in self.table.rows if row.train == self.train]

    @cached_property
    def targets(self) -> list[str]:
        """The test sets of the mean: all other ones with numbers, or the training set's own if there are none."""
        return list_targets(self.table.rows, self.train)

    @cached_property
    def tests(self) -> list[str]:
        """Every test set of the rows: those of the mean, those on which all failed, and the training set's own."""
        found = [t for t in self.table.tests if any(t in row.results for row in self.rows)]
        return sorted(found, key=lambda t: (t not in self.targets, t == self.train))

    @cached_property
    def varying(self) -> list[str]:
        """The names of the facts that differ between rows; each is a column of the table."""
        return [name for name, values in self._facts.items() if len(values) > 1]

    @cached_property
    def shared(self) -> list[Fact]:
        """What is the same for all rows, and is stated once above the table."""
        return [(name, next(iter(values))) for name, values in self._facts.items() if len(values) == 1]

    @cached_property
    def _facts(self) -> dict[str, set[str]]:
        made = [describe_making(row) for row in self.rows]
        return {name: {facts[name] for facts in made} for name in (made[0] if made else {})}

    @cached_property
    def ranked(self) -> list[Row]:
        """The rows that have a rank with an interval."""
        found = ((row, self.table.standings.get(row.key)) for row in self.rows)
        return [row for row, s in found if s and s.rank and s.rank.lo is not None]

    @cached_property
    def best(self) -> list[Row]:
        """The ranked rows that aren't significantly worse than the best."""
        return [row for row in self.ranked if self.table.standings[row.key].best]

    @cached_property
    def looked_at(self) -> list[Row]:
        """The rows to choose from: the best, or all that have numbers if there are no ranks."""
        return self.best or [row for row in self.rows if row.done]

    def videos_of(self, test: str) -> int | None:
        """Return the number of videos on a test set's official list, if all rows agree."""
        counts = {c.coverage.official for row in self.rows if test in row.results for c in row.results[test].done}
        return counts.pop() if len(counts) == 1 else None

    def drop(self, row: Row) -> Estimate | None:
        """Return video AUC on the training set's own test split minus the mean; None if either is missing.

        It is also None if seeds failed on some of the sets: the two means would then be over different seeds.
        """
        standing, tests = self.table.standings.get(row.key), {self.train, *self.targets}
        if not standing or self.train in self.targets or not tests <= row.results.keys():
            return None
        if any(row.results[test].lost for test in tests):
            return None
        return subtract_estimates(row.results[self.train].metrics[AUC], standing.mean)

    @cached_property
    def groups_test(self) -> str:
        """The test set whose groups are shown first: the one on which most groups count, in the largest cells.

        Of equal ones it is the first: results never decide. Empty if nobody is annotated.
        """
        known = {t: [g for row in self.rows if (g := self._groups(row, t))] for t in self.targets}
        weights = {t: max((_weigh_groups(g) for g in found), default=(0, 0)) for t, found in known.items() if found}
        return max(weights, key=weights.__getitem__) if weights else ""

    @cached_property
    def groups_counted(self) -> str:
        """How many groups were compared, `8 of 8 groups`, if that is the same for all rows."""
        found = {count_groups(g) for row in self.rows if (g := self.groups_of(row)) and g.worst}
        return found.pop() if len(found) == 1 else ""

    def groups_of(self, row: Row) -> GroupSummary | None:
        """Return a row's worst group and gap on `groups_test`."""
        return self._groups(row, self.groups_test)

    @staticmethod
    def _groups(row: Row, test: str) -> GroupSummary | None:
        result = row.results.get(test)
        return result.groups if result and result.done else None


def make_overviews(table: Table) -> list[Overview]:
    """Group the rows by their training set."""
    return [Overview(table, train) for train in dict.fromkeys(row.train for row in table.rows)]


def label_row(row: Row, rows: Iterable[Row]) -> str:
    """Return a row's name, with as much detail as distinguishes it from the others."""
    others = [other for other in rows if other.name == row.name and other is not row]
    if not others:
        return row.name
    parts = [row.name, *([row.train] if any(r.train != row.train for r in others) else [])]
    parts += [row.backend] if any(r.backend != row.backend for r in others) else []
    alike = any((r.train, r.backend) == (row.train, row.backend) for r in others)
    return " ".join([*parts, *([row.key[:6]] if alike else [])])


def label_rows(rows: Sequence[Row]) -> list[str]:
    """Return the label that `label_row` gives each row."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(row.name, []).append(row)
    return [label_row(row, alike[row.name]) for row in rows]


def describe_making(row: Row) -> dict[str, str]:
    """Return the facts about how a row was made that may differ between compared rows."""
    return {"backend": row.backend, "seeds": ", ".join(map(str, row.seeds)), "selected on": row.cell.selection}


def _weigh_groups(groups: GroupSummary) -> tuple[int, int]:
    return groups.qualified, groups.worst.n if groups.worst else 0
