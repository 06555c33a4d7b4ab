"""A scorecard as plain text for the terminal."""

from __future__ import annotations

from collections.abc import Collection
from math import isclose

from ..benchmark.core.group_comparisons import AttributeTests
from ..benchmark.core.scorecard import Card, GroupCell, Level, LevelCell, MethodCell, ScoreCard
from ..benchmark.stats.calibration import TEMPERATURES
from ..benchmark.stats.seed_pooling import pool_seeds, summarise_groups
from .formats import format_estimate, format_flagged, format_gap, format_scored
from .markdown import Grid, format_grid
from .protocols import describe_protocol, display_name, mark_contaminated

AT_THE_END = "at the end of its range: scores separate the classes of the validation split, or carry no information"


SUMMARY = (
    *("video.auc", "video.ap", "video.eer", "video.tpr_at_fpr1", "video.acc", "video.ece", "frame.auc"),
    *("video.fairness.intersection.auc_gap", "video.fairness.gender.auc_gap", "video.fairness.race.auc_gap"),
)
"""The metrics that `bench show` begins with."""


def summarise_cells(cards: list[Card]) -> list[str | Grid]:
    """Return a run's results: the world, one row per cell, and the failures at the end.

    If there are several cells, the matrix of their video AUC comes first.
    """
    header = ["detector", "train", "test", "seed", "video AUC [95 % CI]", "frame AUC"]
    header += ["AUC gap of groups (n)", "scored"]
    parts: list[str | Grid] = ["world: " + " | ".join(sorted({describe_protocol(c) for c in cards}))]
    if len(cards) > 1:
        parts.append(_make_matrix(cards))
    parts.append((header, [_cell_row(card) for card in cards]))
    failed = [c for c in cards if not isinstance(c, ScoreCard)]
    told = [f"{c.status.upper()} {display_name(c)} -> {c.cell.test}, seed {c.cell.seed}: {c.error}" for c in failed]
    return [*parts, "\n".join(told)] if told else parts


def _make_matrix(cards: list[Card]) -> Grid:
    tests = list(dict.fromkeys(c.cell.test for c in cards))
    found = {(_line_key(c), c.cell.test): _format_auc(c) for c in cards}
    lines = dict.fromkeys(_line_key(c) for c in cards)
    rows = [[*key[:3], *(found.get((key, t), "") for t in tests)] for key in lines]
    return ["video AUC", "train", "seed", *tests], rows


def _line_key(card: Card) -> tuple[str, str, str, str]:
    return display_name(card), card.cell.train, str(card.cell.seed), card.cell.train_key


def _format_auc(card: Card) -> str:
    if not isinstance(card, ScoreCard):
        return card.status.upper()
    return format_estimate(card.video.auc) + mark_contaminated(card)


def _cell_row(card: Card) -> list[str]:
    names = [display_name(card), card.cell.train, card.cell.test, str(card.cell.seed)]
    if not isinstance(card, ScoreCard):
        return [*names, card.status.upper(), *[""] * 3]
    return [
        *names,
        _format_auc(card),
        format_estimate(card.frame.auc),
        format_gap(summarise_groups(pool_seeds([card]))),
        format_scored(card.coverage),
    ]


def format_card(card: ScoreCard) -> str:
    """Return every table of a scorecard, each number with its interval and n."""
    parts = [
        format_grid(*make_metrics_table(card)),
        *(format_grid(*table) for table in make_card_tables(card)),
        format_footnote(card),
    ]
    parts += [f"not scored: {d.video} ({d.reason})" for d in card.coverage.dropped]
    return "\n\n".join(parts)


def make_metrics_table(card: ScoreCard, names: Collection[str] = ()) -> Grid:
    """Return every metric with its interval and n, or those of some `names` that have a value."""
    chosen = {name: e for name, e in card.metrics.items() if not names or (name in names and e.value is not None)}
    rows = [[name, format_estimate(e), str(e.n)] for name, e in chosen.items()]
    return ["metric", "value [95 % CI]", "n"], rows


