"""Old scorecards, brought to today's schema one version at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..benchmark.core.errors import BenchError
from ..benchmark.core.scorecard import SCHEMA_VERSION

Card = dict[str, Any]


def _from_1(card: Card) -> Card:
    """Version 2 knows which runs differ by the seed alone, options and curves; `fpr_gap` is called `f_fpr_range`."""
    cell = {"recipe_key": card["cell"].get("train_key"), "selection": "source val", "options": {}, **card["cell"]}
    metrics = {name.replace(".fpr_gap", ".f_fpr_range"): e for name, e in card.get("metrics", {}).items()}
    return {"curves": {}, **card, "cell": cell, "metrics": metrics}


def _from_2(card: Card) -> Card:
    """Version 3 has the same content; its intervals near 0 and 1 and those of perfect groups are wider."""
    return card


MIGRATIONS: dict[int, Callable[[Card], Card]] = {1: _from_1, 2: _from_2}


def upgrade(card: Card, origin: str) -> Card:
    """Return a scorecard or failure in today's schema.

    Raises:
        BenchError: it was written by a later version of crossfake, or tells no version.
    """
    version = card.get("schema_version")
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise BenchError(
            f"{origin} has schema version {version}; this crossfake reads 1 to {SCHEMA_VERSION}. "
            "Install the newer crossfake that wrote it, or remove it and rerun"
        )
    for known in range(version, SCHEMA_VERSION):
        card = MIGRATIONS[known](card) | {"schema_version": known + 1}
    return card
