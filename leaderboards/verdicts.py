"""A board's verdict in words: which row to choose, how far to trust it, for whom it fails, how fast it is.

Each sentence is made from the numbers in the tables, and says so if the interval leaves the question open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..benchmark.core.cell_description import NOT_KNOWN
from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import GroupSummary
from ..benchmark.stats.unscored import MIN_COVERAGE
from .formats import count_groups, format_digits, format_estimate, format_range
from .overview import Overview, label_row, make_overviews
from .rows import Row, Table

SOURCE_FPR = "video.fpr_at_source_fpr5"
MOST_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """The answers to the four questions that readers bring to a board, summed up in a `headline`."""

    train: str
    headline: str
    choose: str
    trust: str
    fails_for: str
    speed: str


def make_verdicts(table: Table) -> list[Verdict]:
    """Return a verdict for each training set whose rows have numbers."""
    return [make_verdict(overview) for overview in make_overviews(table) if overview.looked_at]


def make_verdict(overview: Overview) -> Verdict:
    """Sum up the numbers of some rows; at least one row must have some."""
    return Verdict(
        overview.train,
        _write_headline(overview),
        _say_which(overview),
        _say_trust(overview),
        _say_whom(overview),
        _say_speed(overview),
    )


def _write_headline(o: Overview) -> str:
    if len(o.ranked) < 2:
        return f"{_name(o, o.looked_at[0])} is the only row" if len(o.looked_at) == 1 else "No ranks"
    best, count = o.best, len(o.ranked)
    if not best:
        return "No row has scored enough videos to be called the best"
    if len(best) == 1:
        return f"{_name(o, best[0])} is the best of {count}"
    if len(best) > MOST_NAMED:
        return f"No detector stands out: {len(best)} of {count} don't differ significantly from the best"
    named = _join([_name(o, row) for row in best])
    return f"{named} don't differ significantly" if len(best) == count else f"{named} tie for first"


def _say_which(o: Overview) -> str:
    where = _join(o.targets)
    if len(o.ranked) < 2 and len(o.looked_at) > 1:
        return f"No ranks: fewer than two rows can be compared on all of {where}."
    first, *others = o.best or o.looked_at
    standing = o.table.standings.get(first.key)
    if standing is None:
        return f"It has no mean AUC: it lacks a result on some of {where}, or was trained on some of the videos."
    unseen = ", its own training set" if o.targets == [o.train] else ", which it wasn't trained on"
    seen = "" if o.train == NOT_KNOWN else unseen
    said = f"{_name(o, first)} has a mean AUC of {format_estimate(standing.mean)} on {where}{seen}"
    named = [f"{_name(o, row)} {_read_mean(o, row):.3f}" for row in others[: MOST_NAMED - 1]]
    return " ".join([f"{'; '.join([said, *named])}.", *_compare(o)])


def _compare(o: Overview) -> list[str]:
    """Say what the ranks show about the rows that aren't named, and about those that scored too few videos."""
    if len(o.ranked) < 2:
        return []
    partial = [row for row in o.ranked if o.table.standings[row.key].coverage < MIN_COVERAGE]
    worse = len(o.ranked) - len(o.best) - len([row for row in partial if row not in o.best])
    which = f"{'These' if len(o.best) <= MOST_NAMED else 'The best'} {len(o.best)}"
    said = [f"{which} don't differ significantly."] if len(o.best) > 1 else []
    said += [f"The other {'row is' if worse == 1 else f'{worse} are'} worse."] if worse else []
    left_out = ", ".join(_name(o, row) for row in partial)
    return [*said, *([f"Not considered (less than 98 % of the videos scored): {left_out}."] if partial else [])]


def _read_mean(o: Overview, row: Row) -> float:
    return o.table.standings[row.key].mean.value or 0.0


def _say_trust(o: Overview) -> str:
    return " ".join(filter(None, [_say_drop(o), _say_threshold(o)]))


