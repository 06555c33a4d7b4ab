"""A scorecard as plain text for the terminal."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from .board import estimate


def card_text(card: dict[str, Any]) -> str:
    """Return every table of a scorecard, each number with its interval and n."""
    rows = [[name, estimate(e), e["n"]] for name, e in card["metrics"].items()]
    parts = [_table(["metric", "value [95 % CI]", "n"], rows)]
    if card["methods"]:
        rows = [[m, estimate(cell["video.auc"]), cell["n_fake"]] for m, cell in card["methods"].items()]
        parts.append(_table(["method", "video AUC against all reals", "fakes"], rows))
    for attribute, groups in card["groups"].items():
        rows = [[g, c["n_real"], c["n_fake"], *(estimate(c[m]) for m in ("video.auc", "video.fpr", "video.tpr")),
                 c.get("left_out", "")] for g, c in groups.items()]
        parts.append(_table([attribute, "real", "fake", "video AUC", "FPR", "TPR", "left out of gaps"], rows))
    coverage, threshold = card["coverage"], card["threshold"]
    parts.append(f"threshold {threshold['value']:.4f} ({threshold['rule']}); scored {coverage['scored']} of "
                 f"{coverage['official']} videos")
    parts += [f"not scored: {d['video']} ({d['reason']})" for d in coverage["dropped"]]
    return "\n\n".join(parts)


def _table(header: list[str], rows: list[list[Any]]) -> str:
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)
