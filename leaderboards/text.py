"""A scorecard as plain text for the terminal."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from .board import GAP, estimate, gap, protocol_of, shown_name


def summary(cards: list[dict[str, Any]]) -> str:
    """Return a row a cell, and where there are several test sets or rows, the matrix of their video AUC before it."""
    protocol = " | ".join(sorted({protocol_of(c) for c in cards}))
    rows = [_cell_row(card) for card in cards]
    header = [
        "detector",
        "train",
        "test",
        "seed",
        "video AUC [95 % CI]",
        "frame AUC",
        "intersectional AUC gap (n)",
        "scored",
        "img/s",
    ]
    parts = [f"world: {protocol}", _table(header, rows)]
    tests = list(dict.fromkeys(c["cell"]["test"] for c in cards))
    lines = list(dict.fromkeys(_line_key(c) for c in cards))
    if len(cards) > 1:
        found = {(_line_key(c), c["cell"]["test"]): _auc(c) for c in cards}
        matrix = [[*key[:3], *(found.get((key, t), "") for t in tests)] for key in lines]
        parts.insert(1, _table(["video AUC", "train", "seed", *tests], matrix))
    return "\n\n".join(parts)


def _line_key(card: dict[str, Any]) -> tuple[str, str, str, str]:
    cell = card["cell"]
    return shown_name(card), cell["train"], str(cell["seed"]), cell["train_key"]


def _auc(card: dict[str, Any]) -> str:
    return estimate(card["metrics"]["video.auc"]) if card["status"] == "done" else "FAILED"


def _cell_row(card: dict[str, Any]) -> list[str]:
    cell = card["cell"]
    names = [shown_name(card), cell["train"], cell["test"], str(cell["seed"])]
    if card["status"] != "done":
        return [*names, "FAILED", card["error"]]
    metrics, coverage, speed = card["metrics"], card["coverage"], card["throughput"]["score_images_per_s"]
    return [
        *names,
        _auc(card),
        estimate(metrics["frame.auc"]),
        gap(metrics.get(GAP)),
        f"{coverage['scored']}/{coverage['official']}",
        f"{speed:.0f}" if speed else "unknown",
    ]


def card_text(card: dict[str, Any]) -> str:
    """Return every table of a scorecard, each number with its interval and n."""
    rows = [[name, estimate(e), e["n"]] for name, e in card["metrics"].items()]
    parts = [_table(["metric", "value [95 % CI]", "n"], rows)]
    if card["methods"]:
        rows = [[m, estimate(cell["video.auc"]), cell["n_fake"]] for m, cell in card["methods"].items()]
        parts.append(_table(["method", "video AUC against all reals", "fakes"], rows))
    for attribute, groups in card["groups"].items():
        rows = [
            [
                g,
                c["n_real"],
                c["n_fake"],
                *(estimate(c[m]) for m in ("video.auc", "video.fpr", "video.tpr")),
                c.get("left_out", ""),
            ]
            for g, c in groups.items()
        ]
        parts.append(_table([attribute, "real", "fake", "video AUC", "FPR", "TPR", "left out of gaps"], rows))
    coverage, threshold = card["coverage"], card["threshold"]
    parts.append(
        f"threshold {threshold['value']:.4f} ({threshold['rule']}); scored {coverage['scored']} of "
        f"{coverage['official']} videos"
    )
    parts += [f"not scored: {d['video']} ({d['reason']})" for d in coverage["dropped"]]
    return "\n\n".join(parts)


def _table(header: list[str], rows: list[list[Any]]) -> str:
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)
