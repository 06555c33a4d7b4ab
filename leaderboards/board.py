"""Leaderboards from a folder of scorecards: markdown for people, CSV for tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ..benchmark.errors import BenchError
from ..benchmark.store import read_json, write_text

FAILED, NOT_RUN = "ERR", ""
GAP = "video.fairness.intersection.auc_gap"
_UNKNOWN = "unknown"
_NEEDED = {
    "name",
    "backend",
    "train",
    "test",
    "seed",
    "frames",
    "limit",
    "protocol",
    "weights",
    "train_key",
    "test_key",
}


def collect(runs: Path) -> list[dict[str, Any]]:
    """Read every scorecard and failure below `runs`; a failure beside a scorecard is older news and left out."""
    cards = []
    scored = sorted(runs.rglob("scorecard.json"))
    failed = sorted(p for p in runs.rglob("failure.json") if not p.with_name("scorecard.json").is_file())
    for path in scored + failed:
        try:
            card = read_json(path)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BenchError(f"{path} is not JSON ({error}). Remove it and rerun") from None
        if card.get("kind") not in ("scorecard", "failure") or not card.get("cell"):
            continue
        if missing := _NEEDED - card["cell"].keys():
            raise BenchError(f"{path} has no {', '.join(sorted(missing))} in its cell. Remove it and rerun")
        cards.append({**card, "path": str(path.parent), "time": path.stat().st_mtime})
    return _newest(cards)


def _newest(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what a newer run of the same cell replaced: failures, and scorecards of the same weights."""
    newest: dict[tuple[Any, ...], float] = {}
    for card in cards:
        for key in (_asked(card), (*_asked(card), card["cell"]["train_key"])):
            newest[key] = max(newest.get(key, 0.0), card["time"])
    return [
        c
        for c in cards
        if c["time"] >= newest[_asked(c) if c["status"] != "done" else (*_asked(c), c["cell"]["train_key"])]
    ]


