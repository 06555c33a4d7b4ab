"""Scorecards from a folder of runs or submitted entries, in today's schema, without what newer ones replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..benchmark.errors import BenchError
from ..benchmark.store import FAILURE, PREDICTIONS, SCORECARD, read_json
from .migrations import upgrade

Card = dict[str, Any]
ENTRY = "*__*.json"
_ASKED = ("name", "backend", "train", "test", "seed", "frames", "limit", "protocol")
_NEEDED = frozenset((*_ASKED, "weights", "recipe_key", "train_key", "test_key"))


def collect(runs: Path) -> list[Card]:
    """Read every scorecard, failure and entry below `runs`.

    Each comes with `path` (its folder) and `predictions` (its predictions file, which may be gone). A failure beside a
    scorecard is older news and left out, as is what a newer run of the same cell replaced.

    Raises:
        BenchError: a file is not JSON, from a later version, or lacks what tells cells apart.
    """
    found = (path for name in (SCORECARD, FAILURE, ENTRY) for path in sorted(runs.rglob(name)))
    current = (p for p in found if p.name != FAILURE or not p.with_name(SCORECARD).is_file())
    cards = [card for path in current if (card := read_card(path))]
    return _newest(cards)


def read_card(path: Path) -> Card | None:
    """Read one scorecard, failure or entry; None for JSON of another kind."""
    try:
        card = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is not JSON ({error}). Remove it and rerun") from None
    if not isinstance(card, dict) or card.get("kind") not in ("scorecard", "failure") or not card.get("cell"):
        return None
    card = upgrade(card, str(path))
    if missing := _NEEDED - card["cell"].keys():
        raise BenchError(f"{path} has no {', '.join(sorted(missing))} in its cell. Remove it and rerun")
    predictions = path.parent / card.get("predictions", PREDICTIONS)
    extra = {"path": str(path.parent), "predictions": str(predictions), "time": path.stat().st_mtime}
    return card | extra


def operating_point(card: Card) -> tuple[float | None, float | None]:
    """Return the threshold and temperature that a scorecard was made with; None where it had none."""
    threshold = card["threshold"]
    return None if threshold["rule"] == "0.5" else threshold["value"], card.get("temperature")


def _newest(cards: list[Card]) -> list[Card]:
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


def _asked(card: Card) -> tuple[Any, ...]:
    return tuple(card["cell"][k] for k in _ASKED)
