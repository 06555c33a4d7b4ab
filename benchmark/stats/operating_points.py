"""Scoring a predictions file at the operating point asked for: a threshold given, a run's own, or one fixed now."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from ..core.errors import BenchError
from ..core.predictions import read_predictions
from ..core.scorecard import LEVELS, Level, ScoreCard, read_card
from ..core.storage import PREDICTIONS, SCORECARD
from .metrics import best_threshold
from .scoring import check_predictions, fit_operating_point, make_scorecard

VAL = "val"


class OperatingPoint(NamedTuple):
    """A threshold on P(fake), where it comes from in words, and the temperature; None where there is none."""

    threshold: float | None = None
    rule: str = ""
    temperature: float | None = None


def score_file(
    file: Path,
    threshold: float | Literal["val"] | None = None,
    val: Path | None = None,
    level: Level | None = None,
    draws: int = 1000,
) -> ScoreCard:
    """Score a predictions file, or a run's test folder, into a scorecard.

    Args:
        file: a .parquet or .csv file, or a run's test folder.
        threshold: the operating point on P(fake), 0 to 1; `val`: the one fixed on the source validation split.
        val: predictions of the source validation split.
        level: `frame` or `video`: keep the groups and gaps of this level alone.
        draws: bootstrap draws.

    Raises:
        BenchError: the file can't be scored; see also `choose_operating_point`.
    """
    point = choose_operating_point(file, threshold, val, level)
    predictions = file / PREDICTIONS if file.is_dir() else file
    card = make_scorecard(predictions, point.threshold, draws, point.rule, point.temperature)
    return keep_level(card, level) if level else card


def choose_operating_point(
    file: Path, threshold: float | Literal["val"] | None = None, val: Path | None = None, level: Level | None = None
) -> OperatingPoint:
    """Return the operating point asked for; a run's folder knows its own. See `score_file` for the arguments.

    Raises:
        BenchError: two thresholds are given, or `val` without anything to fix it on.
    """
    if isinstance(threshold, float | int):
        if val:
            raise BenchError(f"--threshold {threshold:g} and --val are two thresholds: give one of them")
        return OperatingPoint(threshold, "given")
    if val:
        return _fit_on_validation(val, level)
    path = (file if file.is_dir() else file.parent) / SCORECARD
    if path.is_file() and (file.is_dir() or file.name == PREDICTIONS):
        return _read_operating_point(path)
    if threshold == VAL:
        raise BenchError(
            f"--threshold val: {file} is no run's test folder with a threshold of its own. "
            "Give the predictions of the source validation split: --val FILE"
        )
    return OperatingPoint()


def _read_operating_point(path: Path) -> OperatingPoint:
    """Read a run's own threshold and temperature.

    Raises:
        BenchError: the scorecard doesn't tell them.
    """
    card = read_card(path, "Give a threshold: --threshold T")
    if isinstance(card, ScoreCard):
        at, temperature = card.threshold.value, card.temperature
        if 0 <= at <= 1 and (temperature is None or temperature > 0):
            return OperatingPoint(at, card.threshold.rule, temperature)
    raise BenchError(f"{path} tells no threshold from 0 to 1. Give one: --threshold T")


def _fit_on_validation(val: Path, level: Level | None) -> OperatingPoint:
    """Fix threshold and temperature on predictions of the source validation split; over frames at frame level.

    Raises:
        BenchError: they can't be scored, or are of one class.
    """
    table, _ = read_predictions(val)
    check_predictions(table, str(val))
    if table["label"].nunique() < 2:
        raise BenchError(f"{val} holds one class only: no threshold can be fixed on it")
    at, temperature = fit_operating_point(table)
    if level == "frame":
        at = best_threshold(table["label"], table["score"])
    return OperatingPoint(at, f"largest TPR - FPR on the {level or 'video'}s of {val}", temperature)


def keep_level(card: ScoreCard, level: Level) -> ScoreCard:
    """Return a scorecard without the gaps of the other level, whose group cells are neither shown nor written."""
    (other,) = (name for name in LEVELS if name != level)
    metrics = {name: e for name, e in card.metrics.items() if not name.startswith(f"{other}.fairness")}
    return card.model_copy(update={"metrics": metrics, "level": level})
