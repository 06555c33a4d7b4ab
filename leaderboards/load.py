"""Scorecards from a folder of runs or submitted entries, in today's schema, without what newer ones replaced."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ..benchmark.core.display import escape_texts
from ..benchmark.core.errors import BenchError, require_existing
from ..benchmark.core.readers import read_json
from ..benchmark.core.scorecard import Card, find_flaw
from ..benchmark.core.storage import FAILURE, PREDICTIONS, SCORECARD
from .migrations import upgrade

ENTRY = "*__*.json"
_REQUEST_FIELDS = ("name", "backend", "train", "test", "seed", "frames", "limit", "protocol")


def load_cards(runs: Path) -> list[Card]:
    """Read every scorecard, failure and entry below `runs`; see `load_cards_with_problems`.

    Raises:
        BenchError: a file can't be read as one.
    """
    cards, problems = load_cards_with_problems(runs)
    if problems:
        raise BenchError(problems[0] + (f" ({len(problems) - 1} more such files)" if len(problems) > 1 else ""))
    return cards


def load_run(run: Path) -> list[Card]:
    """Read the cards of a run's folder, of one of its test folders, or of an entry's .json.

    Raises:
        BenchError: there are none, or one can't be read.
    """
    require_existing(run, "run")
    if run.is_file() and run.suffix != ".json":
        raise BenchError(
            f"{run} is no scorecard. Give a run's folder or an entry's .json; predictions: bench score {run}"
        )
    cards = [card for card in ([read_card(run)] if run.is_file() else load_cards(run)) if card]
    if not cards:
        raise BenchError(f"no scorecards below {run}. Give a run's folder, such as those that bench run prints last")
    return cards


def load_cards_with_problems(runs: Path) -> tuple[list[Card], list[str]]:
    """Read every scorecard, failure and entry below `runs`.

    Returns:
        The cards, each with `path` (its folder) and `predictions` (its predictions file, which may be gone); and what
        is wrong with files that can't be read as one, a line each. A failure beside a scorecard is older news and left
        out, as is what a newer run of the same cell replaced.
    """
    found = (path for name in (SCORECARD, FAILURE, ENTRY) for path in sorted(runs.rglob(name)))
    cards, problems = [], []
    for path in (p for p in found if p.name != FAILURE or not p.with_name(SCORECARD).is_file()):
        try:
            cards += [card] if (card := read_card(path)) else []
        except BenchError as error:
            problems.append(str(error))
    return _keep_newest(cards), problems


def read_card(path: Path) -> Card | None:
    """Read one scorecard, failure or entry; None for JSON of another kind.

    Raises:
        BenchError: it is not JSON, from a later version, or lacks what a card has; names the file and the place in it.
    """
    card = escape_texts(read_json(path, dict, "Remove it and rerun"))
    if card.get("kind") not in ("scorecard", "failure"):
        if path.name in (SCORECARD, FAILURE):
            raise BenchError(f"{path} is no scorecard of crossfake's. Keep it elsewhere")
        return None
    if card.get("cell") == {}:  # Of predictions from elsewhere, which tell no detector.
        return None
    card = upgrade(card, str(path))
    if flaw := find_flaw(card):
        raise BenchError(f"{path}: {flaw}. Remove it and rerun")
    predictions = path.parent / card.get("predictions", PREDICTIONS)
    return card | {"path": str(path.parent), "predictions": str(predictions), "time": _read_time(card, path)}


def _read_time(card: Card, path: Path) -> float:
    """Return when a card was made; a file's own time, which copies and checkouts change, only where it doesn't say."""
    told = (card.get("provenance") or {}).get("time")
    return datetime.fromisoformat(told).timestamp() if told else path.stat().st_mtime


def _keep_newest(cards: list[Card]) -> list[Card]:
    """Leave out what a newer run of the same cell replaced: failures, and scorecards of the same weights."""
    newest: dict[tuple[Any, ...], Card] = {}
    for card in cards:
        for key in (_request_key(card), _replacement_key(card)):
            newest[key] = max(newest.get(key, card), card, key=lambda c: c["time"])
    return [c for c in cards if newest[_replacement_key(c)] is c]


def _replacement_key(card: Card) -> tuple[Any, ...]:
    """Return what two cards share of which only the newer counts; of a failure that is all that was asked for."""
    return (*_request_key(card), card["cell"]["train_key"]) if card["status"] == "done" else _request_key(card)


def _request_key(card: Card) -> tuple[Any, ...]:
    return tuple(card["cell"][k] for k in _REQUEST_FIELDS)