def _say_drop(o: Overview) -> str:
    if o.train == NOT_KNOWN:
        return "The training data isn't known, so there is no drop to compare with."
    if o.targets == [o.train]:
        return f"Tests on {o.train} alone say nothing about other datasets."
    drops = [e for row in o.looked_at for t in o.targets if (e := row.drop(t)) and e.value is not None]
    if not drops:
        return f"The drop away from {o.train} isn't known."
    shown = format_range([e.value for e in drops if e.value is not None])
    sure = sum(e.lo is not None and e.lo > 0 for e in drops)
    if not sure:
        return f"Away from {o.train}, AUC doesn't fall significantly ({shown})."
    extent = "" if sure == len(drops) else f"; {sure} of {len(drops)} drops {'is' if sure == 1 else 'are'} significant"
    return f"Away from {o.train}, AUC falls by {shown}{extent}."


def _say_threshold(o: Overview) -> str:
    """Say on which test set a threshold fixed on the source flags the most reals, and how many."""
    found = {t: [e for row in o.looked_at if (e := find_source_rate(row, t))] for t in o.targets}
    means = {t: sum(e.value or 0.0 for e in rates) / len(rates) for t, rates in found.items() if rates}
    if not means or o.targets == [o.train]:
        return ""
    worst = max(means, key=means.__getitem__)
    rates, source = found[worst], o.looked_at[0].cell.source or o.train
    flagged = format_range((100 * e.value for e in rates if e.value is not None), ".0f")
    sure = all(e.lo is not None and e.lo > 0.05 for e in rates)
    open_end = "" if sure else "; with this few videos the true rate may still be 5 %"
    return f"The threshold that flags 5 % of {source}'s real videos flags {flagged} % of {worst}'s{open_end}."


def find_source_rate(row: Row, test: str) -> Estimate | None:
    """Return the share of a test set's real videos flagged at the threshold that flags 5 % of the source's."""
    result = row.results.get(test)
    found = result.metrics.get(SOURCE_FPR) if result and result.done else None
    return found if found and found.value is not None else None


def _say_whom(o: Overview) -> str:
    annotated = [g for row in o.looked_at if (g := o.groups_of(row))]
    worst = [g for g in annotated if g.worst]
    if not annotated:
        return "Gender and race aren't annotated."
    if not worst:
        few = f"fewer than two (of {annotated[0].groups}) have enough videos on {o.groups_test}"
        return f"Groups can't be compared: {few}."
    (group, times), *_ = Counter(g.group for g in worst).most_common()
    values = [g.worst.value for g in worst if g.worst and g.worst.value is not None and g.group == group]
    of_rows = f"{times} of {len(worst)}" if times < len(worst) else "both" if times == 2 else f"all {times}"
    rows = "" if len(worst) == 1 else f" in {of_rows} rows"
    found = f"{format_range(values)}; {count_groups(worst[0])} count"
    return f"The group {group} has the lowest AUC on {o.groups_test}{rows} ({found}). {_hedge_gaps(worst)}".rstrip()


def _hedge_gaps(found: Sequence[GroupSummary]) -> str:
    """Say whether the gaps between groups are significant; nothing if none was measured."""
    gaps = [g.gap for g in found if g.gap and g.gap.value is not None]
    if not gaps:
        return ""
    sure = sum(e.lo is not None and e.lo > 0 for e in gaps)
    if sure == len(gaps):
        return "The gap between groups is significant."
    if sure:
        return f"The gap between groups is significant in {sure} of {len(gaps)} rows."
    return f"With {min(e.n for e in gaps)} videos in the smallest cell, the gap may be chance."


def _say_speed(o: Overview) -> str:
    """Name the fastest row under the condition that most rows were measured under, compared with the first one."""
    condition = next((c for c in o.table.conditions if any(c in row.speeds for row in o.looked_at)), None)
    if condition is None:
        return "Speed wasn't measured. To measure it: bench speed."
    first, measured = o.looked_at[0], [(row, row.speeds[condition]) for row in o.looked_at if condition in row.speeds]
    fastest, speed = max(measured, key=lambda pair: pair[1].best.value)
    said = f"{_name(o, fastest)}: {format_digits(speed.best.value)} images per second"
    if fastest is not first and condition in first.speeds:
        said += f", {speed.best.value / first.speeds[condition].best.value:.1f} times as many as {_name(o, first)}"
    slowed = "it" if len(measured) == 1 else "some of them"
    busy = f" Other work slowed {slowed} down." if any(s.is_disturbed for _, s in measured) else ""
    return f"{said} ({condition.describe()}).{busy}"


def _name(o: Overview, row: Row) -> str:
    return label_row(row, o.rows)


def _join(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
