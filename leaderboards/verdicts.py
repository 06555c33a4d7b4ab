"""Which row is the best over all test sets, or may be, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..benchmark.stats.unscored import MIN_COVERAGE
from .rows import Row, Table, list_targets


def make_verdicts(table: Table) -> list[str]:
    """Say of each training set with several rows which is the best, or which may be, or why there are no ranks."""
    trains = dict.fromkeys(row.train for row in table.rows)
    return [said for train in trains if (said := _make_verdict(table, train))]


def _make_verdict(table: Table, train: str) -> str:
    rows = [row for row in table.rows if row.train == train and row.done]
    if len(rows) < 2:
        return ""
    ranked = {
        row.key: row
        for row in rows
        if (found := table.standings.get(row.key)) and found.rank and found.rank.lo is not None
    }
    targets = _join(list_targets(table.rows, train))
    if len(ranked) < 2:
        return f"Trained on {train}: no ranks, as fewer than two rows can be compared on all of {targets}."
    names = {key: _name_row(row, ranked.values()) for key, row in ranked.items()}
    partial = [key for key in ranked if table.standings[key].coverage < MIN_COVERAGE]
    best = [key for key in ranked if table.standings[key].best]
    verdict = _compare_names([names[k] for k in best], len(ranked) - len(best) - len(partial))
    left_out = [f" Not in question, with less than 98 % of the videos: {', '.join(names[k] for k in partial)}."]
    said = f"Trained on {train}, by the mean AUC on {targets}: {verdict}."
    return "".join([said, *(left_out if partial else [])])


def _compare_names(best: Sequence[str], others: int) -> str:
    if not best:
        return "there is no best"
    if not others:
        return f"{best[0]} alone counts" if len(best) == 1 else f"none of {_join(best)} is surely better than another"
    worse = "the other row is worse" if others == 1 else f"the other {others} are worse"
    return f"{best[0]} is the best, {worse}" if len(best) == 1 else f"{_join(best)} can't be told apart, {worse}"


def _name_row(row: Row, ranked: Iterable[Row]) -> str:
    alone = sum(other.name == row.name for other in ranked) == 1
    return row.name if alone else f"{row.name} ({row.key[:6]})"


def _join(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
