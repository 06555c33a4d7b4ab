"""The board as markdown, and how numbers are written wherever they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tabulate import tabulate

from ..benchmark.core.scorecard import Coverage, Failure
from ..benchmark.core.speeds import Condition, Speed
from ..benchmark.core.types import Estimate
from ..benchmark.stats.attributes import INTERSECTION
from ..benchmark.stats.prevalence import count_flagged
from ..benchmark.stats.seed_pooling import AUC, FRAME_AUC, GroupSummary
from ..benchmark.stats.unscored import Bounds
from .protocols import mark_contaminated
from .published import Reported, list_citations, match_published
from .rows import Result, Row, Table
from .verdicts import make_verdicts

FAILED, SKIPPED, NOT_RUN, UNKNOWN = "ERR", "skipped", "", "unknown"
MARK = " ¹"
Grid = tuple[list[str], list[list[str]]]  # A table's header and rows, as they are shown.

NOTES = """\
Video AUC: a video's score pooled from its frames, fake against real, with the 95 % interval over videos (people where
known) and seeds. ¹: the best of the table on that test set, and all that can't be told from it; what has no mark is
worse, but for a chance of 5 % that this is wrong anywhere in the table, or has scored less than 98 % of the videos.
Mean AUC: over the test sets that the row wasn't trained on, all their videos counting: in each pair of a fake and a
real with an unscored one, the score is a coin's, below 98 % a lost one; ¹ as above. Rank: by that mean, among rows
trained on the same set. Duels won: against each other row on each test set. Both have in brackets what holds with a
chance of 95 %. Drop: video AUC lost against the training set's own test split. FPR at 5 % on source: of the threshold
that calls 5 % of the reals of the training set's validation split fake, with its own error in the interval. Cost: the
mean of FPR and FNR at the row's threshold, and the least that any would have here. Fakes of 1,000 flagged: where 1 % of
all videos are fake, so many of 1,000 that the row's threshold calls fake would be. Worst group and gap: over the
intersectional groups (such as gender x race) that have enough videos of each class; where fewer than two have, over
gender alone, or race alone. n is the smallest cell; the intervals of an attribute's groups hold all at once.
Scored: videos scored / videos on the official list (of those asked for, where PARTIAL), and between what bounds the AUC
of all would lie. Train and selection: what a row was trained on, and what its checkpoint was picked by (source val: the
validation split of that set); unknown where its weights don't tell. Contaminated: it was trained on some of the test
videos, and is never the best. Img/s: images a second in the best batch, measured apart from scoring, on what the
column names; only rows of one column can be compared. Busy: other work took more than a tenth of the machine meanwhile.
GFLOPs: an image, a multiply-add being two. ERR: the cell failed; skipped: its training had failed already; empty: not
run.
"""


SYNTHETIC = """\
Synthetic: a program has drawn the videos of the demo world, and these rows were trained or tested on them. Their \
numbers show that everything works; they say nothing of real videos, people or detectors."""


def render_markdown(made: list[Table]) -> str:
    """Return the leaderboard as markdown: a table for each protocol, one for each test set, and the rows' commands."""
    parts = [
        f"# {name_board('Leaderboard', made)}",
        *(part for table in made for part in _render_sections(table)),
        NOTES.rstrip(),
        _list_commands(made),
    ]
    return "\n\n".join(parts) + "\n"


def name_board(title: str, made: list[Table]) -> str:
    """Return a board's title, which says so where all of it is synthetic."""
    return f"{title} (synthetic)" if made and all(table.is_synthetic for table in made) else title


def _render_sections(table: Table) -> list[str]:
    parts = [f"## {escape_markdown(table.heading)}", *([f"> {SYNTHETIC}"] if table.is_synthetic else [])]
    parts += map(escape_markdown, make_verdicts(table))
    parts.append(_escape_cells(make_overview(table)))
    for test in table.tests:
        parts += [
            f"### {escape_markdown(test)}",
            _escape_cells(make_details(table, test)),
            *_list_failures(table, test),
        ]
    if found := match_published(table):
        parts += [f"### {REPORTED_TITLE}", _escape_cells((REPORTED, [format_reported(r) for r in found]))]
        parts += [REPORTED_NOTE, "\n".join(f"- {source}" for source in list_citations(found))]
    return parts


