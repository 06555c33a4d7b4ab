"""Whether a row made again gives the numbers that were recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..benchmark.core.scorecard import Card
from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import AUC
from .rows import Row, make_tables

ROUNDING = 1e-9


class Comparison(NamedTuple):
    """Video AUC on one test set as it was `recorded`, and made `again` (None: it failed)."""

    test: str
    recorded: Estimate
    again: Estimate | None

    @property
    def difference(self) -> float | None:
        """The new value less the recorded one; None where either is missing."""
        if not self.again or self.again.value is None or self.recorded.value is None:
            return None
        return self.again.value - self.recorded.value

    @property
    def inside(self) -> bool:
        """Whether the new value lies in the recorded interval, or equals the value where there was none."""
        if not self.again or self.again.value is None or self.recorded.value is None:
            return False
        lo, hi = (self.recorded.value if end is None else end for end in (self.recorded.lo, self.recorded.hi))
        return lo - ROUNDING <= self.again.value <= hi + ROUNDING


def compare_with_recorded(row: Row, test: str, cards: Iterable[Card], title: str) -> Comparison:
    """Compare a recorded row on one test set with the scorecards of the row made again, in the table of that title."""
    rows = [r for table in make_tables(cards) if table.title == title for r in table.rows]
    done = [r.results[test] for r in rows if test in r.results and r.results[test].done]
    return Comparison(test, row.results[test].metrics[AUC], done[0].metrics[AUC] if done else None)
