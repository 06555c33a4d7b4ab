"""Old scorecards, brought to today's schema one version at a time."""

from __future__ import annotations

from collections.abc import Callable

from .errors import BenchError
from .records import JsonValue

SCHEMA_VERSION = 4
Content = dict[str, JsonValue]


def _from_1(card: Content) -> Content:
    """Version 2 adds the pooling key, options and curves; `fpr_gap` becomes `f_fpr_range`."""
    cell, metrics = card.get("cell"), card.get("metrics", {})
    if isinstance(cell, dict):
        cell = {"recipe_key": cell.get("train_key"), "selection": "source val", "options": {}, **cell}
    if isinstance(metrics, dict):
        metrics = {name.replace(".fpr_gap", ".f_fpr_range"): e for name, e in metrics.items()}
    return {"curves": {}, **card, "cell": cell, "metrics": metrics}


def _from_2(card: Content) -> Content:
    """Version 3 has the same fields; intervals near 0 and 1, and those of perfect groups, are wider."""
    return card


def _from_3(card: Content) -> Content:
    """Version 4 adds fields; its intervals allow for people who appear in many videos."""
    return card


MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: _from_1, 2: _from_2, 3: _from_3}


def find_version(card: Content, file: str) -> int:
    """Return the schema version of a scorecard or failure.

    Raises:
        BenchError: it was written by a later version of crossfake, or has no version.
    """
    version = card.get("schema_version")
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise BenchError(
            f"{file} has schema version {version}; this crossfake reads 1 to {SCHEMA_VERSION}. "
            "Install the newer crossfake that wrote it, or remove it and rerun"
        )
    return version


def upgrade(card: Content, version: int) -> Content:
    """Return a scorecard or failure of an earlier version in today's schema."""
    for known in range(version, SCHEMA_VERSION):
        card = MIGRATIONS[known](card) | {"schema_version": known + 1}
    return card