def _escape_cells(table: Grid) -> str:
    """Return a table whose cells are text, whatever is in them."""
    header, rows = table
    return format_grid(
        [escape_markdown(name) for name in header], [[escape_markdown(cell) for cell in row] for row in rows]
    )


_MARKUP = re.compile(r"[\\`*|~]|\](?=\()|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def escape_markdown(content: str) -> str:
    """Return one line that markdown shows as it is. An interval's brackets, and `_` within a name, say nothing."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(content.split())).replace("<", "&lt;")


def format_code(content: str) -> str:
    """Return one line of code, fenced by more backticks than stand together in it."""
    content = " ".join(content.splitlines())
    fence = "`" * (max(map(len, re.findall("`+", content)), default=0) + 1)
    return f"{fence} {content} {fence}" if "`" in content else f"{fence}{content}{fence}"


def _list_failures(table: Table, test: str) -> list[str]:
    """Return a list of what failed on a test set, a line each; nothing where nothing did."""
    found = [(row, card) for row in table.on(test) for card in row.results[test].lost]
    lines = [f"- {escape_markdown(f'{row.name} ({row.key}), {describe_failure(card)}')}" for row, card in found]
    return ["\n".join(lines)] if lines else []


def describe_failure(card: Failure) -> str:
    """Say which seed failed or was skipped, and why."""
    return f"seed {card.cell.seed} {card.status}: {card.error}"


def make_overview(table: Table) -> Grid:
    """Return the matrix: video AUC of every row on every test set, and what the detector costs."""
    header = ["video AUC [95 % CI]", "backend", "train", "selection", "seed", *table.tests, *STANDING]
    speeds = [f"img/s: {condition.describe()}" for condition in table.conditions] or ["img/s"]
    return [*header, *speeds, "M params", "GFLOPs", "row"], [_make_overview_row(table, row) for row in table.rows]


def _make_overview_row(table: Table, row: Row) -> list[str]:
    *names, seeds = format_names(row)
    aucs = [format_auc(table, row, test) for test in table.tests]
    return [*names, row.cell.selection, seeds, *aucs, *format_standing(table, row), *format_cost(table, row), row.key]


DETAILS = ["detector", "backend", "train", "video AUC [95 % CI]", "drop"]
DETAILS += ["frame AUC", "FPR at 5 % on source", "cost (least)", "fakes of 1,000 flagged"]
DETAILS += ["worst group (n)", "gap (n)", "scored"]


def make_details(table: Table, test: str) -> Grid:
    """Return header and rows of one test set's table; rows that weren't run on it are left out."""
    return DETAILS, [
        [*format_names(r)[:3], format_auc(table, r, test), *_format_metrics(table, r, test)] for r in table.on(test)
    ]


def _format_metrics(table: Table, row: Row, test: str) -> list[str]:
    result = row.results[test]
    if result.status != "done":
        return [_format_missing(result)] * (len(DETAILS) - 4)
    drop, scored = row.drop(test), format_coverage(result, table.bounds.get((row.key, test)))
    facts = [format_estimate(drop) if drop else "", format_estimate(result.metrics.get(FRAME_AUC))]
    facts += _format_use(result.metrics)
    return [*facts, format_worst_group(result.groups), format_gap(result.groups), scored]


def _format_use(metrics: Mapping[str, Estimate]) -> list[str]:
    """Write what somebody who uses the detector meets: rates at the source's thresholds, and what is flagged there."""
    carried, cost, least = (metrics.get(f"video.{name}") for name in ("fpr_at_source_fpr5", "cost", "least_cost"))
    precision = metrics.get("video.precision_at_prev1")
    known = cost and least and cost.value is not None and least.value is not None
    return [
        format_estimate(carried) if carried else UNKNOWN,
        f"{cost.value:.3f} ({least.value:.3f})" if known and cost and least else UNKNOWN,
        format_flagged(precision) if precision else UNKNOWN,
    ]


def format_flagged(precision: Estimate) -> str:
    """Write how many of 1,000 flagged videos are fake: `83 [41, 190]`."""
    found = count_flagged(precision)
    if found is None and precision.value is not None:
        return f"{1000 * precision.value:.0f} ({_find_reason(precision)})"
    return f"{found.value} [{found.lo}, {found.hi}]" if found else format_estimate(precision)


def format_names(row: Row) -> list[str]:
    """Write detector, backend, train set and seeds."""
    return [row.name, row.backend, row.train, ", ".join(map(str, row.seeds))]


def format_auc(table: Table, row: Row, test: str) -> str:
    """Write a cell of the matrix: AUC with interval and rank mark, or why there is none."""
    result = row.results.get(test)
    if result is None or result.status != "done":
        return _format_missing(result)
    lost = f" ({len(result.done)} of {len(result.cards)} seeds)" if len(result.done) < len(result.cards) else ""
    shared = "".join(sorted({mark for card in result.done if (mark := mark_contaminated(card))})[-1:])
    return format_estimate(result.metrics[AUC]) + (MARK if (row.key, test) in table.best else "") + lost + shared


def _format_missing(result: Result | None) -> str:
    return {"failed": FAILED, "skipped": SKIPPED}[result.status] if result else NOT_RUN


def format_speed(speed: Speed | None) -> str:
    """Write images a second: `34`, `34 (openvino)` of another runtime, `34 (busy)` where other work slowed it."""
    if speed is None:
        return UNKNOWN
    remarks = [speed.runtime] if speed.backend not in (speed.runtime, "any") else []
    remarks += ["busy"] if speed.is_disturbed else []
    return format_digits(speed.best.value) + (f" ({', '.join(remarks)})" if remarks else "")


def format_digits(value: float) -> str:
    """Write a number with three digits that mean something: `2480`, `34.2`, `0.00751`."""
    return f"{float(f'{value:.3g}'):.12g}"


def format_cost(table: Table, row: Row) -> list[str]:
    """Write images a second under each condition of the table, millions of parameters, GFLOPs an image."""
    conditions: list[Condition | None] = [*table.conditions] or [None]
    return [
        *(format_speed(row.speeds.get(condition) if condition else None) for condition in conditions),
        f"{row.params / 1e6:.2f}" if row.params else UNKNOWN,
        f"{row.flops / 1e9:.3g}" if row.flops else UNKNOWN,
    ]


NO_INTERVAL = "no interval"


def format_estimate(e: Estimate | None) -> str:
    """Write `0.931 [0.890, 0.965]`, or why it has no interval: `0.500 (too few videos for an interval)`.

    An interval that three digits would close is written with more.
    """
    if e is None or e.value is None:
        return (e and e.note) or "undefined"
    if e.lo is None or e.hi is None or e.lo == e.hi:
        return f"{e.value:.3f} ({_find_reason(e)})"
    digits = next((d for d in range(3, 9) if f"{e.lo:.{d}f}" != f"{e.hi:.{d}f}"), 9)
    return f"{e.value:.{digits}f} [{e.lo:.{digits}f}, {e.hi:.{digits}f}]"


def _find_reason(e: Estimate) -> str:
    """Return the part of a note that is of the interval; the others are of the groups."""
    return next((part for part in e.note.split("; ") if "interval" in part), NO_INTERVAL)


def format_gap(groups: GroupSummary | None) -> str:
    """Write `0.120 [0.04, 0.31] (n 9)`; n is the smallest cell, without which a gap means nothing."""
    if groups is None or groups.gap is None or groups.gap.value is None:
        return _format_too_few(groups)
    alone = "" if groups.attribute == INTERSECTION else f"; {groups.attribute} alone"
    return f"{format_estimate(groups.gap)} (n {groups.gap.n}{alone})"


def format_worst_group(groups: GroupSummary | None) -> str:
    """Write `female-asian 0.81 [0.70, 0.93] (n 24; 3 of 8 groups)`."""
    if groups is None or groups.worst is None:
        return _format_too_few(groups)
    return f"{groups.group} {format_estimate(groups.worst)} (n {groups.worst.n}; {_count_groups(groups)})"


def _format_too_few(groups: GroupSummary | None) -> str:
    return f"too few ({_count_groups(groups)})" if groups else "not annotated"


def _count_groups(groups: GroupSummary) -> str:
    """Say of how many groups the worst is the worst, and whose, where it isn't the intersection's."""
    alone = "" if groups.attribute == INTERSECTION else f" of {groups.attribute} alone"
    return f"{groups.qualified} of {groups.groups} groups{alone}"


def format_coverage(result: Result, bounds: Bounds | None) -> str:
    """Write `517/518, 3 with several people`, and what AUC all videos could have; where seeds differ, the lowest."""
    lowest = min((c.coverage for c in result.done), key=lambda c: c.scored)
    excluded = f", {n} left out as asked" if (n := len(result.done[0].cell.excluded)) else ""
    partial = bounds is not None and bounds.worst < bounds.best
    within = f", AUC of all {bounds.worst:.3f} to {bounds.best:.3f}" if partial and bounds else ""
    return f"{format_scored(lowest)}{excluded}{within}"


def format_scored(coverage: Coverage) -> str:
    """Write `517/518, 3 with several people`."""
    several = f", {coverage.several_people} with several people" if coverage.several_people else ""
    return f"{coverage.scored}/{coverage.official}{several}"


STANDING = ["mean AUC", "rank", "duels won"]


def format_standing(table: Table, row: Row) -> list[str]:
    """Write mean AUC, rank and the share of duels won: `0.931 [0.890, 0.965]`, `2 [1, 4] of 7`, `0.75 [0.50, 1.00]`."""
    found = table.standings.get(row.key)
    if found is None:
        return [NOT_RUN] * len(STANDING)
    mean = format_estimate(found.mean) + (MARK if found.best else "")
    return [mean, _format_rank(found.rank), _format_wins(found.wins)]


def _format_rank(rank: Estimate | None) -> str:
    return "" if rank is None or rank.lo is None else f"{rank.value:.0f} [{rank.lo:.0f}, {rank.hi:.0f}] of {rank.n}"


def _format_wins(wins: Estimate | None) -> str:
    return "" if wins is None or wins.lo is None else f"{wins.value:.2f} [{wins.lo:.2f}, {wins.hi:.2f}]"


REPORTED_TITLE = "Reported by papers, beside what was reproduced here"
REPORTED_NOTE = """\
Reported numbers come from other code and protocols, and some from checkpoints selected on the test set, as their
sources say. FF++ here has five methods; most tables have four, without FaceShifter."""
REPORTED = ["source", "detector", "train", "test", "level"]
REPORTED += ["reported AUC", "reproduced [95 % CI]", "difference", "reproduced by"]


def format_reported(r: Reported) -> list[str]:
    """Write a published number, and where the board has the same, that, the difference and whose it is."""
    ours = format_estimate(r.ours) if r.ours else "not run"
    away = f"{r.ours.value - r.value:+.3f}" if r.ours and r.ours.value is not None else ""
    name = f"{r.detector} ({r.backbone})" if r.backbone else r.detector
    by = f"{r.name} ({r.row})" if r.row else ""
    return [r.source, name, r.train, r.test, r.level, f"{r.value:.3f}", ours, away, by]


def _list_commands(made: list[Table]) -> str:
    rows = [row for table in made for row in table.rows]
    lines = dict.fromkeys(
        f"- {escape_markdown(row.key)}: {format_code(command)}" for row in rows for command in row.commands
    )
    return "\n".join(["Commands, by row:", "", *lines]) if lines else ""


def format_grid(header: list[str], rows: list[list[str]]) -> str:
    """Return a table for markdown and the terminal; digits stay as they are written."""
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)