def make_card_tables(card: ScoreCard, everybody: bool = True) -> list[Grid]:
    """Return the tables by method and by group, if there are any; `everybody`: also groups left out of gaps."""
    found: list[Grid] = []
    if card.methods:
        rows = [[m, format_estimate(cell.auc), str(cell.n_fake)] for m, cell in card.methods.items()]
        found.append((["method", "video AUC against all reals", "fakes"], rows))
    level = card.level or "video"
    header = ["real", "fake", f"{level} AUC", "FPR", "TPR", "left out of gaps"]
    found += [
        ([attribute, *header], _group_rows(groups, level, everybody)) for attribute, groups in card.groups.items()
    ]
    if level == "video":
        found += [_make_tests_table(card)] if card.group_tests else []
        crossed = card.method_groups.items() if everybody else ()
        found += [_make_methods_table(a, groups) for a, groups in crossed if any(groups.values())]
    return found


TESTED = {"fpr": "FPR", "tpr": "TPR", "odds": "FPR and TPR", "dp": "share called fake", "acc": "accuracy", "auc": "AUC"}


def _make_tests_table(card: ScoreCard) -> Grid:
    """Return whether groups of videos differ, which pairs do, and the smallest gap that could be detected."""
    rows = [
        [attribute, TESTED[rate], *_format_test(of, rate)]
        for attribute, of in card.group_tests.items()
        for rate in TESTED
        if rate in of.tests
    ]
    return ["groups of videos", "differ in", "p (permutation)", "pairs (p, Holm)", "smallest gap that would show"], rows


def _format_test(of: AttributeTests, rate: str) -> list[str]:
    test = of.tests[rate]
    differing = [f"{', '.join(p.groups)} ({p.p_holm:.3f})" for p in test.pairs if p.p_holm < 0.05]
    gap = of.smallest_gap.get(rate)
    shown = "none would" if gap is None else f"{gap:.2f}"
    return [f"{test.p:.3f}", "; ".join(differing), shown if rate in of.smallest_gap else ""]


def _make_methods_table(attribute: str, groups: dict[str, dict[str, MethodCell]]) -> Grid:
    methods = sorted({m for cells in groups.values() for m in cells})
    rows = [
        [g, *(f"{format_estimate(cells[m].auc)} (n {cells[m].n_fake})" if m in cells else "" for m in methods)]
        for g, cells in groups.items()
    ]
    return [f"video AUC by {attribute} and method", *methods], rows


def _group_rows(groups: dict[str, GroupCell], level: Level, everybody: bool) -> list[list[str]]:
    at_level = {g: c.video if level == "video" else c.frame for g, c in groups.items()}
    return [_group_row(g, cell) for g, cell in at_level.items() if cell and (everybody or not cell.left_out)]


def _group_row(name: str, cell: LevelCell) -> list[str]:
    rates = map(format_estimate, (cell.auc, cell.fpr, cell.tpr))
    return [name, str(cell.fpr.n), str(cell.tpr.n), *rates, cell.left_out]


def format_footnote(card: ScoreCard) -> str:
    """Say where the threshold comes from, which temperature scales the scores, and how much was scored."""
    threshold = f"threshold {card.threshold.value:.4f} ({card.threshold.rule})"
    several = f", {card.coverage.several_people} of them with several people" if card.coverage.several_people else ""
    flagged = _format_flagged(card)
    scored = f"scored {card.coverage.scored} of {card.coverage.official} videos{several}"
    return "; ".join(filter(None, [threshold, _format_temperature(card.temperature), scored, flagged]))


def _format_flagged(card: ScoreCard) -> str:
    """Say how many false alarms reviewers of flagged videos must expect."""
    precision = card.metrics.get("video.precision_at_prev1")
    if precision is None or precision.lo is None:
        return ""
    return f"where 1 % of videos are fake, {format_flagged(precision)} of 1,000 flagged ones are"


def _format_temperature(fitted: float | None) -> str:
    if fitted is None:
        return ""
    at_the_end = any(isclose(fitted, end, rel_tol=1e-3) for end in TEMPERATURES)  # The search stops just short of it.
    return f"temperature {fitted:.3g}" + (f" ({AT_THE_END})" if at_the_end else "")
