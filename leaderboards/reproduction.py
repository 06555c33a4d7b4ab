"""Whether a reproduced row gives the recorded numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..benchmark.core.scorecard import Card, ScoreCard
from ..benchmark.core.types import Estimate
from ..benchmark.stages.cell_scores import read_scores
from ..benchmark.stats.metrics import auc
from ..benchmark.stats.repeats import DIFFERENT, IDENTICAL, Repeat, compare_repeats
from ..benchmark.stats.seed_pooling import AUC
from .rows import Result, Row, make_tables

ROUNDING = 1e-6


class Comparison(NamedTuple):
    """Video AUC on one test set as `recorded` and from running it `again`, and their comparison (None: it failed)."""

    test: str
    recorded: Estimate
    again: Estimate | None
    repeat: Repeat | None

    @property
    def difference(self) -> float | None:
        """The new value minus the recorded one; None if either is missing."""
        if not self.again or self.again.value is None or self.recorded.value is None:
            return None
        return self.again.value - self.recorded.value

    @property
    def verdict(self) -> str:
        """`identical`, `same within noise`, `different` or `failed`."""
        return self.repeat.verdict if self.repeat else "failed"

    @property
    def same(self) -> bool:
        """Whether it is identical, or the same within noise."""
        return self.repeat is not None and self.repeat.verdict != DIFFERENT


def compare_with_recorded(row: Row, test: str, cards: Iterable[Card], title: str) -> Comparison:
    """Compare a recorded row on one test set with the scorecards of its new run, in the table of that title."""
    rows = [r for table in make_tables(cards) if table.title == title for r in table.rows]
    found = [r.results[test] for r in rows if test in r.results and r.results[test].done]
    before = row.results[test]
    if not found or found[0].seeds != before.seeds:
        return Comparison(test, before.metrics[AUC], None, None)
    again = found[0].metrics[AUC]
    tests = sum(bool(result.done) for result in row.results.values())
    trained = row.cell.weights == "trained here"
    return Comparison(test, before.metrics[AUC], again, _compare_results(before, found[0], trained, tests))


def _compare_results(before: Result, again: Result, trained: bool, tests: int) -> Repeat:
    recorded, made = read_scores(before.done), read_scores(again.done)
    if recorded and any(_is_other(c, float(auc(s.label, s.score))) for c, s in zip(before.done, recorded, strict=True)):
        return _judge_values(before, again, "the recorded AUC isn't what its predictions give")
    if not recorded or not made:
        return _judge_values(before, again, "the recorded predictions are missing: only equal numbers count")
    return compare_repeats(recorded, made, trained, tests)


def _is_other(card: ScoreCard, value: float) -> bool:
    told = card.video.auc.value
    return told is not None and abs(told - value) > ROUNDING


def _judge_values(before: Result, again: Result, note: str) -> Repeat:
    values = [result.metrics[AUC].value for result in (before, again)]
    known = [value for value in values if value is not None]
    difference = known[1] - known[0] if len(known) == 2 else 0.0
    equal = values[0] == values[1] or (len(known) == 2 and abs(difference) <= ROUNDING)
    return Repeat(IDENTICAL if equal else DIFFERENT, difference, 0.0, 0, note)
