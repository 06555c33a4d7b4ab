"""The board as markdown, in tables of five columns: wider ones don't fit a page on GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from tabulate import tabulate

from ..benchmark.core.cell_description import NOT_KNOWN
from ..benchmark.core.scorecard import Failure
from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import FRAME_AUC
from .formats import (
    UNKNOWN,
    format_auc,
    format_coverage,
    format_estimate,
    format_flagged,
    format_gap,
    format_mean,
    format_missing,
    format_partial,
    format_rank,
    format_speed,
    format_worst_group,
)
from .overview import Overview, label_rows, make_overviews
from .published import Reported, list_citations, match_published
from .recorded_command import narrow_commands
from .rows import Row, Table
from .verdicts import make_verdict

Grid = tuple[list[str], list[list[str]]]  # A table's header and rows, as they are shown.

NOTES = {
    "Video AUC": "fake against real videos; a video's score is the mean over its frames. In brackets: the 95 % "
    "interval over videos (over people, if they are known) and seeds.",
    "¹": "the best in the table on that test set, or not significantly worse. Rows without the mark are worse (the "
    "chance of any error in the table is 5 %), or scored less than 98 % of the videos.",
    "Mean AUC": "over the test sets that the row wasn't trained on. All their videos count: a pair of a fake and a "
    "real video of which one has no score counts half, or as an error if less than 98 % of the videos were scored.",
    "Rank": "by mean AUC, among rows trained on the same set. In brackets, the 95 % interval of the true rank.",
    "Duels won": "the share won against each other row on each test set, with its 95 % interval.",
    "Drop": "AUC on the training set's own test split minus the AUC (or mean AUC) next to it.",
    "Worst group, gap": "the lowest AUC of any group, and the difference between the highest and the lowest. Groups "
    "are gender x race if at least two of them have 5 videos of each class; otherwise gender alone, then race alone. n "
    "is the smallest cell. The intervals of an attribute's groups hold simultaneously.",
    "FPR at 5 % on source": "the share of real videos called fake at the threshold that calls 5 % fake in the training "
    "set's validation split; the interval includes the threshold's own error.",
    "Cost": "the mean of FPR and FNR at the row's threshold, and the lowest that any threshold would give here.",
    "Fakes of 1,000 flagged": "how many of 1,000 videos flagged at the row's threshold are fake if 1 % of all are.",
    "Scored": "videos scored / videos on the official list (or requested, if PARTIAL), and the bounds of the AUC over "
    "all of them.",
    "Selected on": "what the checkpoint was selected on: source val is the validation split of the training set; "
    "unknown if the weights don't say.",
    "Contaminated": "the row was trained on some of the test videos; it is never marked as the best.",
    "img/s": "images per second at the best batch size, in a separate measurement on the hardware in the heading. "
    "Only rows of one column can be compared. Busy: other work took more than a tenth of the machine meanwhile.",
    "GFLOPs": "per image; a multiply-add counts as two.",
    "ERR, skipped, empty": "the cell failed; its training had failed already; it wasn't run.",
}
"""What the words in the tables mean."""

SYNTHETIC = """\
Synthetic: a program drew these videos. The numbers show that everything works; they say nothing about real videos, \
people or detectors."""


def render_markdown(made: list[Table], name: str = "leaderboard") -> str:
    """Return the leaderboard as markdown: a table for each protocol, one for each test set, and the rows' commands.

    Args:
        made: the tables.
        name: the name of the other three files, which the page links to.
    """
    parts = [
        f"# {name_board('Leaderboard', made)}",
        _link_files(name),
        *(part for table in made for part in _render_sections(table)),
        "## How to read it",
        "\n".join(f"- **{word}**: {meaning}" for word, meaning in NOTES.items()),
        _list_commands(made),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _link_files(name: str) -> str:
    links = [
        f"[{kind}]({quote(name)}.{suffix})" for kind, suffix in (("page", "html"), ("CSV", "csv"), ("JSON", "json"))
    ]
    return f"All numbers, with charts and every row in detail: {', '.join(links)}."


def name_board(title: str, made: list[Table]) -> str:
    """Return a board's title, which says so if all of it is synthetic."""
    return f"{title} (synthetic)" if made and all(table.is_synthetic for table in made) else title


