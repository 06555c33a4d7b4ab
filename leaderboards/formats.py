"""How numbers are written everywhere: with their interval and n, or the reason why they have none."""

from __future__ import annotations

from collections.abc import Iterable

from ..benchmark.core.scorecard import Coverage
from ..benchmark.core.speeds import Speed
from ..benchmark.core.types import Estimate
from ..benchmark.stats.attributes import INTERSECTION
from ..benchmark.stats.prevalence import count_flagged
from ..benchmark.stats.seed_pooling import AUC, GroupSummary
from ..benchmark.stats.unscored import Bounds
from .protocols import mark_contaminated
from .rows import Result, Row, Table

FAILED, SKIPPED, NOT_RUN, UNKNOWN = "ERR", "skipped", "", "unknown"
MARK = " ¹"


def format_flagged(precision: Estimate) -> str:
    """Write how many of 1,000 flagged videos are fake: `83 [41, 190]`."""
    found = count_flagged(precision)
    if found is None and precision.value is not None:
        return f"{1000 * precision.value:.0f} ({_find_reason(precision)})"
    return f"{found.value} [{found.lo}, {found.hi}]" if found else format_estimate(precision)


def format_auc(table: Table, row: Row, test: str) -> str:
    """Write a cell of the matrix: AUC with its interval and mark, or why there is none."""
    result = row.results.get(test)
    if result is None or result.status != "done":
        return format_missing(result)
    lost = f" ({len(result.done)} of {len(result.cards)} seeds)" if len(result.done) < len(result.cards) else ""
    shared = "".join(sorted({mark for card in result.done if (mark := mark_contaminated(card))})[-1:])
    return format_estimate(result.metrics[AUC]) + (MARK if (row.key, test) in table.best else "") + lost + shared


def format_missing(result: Result | None) -> str:
    """Say why there is no number: it failed, was skipped, or wasn't run."""
    return {"failed": FAILED, "skipped": SKIPPED}[result.status] if result else NOT_RUN


def format_speed(speed: Speed | None) -> str:
    """Write images per second: `34`, `34 (openvino)` for another runtime, `34 (busy)` if other work slowed it."""
    if speed is None:
        return UNKNOWN
    remarks = [speed.runtime] if speed.backend not in (speed.runtime, "any") else []
    remarks += ["busy"] if speed.is_disturbed else []
    return format_digits(speed.best.value) + (f" ({', '.join(remarks)})" if remarks else "")


def format_digits(value: float) -> str:
    """Write a number with three significant digits: `2480`, `34.2`, `0.00751`."""
    return f"{float(f'{value:.3g}'):.12g}"


def format_cost(row: Row) -> list[str]:
    """Write millions of parameters, and GFLOPs per image."""
    return [
        f"{row.params / 1e6:.2f}" if row.params else UNKNOWN,
        f"{row.flops / 1e9:.3g}" if row.flops else UNKNOWN,
    ]


NO_INTERVAL = "no interval"


def format_estimate(e: Estimate | None) -> str:
    """Write `0.931 [0.890, 0.965]`, or why it has no interval: `0.500 (too few videos for an interval)`.

    It gets more digits if three would make both ends look equal.
    """
    if e is None or e.value is None:
        return (e and e.note) or "undefined"
    if e.lo is None or e.hi is None or e.lo == e.hi:
        return f"{e.value:.3f} ({_find_reason(e)})"
    digits = next((d for d in range(3, 9) if f"{e.lo:.{d}f}" != f"{e.hi:.{d}f}"), 9)
    return f"{e.value:.{digits}f} [{e.lo:.{digits}f}, {e.hi:.{digits}f}]"


def _find_reason(e: Estimate) -> str:
    """Return the part of a note that concerns the interval; the others concern the groups."""
    return next((part for part in e.note.split("; ") if "interval" in part), NO_INTERVAL)