def _asked(card: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(card["cell"][k] for k in ("name", "backend", "train", "test", "seed", "frames", "limit", "protocol"))


def long_table(cards: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a scorecard, with plain numbers."""
    return pd.DataFrame([_row(card) for card in cards])


def _row(card: dict[str, Any]) -> dict[str, Any]:
    cell = card["cell"]
    row: dict[str, Any] = {
        "world": cell["protocol"],
        "detector": cell["name"],
        "backend": cell["backend"],
        "train": cell["train"],
        "test": cell["test"],
        "seed": cell["seed"],
        "frames": cell["frames"],
        "limit": cell["limit"],
        "weights": cell["weights"],
        "status": card["status"],
        "error": card.get("error", ""),
        "path": card["path"],
    }
    for name, estimate in card.get("metrics", {}).items():
        row |= {
            f"{name}{suffix}": estimate[part]
            for suffix, part in (("", "value"), (".lo", "lo"), (".hi", "hi"), (".n", "n"))
        }
    coverage, speed = card.get("coverage", {}), card.get("throughput") or {}
    return row | {
        "videos_scored": coverage.get("scored"),
        "videos_official": coverage.get("official"),
        "images_per_s": speed.get("score_images_per_s"),
        "params": card.get("params"),
        "command": (card.get("provenance") or {}).get("command", ""),
        "train_key": cell["train_key"],
        "test_key": cell["test_key"],
    }


def tables(cards: list[dict[str, Any]]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return (title, header, rows) of one table for each protocol: worlds, frame counts and limits never mix."""
    result = []
    for protocol in sorted({protocol_of(c) for c in cards}):
        members = [c for c in cards if protocol_of(c) == protocol]
        tests = sorted({c["cell"]["test"] for c in members}, key=lambda t: (t not in _trains(members), t))
        rows: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
        for card in members:
            rows.setdefault(_row_key(card), {})[card["cell"]["test"]] = card
        result.append((protocol, _header(tests), [_line(key, found, tests) for key, found in sorted(rows.items())]))
    return result


def _trains(cards: list[dict[str, Any]]) -> set[str]:
    return {c["cell"]["train"] for c in cards}


def protocol_of(card: dict[str, Any]) -> str:
    """Say what rows must have in common to stand in one table."""
    cell = card["cell"]
    n = cell["limit"]
    limited = f", PARTIAL: at most {n} real and {n} fake videos a split" if n else ""
    return f"{cell['protocol']}; {cell['frames']} frames a video{limited}"


def _row_key(card: dict[str, Any]) -> tuple[str, ...]:
    cell = card["cell"]
    return shown_name(card), cell["backend"], cell["train"], str(cell["seed"]), cell["train_key"]


def shown_name(card: dict[str, Any]) -> str:
    """Return the detector's name, marked where its weights were given and not trained by this run."""
    cell = card["cell"]
    return cell["name"] if cell["weights"] == "trained here" else f"{cell['name']} ({cell['weights']})"


def _header(tests: list[str]) -> list[str]:
    columns = [f"{t} {what}" for t in tests for what in ("video AUC [95 % CI]", "gap (n)", "scored")]
    return ["detector", "backend", "train", "seed", *columns, "img/s", "params", "run"]


def _line(key: tuple[str, ...], found: dict[str, dict[str, Any]], tests: list[str]) -> list[str]:
    done = [c for c in found.values() if c["status"] == "done"]
    speeds = [c["throughput"]["score_images_per_s"] for c in done if (c["throughput"] or {}).get("score_images_per_s")]
    speed = f"{sum(speeds) / len(speeds):.0f}" if speeds else _UNKNOWN
    params = next((c["params"] for c in done if c.get("params")), None)
    cells = [text for t in tests for text in _cell(found.get(t))]
    return [*key[:4], *cells, speed, f"{params / 1e6:.2f} M" if params else _UNKNOWN, key[4]]


def _cell(card: dict[str, Any] | None) -> list[str]:
    if card is None:
        return [NOT_RUN] * 3
    if card["status"] != "done":
        return [FAILED] * 3
    coverage = card["coverage"]
    return [
        estimate(card["metrics"]["video.auc"]),
        gap(card["metrics"].get(GAP)),
        f"{coverage['scored']}/{coverage['official']}",
    ]


def estimate(e: dict[str, Any]) -> str:
    """Write `0.931 [0.890, 0.965]`."""
    if e["value"] is None:
        return e.get("note", "undefined")
    return f"{e['value']:.3f}" + (f" [{e['lo']:.3f}, {e['hi']:.3f}]" if e["lo"] is not None else "")


def gap(e: dict[str, Any] | None) -> str:
    """Write `0.120 [0.04, 0.31] (n 9)`; n is the smallest cell, without which a gap means nothing."""
    if e is None:
        return "not annotated"
    return "too few" if e["value"] is None else f"{estimate(e)} (n {e['n']})"


NOTES = """\
Video AUC: mean of a video's frame scores, fake against real, with the 95 % interval of a bootstrap over videos.
Gap: largest minus smallest AUC over the intersectional groups (gender x race) that have at least 5 videos of each
class; n is the smallest cell. Scored: videos scored / videos on the official list (of those asked for, where PARTIAL).
Checkpoints trained here are selected on the training set's validation split. Run: the end of the run folder's name.
ERR: the cell failed; empty: not run.
"""


def markdown(cards: list[dict[str, Any]]) -> str:
    """Return the leaderboard as markdown, with the command of every row."""
    parts = ["# Leaderboard\n"]
    for title, header, rows in tables(cards):
        parts.append(f"## {title}\n\n{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n")
    found = {(c["cell"]["train_key"], c["provenance"]["command"]) for c in cards if c.get("provenance")}
    commands = [f"- {run}: `{command}`" for run, command in sorted(found)]
    parts += [NOTES, "Commands, by run:\n\n" + "\n".join(commands) + "\n" if commands else ""]
    return "\n".join(parts)


def write(cards: list[dict[str, Any]], out: Path) -> tuple[Path, Path]:
    """Write leaderboard.md and leaderboard.csv into `out`, and return their paths."""
    md, csv = out / "leaderboard.md", out / "leaderboard.csv"
    write_text(md, markdown(cards))
    write_text(csv, long_table(cards).to_csv(index=False))
    return md, csv