def _render_sections(table: Table) -> list[str]:
    parts = [f"## {escape_markdown(table.heading)}", *([f"> {SYNTHETIC}"] if table.is_synthetic else [])]
    for overview in make_overviews(table):
        parts += [*map(escape_markdown, _describe(overview)), _escape_cells(make_summary(overview))]
    for test in table.tests:
        parts += [f"### {escape_markdown(test)}", _escape_cells(make_brief(table, test)), *_list_failures(table, test)]
    if found := match_published(table):
        parts += [f"### {REPORTED_TITLE}", _escape_cells((REPORTED, [_shorten_reported(r) for r in found]))]
        parts += [REPORTED_NOTE, "\n".join(f"- {source}" for source in list_citations(found))]
    return parts


def _describe(overview: Overview) -> list[str]:
    """Return what the rows' numbers say, and what the rows share."""
    said = []
    if overview.looked_at:
        verdict = make_verdict(overview)
        said = [f"{verdict.headline}. {verdict.choose} {verdict.trust} {verdict.fails_for} {verdict.speed}"]
    return [*said, f"{describe_shared(overview)}."]


def describe_shared(overview: Overview) -> str:
    """Say in one line what is the same for all rows."""
    conditions = overview.table.conditions
    measured = [f"speed on {conditions[0].describe()}"] if len(conditions) == 1 else []
    trained = "Training data unknown" if overview.train == NOT_KNOWN else f"Trained on {overview.train}"
    return "; ".join([trained, *(f"{n} {value}" for n, value in overview.shared), *measured])


def _escape_cells(table: Grid) -> str:
    """Return a table whose cells are text, whatever is in them."""
    header, rows = table
    return format_grid(
        [escape_markdown(name) for name in header], [[escape_markdown(cell) for cell in row] for row in rows]
    )