def format_gap(groups: GroupSummary | None) -> str:
    """Write `0.120 [0.04, 0.31] (n 9)`; n is the smallest cell: without it, a gap means nothing."""
    if groups is None or groups.gap is None or groups.gap.value is None:
        return format_too_few(groups)
    alone = "" if groups.attribute == INTERSECTION else f"; {groups.attribute} alone"
    return f"{format_estimate(groups.gap)} (n {groups.gap.n}{alone})"


def format_worst_group(groups: GroupSummary | None, counted: bool = True) -> str:
    """Write `female-asian 0.81 [0.70, 0.93] (n 24; 3 of 8 groups)`, the number of groups only if `counted`."""
    if groups is None or groups.worst is None:
        return format_too_few(groups)
    of = f"; {count_groups(groups)}" if counted else ""
    return f"{groups.group} {format_estimate(groups.worst)} (n {groups.worst.n}{of})"


def format_too_few(groups: GroupSummary | None) -> str:
    """Say why there is no worst group and no gap."""
    return f"too few ({count_groups(groups)})" if groups else "not annotated"


def count_groups(groups: GroupSummary) -> str:
    """Say how many groups were compared, and of which attribute if it isn't the intersection."""
    alone = "" if groups.attribute == INTERSECTION else f" of {groups.attribute} alone"
    return f"{groups.qualified} of {groups.groups} groups{alone}"


def format_partial(result: Result | None, bounds: Bounds | None) -> str:
    """Write ` (517/518 scored)` if any requested videos are missing; nothing if none are."""
    if result is None or not result.done:
        return ""
    lowest = min((c.coverage for c in result.done), key=lambda c: c.scored)
    partial = lowest.scored < lowest.official or result.done[0].cell.excluded
    return f" (scored: {format_coverage(result, bounds)})" if partial else ""


def format_coverage(result: Result, bounds: Bounds | None) -> str:
    """Write `517/518, 3 with several people`, and the bounds of the AUC over all videos; the lowest if seeds differ."""
    lowest = min((c.coverage for c in result.done), key=lambda c: c.scored)
    excluded = f", {n} excluded on request" if (n := len(result.done[0].cell.excluded)) else ""
    partial = bounds is not None and bounds.worst < bounds.best
    within = f", AUC of all {bounds.worst:.3f} to {bounds.best:.3f}" if partial and bounds else ""
    return f"{format_scored(lowest)}{excluded}{within}"


def format_scored(coverage: Coverage) -> str:
    """Write `517/518, 3 with several people`."""
    several = f", {coverage.several_people} with several people" if coverage.several_people else ""
    return f"{coverage.scored}/{coverage.official}{several}"


def format_mean(table: Table, row: Row) -> str:
    """Write the mean AUC, marked if it isn't significantly worse than the best: `0.931 [0.890, 0.965] ¹`."""
    found = table.standings.get(row.key)
    return format_estimate(found.mean) + (MARK if found.best else "") if found else NOT_RUN


def format_rank(table: Table, row: Row) -> str:
    """Write `2 [1, 4]`, or nothing if the row has no rank."""
    rank = found.rank if (found := table.standings.get(row.key)) else None
    return "" if rank is None or rank.lo is None else f"{rank.value:.0f} [{rank.lo:.0f}, {rank.hi:.0f}]"


def format_wins(table: Table, row: Row) -> str:
    """Write the share of duels that a row wins: `0.75 [0.50, 1.00]`; nothing if it has no rank."""
    wins = found.wins if (found := table.standings.get(row.key)) else None
    return "" if wins is None or wins.lo is None else f"{wins.value:.2f} [{wins.lo:.2f}, {wins.hi:.2f}]"


def format_range(values: Iterable[float], form: str = ".2f") -> str:
    """Write `0.14 to 0.31`, or one number if both ends look the same."""
    found = sorted(values)
    low, high = f"{found[0]:{form}}", f"{found[-1]:{form}}"
    return low if low == high else f"{low} to {high}"
