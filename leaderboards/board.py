"""Leaderboards from a folder of scorecards: markdown and HTML for people, CSV and JSON for tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..benchmark.core.display import format_csv
from ..benchmark.core.scorecard import SCHEMA_VERSION, Card
from ..benchmark.core.storage import write_json, write_text
from .html import render_page
from .load import load_cards, load_cards_with_problems
from .markdown import render_markdown
from .published import match_published
from .rows import Row, Table, make_tables

__all__ = ["load_cards", "load_cards_with_problems", "long_table", "make_tables", "write"]


def write(cards: list[Card], out: Path, name: str = "leaderboard") -> list[Path]:
    """Write `name`.md, .csv, .json and .html into `out`, and return their paths."""
    paths = [out / f"{name}.{suffix}" for suffix in ("md", "csv", "json", "html")]
    made = make_tables(cards)
    write_text(paths[0], render_markdown(made))
    write_text(paths[1], format_csv(long_table(cards)))
    write_json(paths[2], as_data(made))
    write_text(paths[3], render_page(made))
    return paths


def long_table(cards: Iterable[Card]) -> pd.DataFrame:
    """Return a row a scorecard, with plain numbers."""
    return pd.DataFrame([_scorecard_row(card) for card in cards])


def _scorecard_row(card: Card) -> dict[str, Any]:
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
        "selection": cell["selection"],
        "status": card["status"],
        "error": card.get("error", ""),
        "path": card["path"],
    }
    for name, estimate in card.get("metrics", {}).items():
        parts = (("", "value"), (".lo", "lo"), (".hi", "hi"), (".n", "n"))
        row |= {f"{name}{suffix}": estimate[part] for suffix, part in parts}
    coverage, speed = card.get("coverage", {}), card.get("throughput") or {}
    return row | {
        "threshold": card.get("threshold", {}).get("value"),
        "temperature": card.get("temperature"),
        "videos_scored": coverage.get("scored"),
        "videos_official": coverage.get("official"),
        "images_per_s": speed.get("score_images_per_s"),
        "params": card.get("params"),
        "flops": card.get("flops"),
        "command": (card.get("provenance") or {}).get("command", ""),
        "recipe_key": cell["recipe_key"],
        "train_key": cell["train_key"],
        "test_key": cell["test_key"],
    }


def as_data(made: list[Table]) -> dict[str, Any]:
    """Return the tables as plain data: what the other forms show, seeds pooled."""
    content = [
        {
            "protocol": table.title,
            "tests": table.tests,
            "rows": [_row_as_data(table, row) for row in table.rows],
            "reported": [asdict(r) for r in match_published(table)],
        }
        for table in made
    ]
    return {"schema_version": SCHEMA_VERSION, "kind": "leaderboard", "tables": content}


def _row_as_data(table: Table, row: Row) -> dict[str, Any]:
    results = {
        test: {
            "status": result.status,
            "metrics": result.metrics,
            "groups": result.pooled.groups,
            "drop": row.drop(test),
            "worst_group": result.worst,
            "coverage": [c["coverage"] for c in result.done],
            "best": (row.key, test) in table.best,
            "lost": [{"seed": c["cell"]["seed"]} | {k: c[k] for k in ("status", "error")} for c in result.lost],
        }
        for test, result in row.results.items()
    }
    return {
        "row": row.key,
        "detector": row.name,
        "backend": row.backend,
        "train": row.train,
        "seeds": row.seeds,
        "images_per_s": row.speed,
        "params": row.cost("params"),
        "flops": row.cost("flops"),
        "commands": row.commands,
        "results": results,
    }
