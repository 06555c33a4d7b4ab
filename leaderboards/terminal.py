"""A scorecard as plain text for the terminal."""

from __future__ import annotations

from math import isclose
from typing import Any

from ..benchmark.core.scorecard import Card
from ..benchmark.stats.calibration import TEMPERATURES
from ..benchmark.stats.seed_pooling import AUC, FRAME_AUC
from .markdown import Grid, format_estimate, format_gap, format_grid
from .rows import GAP, describe_protocol, display_name

RATES = ("auc", "fpr", "tpr")
AT_THE_END = "at the end of its range: scores part the classes of the validation split, or tell nothing"


def format_summary(cards: list[Card]) -> str:
    """Return a row a cell, and where there are several test sets or rows, the matrix of their video AUC before it."""
    protocol = " | ".join(sorted({describe_protocol(c) for c in cards}))
    header = ["detector", "train", "test", "seed", "video AUC [95 % CI]", "frame AUC"]
    header += ["intersectional AUC gap (n)", "scored", "img/s"]
    parts = [f"world: {protocol}", format_grid(header, [_cell_row(card) for card in cards])]
    tests = list(dict.fromkeys(c["cell"]["test"] for c in cards))
    lines = list(dict.fromkeys(_line_key(c) for c in cards))
    if len(cards) > 1:
        found = {(_line_key(c), c["cell"]["test"]): _format_auc(c) for c in cards}
        matrix = [[*key[:3], *(found.get((key, t), "") for t in tests)] for key in lines]
        parts.insert(1, format_grid(["video AUC", "train", "seed", *tests], matrix))
    return "\n\n".join(parts)


def _line_key(card: Card) -> tuple[str, str, str, str]:
    cell = card["cell"]
    return display_name(card), cell["train"], str(cell["seed"]), cell["train_key"]


def _format_auc(card: Card) -> str:
    return format_estimate(card["metrics"][AUC]) if card["status"] == "done" else card["status"].upper()


def _cell_row(card: Card) -> list[str]:
    cell = card["cell"]
    names = [display_name(card), cell["train"], cell["test"], str(cell["seed"])]
    if card["status"] != "done":
        return [*names, card["status"].upper(), card["error"]]
    metrics, coverage, speed = card["metrics"], card["coverage"], card["throughput"]["score_images_per_s"]
    return [
        *names,
        _format_auc(card),
        format_estimate(metrics[FRAME_AUC]),
        format_gap(metrics.get(GAP)),
        f"{coverage['scored']}/{coverage['official']}",
        f"{speed:.0f}" if speed else "unknown",
    ]


def format_card(card: Card) -> str:
    """Return every table of a scorecard, each number with its interval and n."""
    parts = [
        format_grid(*make_metrics_table(card)),
        *(format_grid(*table) for table in make_card_tables(card)),
        format_footnote(card),
    ]
    parts += [f"not scored: {d['video']} ({d['reason']})" for d in card["coverage"]["dropped"]]
    return "\n\n".join(parts)


def make_metrics_table(card: Card) -> Grid:
    """Return every metric with its interval and n."""
    rows = [[name, format_estimate(e), str(e["n"])] for name, e in card["metrics"].items()]
    return ["metric", "value [95 % CI]", "n"], rows


def make_card_tables(card: Card) -> list[Grid]:
    """Return the tables by method and by group, where there are such."""
    found: list[Grid] = []
    if card["methods"]:
        rows = [[m, format_estimate(cell[AUC]), str(cell["n_fake"])] for m, cell in card["methods"].items()]
        found.append((["method", "video AUC against all reals", "fakes"], rows))
    level = card.get("level", "video")
    header = ["real", "fake", f"{level} AUC", "FPR", "TPR", "left out of gaps"]
    found += [([attribute, *header], _group_rows(groups, level)) for attribute, groups in card["groups"].items()]
    return found


def _group_rows(groups: dict[str, Any], level: str) -> list[list[str]]:
    why = "left_out" if level == "video" else f"{level}.left_out"
    return [
        [g, *(str(e["n"]) for e in found[1:]), *map(format_estimate, found), c.get(why, "")]
        for g, c in groups.items()
        if (found := [c[f"{level}.{rate}"] for rate in RATES])
    ]


def format_footnote(card: Card) -> str:
    """Say where the threshold comes from, at what temperature scores are scaled, and how much was scored."""
    coverage, threshold = card["coverage"], card["threshold"]
    parts = [f"threshold {threshold['value']:.4f} ({threshold['rule']})", _format_temperature(card.get("temperature"))]
    return "; ".join(filter(None, [*parts, f"scored {coverage['scored']} of {coverage['official']} videos"]))


def _format_temperature(fitted: float | None) -> str:
    if fitted is None:
        return ""
    at_the_end = any(isclose(fitted, end, rel_tol=1e-3) for end in TEMPERATURES)  # The search stops just short of it.
    return f"temperature {fitted:.3g}" + (f" ({AT_THE_END})" if at_the_end else "")
