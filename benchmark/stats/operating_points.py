"""Scoring a predictions file at the operating point asked for: a threshold given, a run's own, or one fixed now."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from ..core.errors import BenchError
from ..core.predictions import STANDARD_INPUT, name_table, read_score_table
from ..core.score_tables import NO_FRAMES, OURS, TableForm
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
    remarks: tuple[str, ...] = ()


def score_predictions(
    predictions: Path | pd.DataFrame,
    threshold: float | Literal["val"] | None = None,
    val: Path | pd.DataFrame | None = None,
    level: Level | None = None,
    draws: int = 1000,
    form: TableForm = OURS,
) -> ScoreCard:
    """Score predictions, or those of a run's test folder, into a scorecard.

    Args:
        predictions: a table, a .parquet or .csv file, `-` for a CSV on standard input, or a run's test folder.
        threshold: the operating point on P(fake), 0 to 1; `val`: the one fixed on the source validation split.
        val: predictions of the source validation split.
        level: `frame` or `video`: keep the groups and gaps of this level alone.
        draws: how often to draw gaps and calibration errors, for their intervals.
        form: how the tables are written.

    Raises:
        BenchError: they can't be scored; see also `choose_operating_point`.
    """
    point = choose_operating_point(predictions, threshold, val, level, form)
    if isinstance(predictions, Path) and predictions.is_dir():
        predictions /= PREDICTIONS
    card = make_scorecard(predictions, point.threshold, draws, point.rule, point.temperature, form)
    if level == "frame" and not card.counts.frames:
        raise BenchError(f"--level frame: {NO_FRAMES}")
    remarks = [*point.remarks, *card.remarks, *_remark_inversion(card, form)]
    card = card.model_copy(update={"remarks": list(dict.fromkeys(remarks))})
    return keep_level(card, level) if level else card


def _remark_inversion(card: ScoreCard, form: TableForm) -> list[str]:
    """Say that reals score higher than fakes, beyond chance."""
    measured = {"video": card.video.auc, "frame": card.frame.auc}
    below = [(level, e) for level, e in measured.items() if e.value is not None and e.hi is not None and e.hi < 0.5]
    if not below:
        return []
    level, auc = below[0]
    scores = "scores that mean P(real) have to be turned into 1 - score"
    advice = f"{scores}; or leave out --fake-is" if form.fake_is else f"--fake-is 0 if label 0 means fake; {scores}"
    told = f"{level} AUC {auc.value:.3f} [{auc.lo:.3f}, {auc.hi:.3f}] lies below 0.5"
    return [f"{told}: are the scores or labels flipped? {advice}"]


def choose_operating_point(
    predictions: Path | pd.DataFrame,
    threshold: float | Literal["val"] | None = None,
    val: Path | pd.DataFrame | None = None,
    level: Level | None = None,
    form: TableForm = OURS,
) -> OperatingPoint:
    """Return the operating point asked for; a run's folder knows its own. See `score_predictions` for the arguments.

    Raises:
        BenchError: two thresholds are given, or `val` without anything to fix it on.
    """
    if isinstance(threshold, float | int):
        if val is not None:
            raise BenchError(f"--threshold {threshold:g} and --val are two thresholds: give one of them")
        return OperatingPoint(threshold, "given")
    if val is not None:
        if all(isinstance(table, Path) and table == STANDARD_INPUT for table in (predictions, val)):
            raise BenchError("- is standard input, which holds one table: give the other as a file")
        return _fit_on_validation(val, level, form)
    path = _find_scorecard(predictions)
    if path is not None:
        return _read_operating_point(path)
    if threshold == VAL:
        name = predictions if isinstance(predictions, Path) else "a table"
        raise BenchError(
            f"--threshold val: {name} is no run's test folder with a threshold of its own. "
            "Give the predictions of the source validation split: --val FILE"
        )
    return OperatingPoint()


def _find_scorecard(predictions: Path | pd.DataFrame) -> Path | None:
    """Return the scorecard of a run's test folder or of the predictions in it; None for any others."""
    if not isinstance(predictions, Path) or not (predictions.is_dir() or predictions.name == PREDICTIONS):
        return None
    path = (predictions if predictions.is_dir() else predictions.parent) / SCORECARD
    return path if path.is_file() else None


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


def _fit_on_validation(val: Path | pd.DataFrame, level: Level | None, form: TableForm) -> OperatingPoint:
    """Fix threshold and temperature on predictions of the source validation split; over frames at frame level.

    Raises:
        BenchError: they can't be scored, or are of one class.
    """
    name = name_table(val) if isinstance(val, Path) else "the validation table"
    (table, remarks, _), _ = read_score_table(val, form)
    check_predictions(table, name)
    if table["label"].nunique() < 2:
        raise BenchError(f"{name} holds one class only: no threshold can be fixed on it")
    at, temperature = fit_operating_point(table)
    if level == "frame":
        at = best_threshold(table["label"], table["score"])
    return OperatingPoint(
        at,
        f"largest TPR - FPR on the {level or 'video'}s of {name}",
        temperature,
        tuple(f"{name}: {r}" for r in remarks),
    )


def keep_level(card: ScoreCard, level: Level) -> ScoreCard:
    """Return a scorecard without the gaps of the other level, whose group cells are neither shown nor written."""
    (other,) = (name for name in LEVELS if name != level)
    metrics = {name: e for name, e in card.metrics.items() if not name.startswith(f"{other}.fairness")}
    return card.model_copy(update={"metrics": metrics, "level": level})