_MARKUP = re.compile(r"[\\`*|~]|\](?=\()|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def escape_markdown(content: str) -> str:
    """Return one line that markdown shows as it is. An interval's brackets, and `_` within a name, need no escape."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(content.split())).replace("<", "&lt;")


def format_code(content: str) -> str:
    """Return one line of code, fenced by more backticks than it has in a row."""
    content = " ".join(content.splitlines())
    fence = "`" * (max(map(len, re.findall("`+", content)), default=0) + 1)
    return f"{fence} {content} {fence}" if "`" in content else f"{fence}{content}{fence}"


def _list_failures(table: Table, test: str) -> list[str]:
    """Return a list of what failed on a test set, one line each; nothing if nothing did."""
    found = [(row, card) for row in table.on(test) for card in row.results[test].lost]
    lines = [f"- {escape_markdown(f'{row.name} ({row.key}), {describe_failure(card)}')}" for row, card in found]
    return ["\n".join(lines)] if lines else []


def describe_failure(card: Failure) -> str:
    """Say which seed failed or was skipped, and why."""
    return f"seed {card.cell.seed} {card.status}: {card.error}"


def make_summary(overview: Overview) -> Grid:
    """Return the table over all test sets: each row's rank, mean AUC, worst group and speed."""
    table, test, counted = overview.table, overview.groups_test, overview.groups_counted
    usual = next(iter(table.conditions), None)
    ranks = f"rank of {len(overview.ranked)}" if overview.ranked else "rank"
    header = ["detector", ranks, "mean AUC elsewhere [95 % CI]"]
    rows = [
        [
            label,
            format_rank(table, row),
            format_mean(table, row),
            format_worst_group(groups, not counted) if (groups := overview.groups_of(row)) else "",
            format_speed(row.speeds.get(usual) if usual else None),
        ]
        for row, label in zip(overview.rows, label_rows(overview.rows), strict=True)
    ]
    where = f"worst group on {test} (n{f'; {counted}' if counted else ''})" if test else "worst group"
    return [*header, where, f"img/s: {usual.describe()}" if len(table.conditions) > 1 and usual else "img/s"], rows


BRIEF = ["detector", "video AUC [95 % CI]", "drop", "worst group (n)", "gap (n)"]


def make_brief(table: Table, test: str) -> Grid:
    """Return one test set's table in five columns; rows that weren't run on it are left out."""
    rows = table.on(test)
    labelled = zip(rows, label_rows(rows), strict=True)
    return BRIEF, [[label, *_format_brief(table, row, test)] for row, label in labelled]


def _format_brief(table: Table, row: Row, test: str) -> list[str]:
    result, drop = row.results[test], row.drop(test)
    if result.status != "done":
        return [format_missing(result)] * (len(BRIEF) - 1)
    partial = format_partial(result, table.bounds.get((row.key, test)))
    groups = [format_worst_group(result.groups), format_gap(result.groups)]
    return [format_auc(table, row, test) + partial, format_estimate(drop) if drop else "", *groups]


DETAILS = ["detector", "backend", "train", "video AUC [95 % CI]", "drop"]
DETAILS += ["frame AUC", "FPR at 5 % on source", "cost (least)", "fakes of 1,000 flagged"]
DETAILS += ["worst group (n)", "gap (n)", "scored"]


def make_details(table: Table, test: str) -> Grid:
    """Return header and rows of one test set's table; rows that weren't run on it are left out."""
    return DETAILS, [
        [r.name, r.backend, r.train, format_auc(table, r, test), *_format_metrics(table, r, test)]
        for r in table.on(test)
    ]


def _format_metrics(table: Table, row: Row, test: str) -> list[str]:
    result = row.results[test]
    if result.status != "done":
        return [format_missing(result)] * (len(DETAILS) - 4)
    drop, scored = row.drop(test), format_coverage(result, table.bounds.get((row.key, test)))
    facts = [format_estimate(drop) if drop else "", format_estimate(result.metrics.get(FRAME_AUC))]
    facts += _format_use(result.metrics)
    return [*facts, format_worst_group(result.groups), format_gap(result.groups), scored]


def _format_use(metrics: Mapping[str, Estimate]) -> list[str]:
    """Write what users of the detector will see: rates at the source's thresholds, and what is flagged there."""
    carried, cost, least = (metrics.get(f"video.{name}") for name in ("fpr_at_source_fpr5", "cost", "least_cost"))
    precision = metrics.get("video.precision_at_prev1")
    known = cost and least and cost.value is not None and least.value is not None
    return [
        format_estimate(carried) if carried else UNKNOWN,
        f"{cost.value:.3f} ({least.value:.3f})" if known and cost and least else UNKNOWN,
        format_flagged(precision) if precision else UNKNOWN,
    ]


REPORTED_TITLE = "Published results, next to those reproduced here"
REPORTED_NOTE = """\
Reported numbers come from other code and protocols, and some from checkpoints selected on the test set, as their
sources say. Labels say which compression and which methods of FF++ a number is of: ff++:c23 has five, ff++:c23:4m
the four of most papers, without FaceShifter."""
REPORTED = ["source", "detector", "train, test", "reported AUC", "reproduced [95 % CI]"]
REPORTED_ALL = ["source", "detector", "train", "test", "level"]
REPORTED_ALL += ["reported AUC", "reproduced [95 % CI]", "difference", "reproduced by"]


def _shorten_reported(r: Reported) -> list[str]:
    """Write a published number in five columns."""
    source, name, train, test, level, value, ours, away, by = format_reported(r)
    beside = f"{ours}; {away} by {by}" if away else f"{ours}; by {by}" if by else ours
    return [source, name, f"{train}, {test}", f"{value} ({level})", beside]


def format_reported(r: Reported) -> list[str]:
    """Write a published number, and the board's own number for it, if any, with the difference and the row."""
    ours = format_estimate(r.ours) if r.ours else f"not the same: {r.differs}" if r.differs else "not run"
    away = f"{r.ours.value - r.value:+.3f}" if r.ours and r.ours.value is not None else ""
    name = f"{r.detector} ({r.backbone})" if r.backbone else r.detector
    by = f"{r.name} ({r.row})" if r.row else ""
    return [r.source, name, r.train, r.test, r.level, f"{r.value:.3f}", ours, away, by]


def _list_commands(made: list[Table]) -> str:
    rows = [row for table in made for row in table.rows]
    lines = dict.fromkeys(
        f"- {escape_markdown(f'{row.name} ({row.key})')}: {format_code(command)}"
        for row in rows
        for command in narrow_commands(row)
    )
    return "\n".join(["## Commands", "", *lines]) if lines else ""


def format_grid(header: list[str], rows: list[list[str]]) -> str:
    """Return a table for markdown and the terminal; digits stay as they are written."""
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)
