"""Scorecards from a folder of runs or submitted entries, in today's schema, without those that newer ones replace."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from ..benchmark.core import scorecard
from ..benchmark.core.collector import pause_collector
from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError, make_unknown_error, require_existing
from ..benchmark.core.scorecard import Card, ScoreCard, find_missing
from ..benchmark.core.storage import FAILURE, SCORECARD
from ..benchmark.stats.operating_points import refresh_scorecard
from .protocols import list_test_videos

ENTRY = "*__*.json"
Key = tuple[str | int | None, ...]


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
            f"{run} is not a scorecard. Give a run's folder or an entry's .json; predictions: bench score {run}"
        )
    cards = [card for card in ([read_card(run)] if run.is_file() else load_cards(run)) if card]
    if not cards:
        raise BenchError(f"no scorecards below {run}. Give a run's folder, such as those that bench run prints last")
    return cards


def load_row(key: str, runs: Path) -> list[Card]:
    """Read the cards of the rows whose key, or one of whose training keys, begins with `key`.

    Raises:
        BenchError: there are none below `runs`.
    """
    cards = load_cards(runs)
    keys = [card.cell.recipe_key for card in cards]
    found = [c for c in cards if c.cell.recipe_key.startswith(key) or c.cell.train_key.startswith(key)]
    if not found:
        advice = f"Rows below {runs}: {', '.join(dict.fromkeys(keys)) or 'none'}. Or give a run's folder"
        raise make_unknown_error(f"no run or row '{key}'", key, keys, advice)
    return found


@pause_collector()
def load_cards_with_problems(runs: Path) -> tuple[list[Card], list[str]]:
    """Read every scorecard, failure and entry below `runs`.

    Returns:
        The cards, and one line for each file that can't be read as one. A failure next to a scorecard is outdated and
        left out, as is a card that a newer run of the same cell replaced. Scorecards of an older schema are scored
        again from their predictions, if those are available.
    """
    cards, problems = [], []
    for path in _list_files(runs):
        try:
            cards += [card] if (card := read_card(path)) else []
        except BenchError as error:
            problems.append(str(error))
    return _refresh_old(_keep_newest(cards)), problems


def _list_files(runs: Path) -> list[Path]:
    """Return the scorecards below a folder, then failures without one next to them, then entries, each sorted."""
    found: dict[str, list[Path]] = {SCORECARD: [], FAILURE: [], ENTRY: []}
    for folder, _, names in os.walk(runs):
        for name in names:
            kind = name if name in (SCORECARD, FAILURE) else ENTRY if fnmatchcase(name, ENTRY) else ""
            if kind and (kind != FAILURE or SCORECARD not in names):
                found[kind].append(Path(folder, name))
    return [path for paths in found.values() for path in sorted(paths)]


def _refresh_old(cards: list[Card]) -> list[Card]:
    """Score cards of an older schema again from their predictions, and say so."""
    fresh = [refresh_scorecard(card) if isinstance(card, ScoreCard) else card for card in cards]
    if count := sum(new is not old for new, old in zip(fresh, cards, strict=True)):
        say_once(f"{count} scorecards of an older schema were rescored from their predictions; bench run saves them")
    return fresh


def read_card(path: Path) -> Card | None:
    """Read one scorecard, failure or entry; None for other JSON, and for cards without a detector.

    Raises:
        BenchError: see `benchmark.core.scorecard.read_card`; or it lacks what the card of a run has.
    """
    card = scorecard.read_card(path)
    if card is None or not card.cell.is_known:  # Of predictions from elsewhere.
        return None
    if missing := find_missing(card):
        raise BenchError(f"{path}: {missing}. Remove it and rerun")
    return card


def _find_time(card: Card) -> float:
    """Return when a card was made; the file's time, which copying changes, only if the card has none."""
    told = card.provenance.timestamp if card.provenance else None
    return card.path.stat().st_mtime if told is None else told


def _keep_newest(cards: list[Card]) -> list[Card]:
    """Leave out cards that a newer run of the same cell replaced: failures, and scorecards of the same weights."""
    newest: dict[Key, tuple[float, int]] = {}
    made = [(_find_time(card), -i) for i, card in enumerate(cards)]  # Of two with the same time, the first.
    for card, when in zip(cards, made, strict=True):
        for key in (_request_key(card), _replacement_key(card)):
            newest[key] = max(newest.get(key, when), when)
    return [card for card, when in zip(cards, made, strict=True) if newest[_replacement_key(card)] == when]


def _replacement_key(card: Card) -> Key:
    """Return a key: of two cards that share it, only the newer counts. A failure's key is its whole request."""
    if not isinstance(card, ScoreCard):
        return _request_key(card)
    return *_request_key(card), card.cell.train_key, *list_test_videos(card).methods


def _request_key(card: Card) -> Key:
    c = card.cell
    return c.name, c.backend, c.train, c.source, c.test, c.seed, c.frames, c.limit, c.protocol, *c.excluded
