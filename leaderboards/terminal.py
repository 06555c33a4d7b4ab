"""A scorecard as plain text for the terminal."""

from __future__ import annotations

from math import isclose

from ..benchmark.core.scorecard import Card, GroupCell, Level, LevelCell, ScoreCard
from ..benchmark.stats.calibration import TEMPERATURES
from ..benchmark.stats.seed_pooling import PooledMetrics, summarise_groups
from .markdown import Grid, format_estimate, format_gap, format_grid
from .protocols import describe_protocol, display_name, mark_contaminated

AT_THE_END = "at the end of its range: scores part the classes of the validation split, or tell nothing"


def format_summary(cards: list[Card]) -> str:
    """Return a row a cell, and where there are several test sets or rows, the matrix of their video AUC before it."""
    protocol = " | ".join(sorted({describe_protocol(c) for c in cards}))
    header = ["detector", "train", "test", "seed", "video AUC [95 % CI]", "frame AUC"]
    header += ["AUC gap of groups (n)", "scored", "img/s"]
    parts = [f"world: {protocol}", format_grid(header, [_cell_row(card) for card in cards])]
    tests = list(dict.fromkeys(c.cell.test for c in cards))
    lines = list(dict.fromkeys(_line_key(c) for c in cards))
    if len(cards) > 1:
        found = {(_line_key(c), c.cell.test): _format_auc(c) for c in cards}
        matrix = [[*key[:3], *(found.get((key, t), "") for t in tests)] for key in lines]
        parts.insert(1, format_grid(["video AUC", "train", "seed", *tests], matrix))
    return "\n\n".join(parts)


def _line_key(card: Card) -> tuple[str, str, str, str]:
    return display_name(card), card.cell.train, str(card.cell.seed), card.cell.train_key


def _format_auc(card: Card) -> str:
    if not isinstance(card, ScoreCard):
        return card.status.upper()
    return format_estimate(card.video.auc) + mark_contaminated(card)


def _cell_row(card: Card) -> list[str]:
    names = [display_name(card), card.cell.train, card.cell.test, str(card.cell.seed)]
    if not isinstance(card, ScoreCard):
        return [*names, card.status.upper(), card.error]
    return [
        *names,
        _format_auc(card),
        format_estimate(card.frame.auc),
        format_gap(summarise_groups(PooledMetrics(card.metrics, card.groups))),
        f"{card.coverage.scored}/{card.coverage.official}",
        f"{card.speed:.0f}" if card.speed else "unknown",
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


def make_metrics_table(card: ScoreCard) -> Grid:
    """Return every metric with its interval and n."""
    rows = [[name, format_estimate(e), str(e.n)] for name, e in card.metrics.items()]
    return ["metric", "value [95 % CI]", "n"], rows


def make_card_tables(card: ScoreCard) -> list[Grid]:
    """Return the tables by method and by group, where there are such."""
    found: list[Grid] = []
    if card.methods:
        rows = [[m, format_estimate(cell.auc), str(cell.n_fake)] for m, cell in card.methods.items()]
        found.append((["method", "video AUC against all reals", "fakes"], rows))
    level = card.level or "video"
    header = ["real", "fake", f"{level} AUC", "FPR", "TPR", "left out of gaps"]
    found += [([attribute, *header], _group_rows(groups, level)) for attribute, groups in card.groups.items()]
    return found


def _group_rows(groups: dict[str, GroupCell], level: Level) -> list[list[str]]:
    at_level = {g: c.video if level == "video" else c.frame for g, c in groups.items()}
    return [_group_row(g, cell) for g, cell in at_level.items() if cell]


def _group_row(name: str, cell: LevelCell) -> list[str]:
    rates = map(format_estimate, (cell.auc, cell.fpr, cell.tpr))
    return [name, str(cell.fpr.n), str(cell.tpr.n), *rates, cell.left_out]


def format_footnote(card: ScoreCard) -> str:
    """Say where the threshold comes from, at what temperature scores are scaled, and how much was scored."""
    threshold = f"threshold {card.threshold.value:.4f} ({card.threshold.rule})"
    several = f", {card.coverage.several_people} of them with several people" if card.coverage.several_people else ""
    scored = f"scored {card.coverage.scored} of {card.coverage.official} videos{several}"
    return "; ".join(filter(None, [threshold, _format_temperature(card.temperature), scored]))


def _format_temperature(fitted: float | None) -> str:
    if fitted is None:
        return ""
    at_the_end = any(isclose(fitted, end, rel_tol=1e-3) for end in TEMPERATURES)  # The search stops just short of it.
    return f"temperature {fitted:.3g}" + (f" ({AT_THE_END})" if at_the_end else "")
