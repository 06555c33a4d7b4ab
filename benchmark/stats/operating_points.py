"""Scores a predictions file at a chosen operating point: a given threshold, a run's own, or one fixed now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..core.display import say_once
from ..core.errors import BenchError
from ..core.keys import file_hash
from ..core.predictions import STANDARD_INPUT, name_table, read_predictions, read_score_table
from ..core.score_tables import NO_FRAMES, OURS, TableForm
from ..core.scorecard import LEVELS, Level, ScoreCard, read_card
from ..core.source_validation import SourceValidation
from ..core.storage import PREDICTIONS, SCORECARD
from ..core.types import REAL
from . import calibration
from .carried import fix_thresholds
from .metrics import best_threshold
from .prevalence import fit_prior
from .scoring import check_predictions, find_shared_people, make_scorecard, make_seed_scores, take_samples

if TYPE_CHECKING:
    import pandas as pd

VAL = "val"


class OperatingPoint(NamedTuple):
    """A threshold on P(fake), its origin in words, the temperature and other fixed values; None: not fixed."""

    threshold: float | None = None
    rule: str = ""
    temperature: float | None = None
    remarks: tuple[str, ...] = ()
    source: SourceValidation | None = None


class FittedPoint(NamedTuple):
    """What was fixed on the source validation split; None if it lacks a class, or scores aren't probabilities."""

    threshold: float | None = None
    temperature: float | None = None
    source: SourceValidation | None = None


def fit_operating_point(frames: pd.DataFrame) -> FittedPoint:
    """Fix on the source validation split what may not be tuned on a test set.

    The threshold is that of the largest TPR - FPR over videos. The temperature and the prior are fitted to the videos'
    scores, and None if those aren't probabilities. See `carried` for the thresholds at stated rates.
    """
    one = make_seed_scores(frames)
    samples = take_samples(one, "video", find_shared_people([one]))
    label, score = samples.labels, samples.scores
    sound = calibration.are_probabilities(score)
    source = SourceValidation(
        prior=fit_prior(label, score) if sound else None,
        thresholds=fix_thresholds(samples),
        reals=int((label == REAL).sum()),
    )
    fitted = calibration.fit_temperature(label, score) if sound else None
    return FittedPoint(best_threshold(label, score), fitted, source)


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
        level: `frame` or `video`: keep only the groups and gaps of this level.
        draws: number of draws of gaps and calibration errors, for their intervals.
        form: the format of the tables.

    Raises:
        BenchError: they can't be scored; see also `choose_operating_point`.
    """
    point = choose_operating_point(predictions, threshold, val, level, form)
    if isinstance(predictions, Path) and predictions.is_dir():
        predictions /= PREDICTIONS
    card = make_scorecard(predictions, point.threshold, draws, point.rule, point.temperature, form, point.source)
    if level == "frame" and not card.counts.frames:
        raise BenchError(f"--level frame: {NO_FRAMES}")
    remarks = [*point.remarks, *card.remarks, *_remark_inversion(card, form)]
    card = card.model_copy(update={"remarks": list(dict.fromkeys(remarks))})
    return keep_level(card, level) if level else card


def _remark_inversion(card: ScoreCard, form: TableForm) -> list[str]:
    """Warn if reals score significantly higher than fakes."""
    measured = {"video": card.video.auc, "frame": card.frame.auc}
    below = [(level, e) for level, e in measured.items() if e.value is not None and e.hi is not None and e.hi < 0.5]
    if not below:
        return []
    level, auc = below[0]
    scores = "if scores mean P(real), convert them to 1 - score"
    advice = f"{scores}, or leave out --fake-is" if form.fake_is else f"--fake-is 0 if label 0 means fake; {scores}"
    told = f"{level} AUC {auc.value:.3f} [{auc.lo:.3f}, {auc.hi:.3f}] is below 0.5"
    return [f"{told}: are the scores or labels flipped? {advice}"]


def choose_operating_point(
    predictions: Path | pd.DataFrame,
    threshold: float | Literal["val"] | None = None,
    val: Path | pd.DataFrame | None = None,
    level: Level | None = None,
    form: TableForm = OURS,
) -> OperatingPoint:
    """Return the chosen operating point; a run's folder knows its own. See `score_predictions` for the arguments.

    Raises:
        BenchError: two thresholds are given, or `val` without predictions to fix it on.
    """
    if isinstance(threshold, float | int):
        if val is not None:
            raise BenchError(f"--threshold {threshold:g} and --val both set the threshold: give one of them")
        return OperatingPoint(threshold, "given")
    if val is not None:
        if all(isinstance(table, Path) and table == STANDARD_INPUT for table in (predictions, val)):
            raise BenchError("standard input (-) can hold only one table: give the other as a file")
        return _fit_on_validation(val, level, form)
    path = _find_scorecard(predictions)
    if path is not None:
        return _read_operating_point(path)
    if threshold == VAL:
        name = predictions if isinstance(predictions, Path) else "a table"
        raise BenchError(
            f"--threshold val: {name} is not a run's test folder with a threshold. "
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
        BenchError: the scorecard doesn't contain them.
    """
    card = read_card(path, "Give a threshold: --threshold T")
    if isinstance(card, ScoreCard):
        at, temperature, source = card.threshold.value, card.temperature, card.source_validation
        if 0 <= at <= 1 and (temperature is None or temperature > 0):
            return OperatingPoint(at, card.threshold.rule, temperature, source=source)
    raise BenchError(f"{path} has no threshold from 0 to 1. Give one: --threshold T")


def _fit_on_validation(val: Path | pd.DataFrame, level: Level | None, form: TableForm) -> OperatingPoint:
    """Fix threshold and temperature on predictions of the source validation split; over frames at frame level.

    Raises:
        BenchError: they can't be scored, or have only one class.
    """
    name = name_table(val) if isinstance(val, Path) else "the validation table"
    (table, remarks, _), _ = read_score_table(val, form)
    check_predictions(table, name)
    if table["label"].nunique() < 2:
        raise BenchError(f"{name} has only one class: no threshold can be fixed on it")
    at, temperature, source = fit_operating_point(table)
    if level == "frame":
        at = best_threshold(table["label"], table["score"])
    return OperatingPoint(
        at,
        f"largest TPR - FPR on the {level or 'video'}s of {name}",
        temperature,
        tuple(f"{name}: {r}" for r in remarks),
        source,
    )


def keep_level(card: ScoreCard, level: Level) -> ScoreCard:
    """Return a scorecard without the other level's gaps; its group cells are neither shown nor written."""
    (other,) = (name for name in LEVELS if name != level)
    metrics = {name: e for name, e in card.metrics.items() if not name.startswith(f"{other}.fairness")}
    return card.model_copy(update={"metrics": metrics, "level": level})


def refresh_scorecard(card: ScoreCard) -> ScoreCard:
    """Return a scorecard of an older schema with numbers recomputed from its predictions.

    It is returned unchanged if it is current, if its predictions are gone or have changed, or if they can't be scored,
    which is reported.
    """
    path = card.predictions_path
    if card.is_current or not path.is_file() or card.predictions_sha256 not in ("", file_hash(path)):
        return card
    threshold, temperature, _ = card.operating_point
    try:
        source = card.source_validation or _fit_source(card.validation_path)
        fresh = make_scorecard(path, threshold, card.draws, card.threshold.rule, temperature, source=source)
    except BenchError as error:
        say_once(f"not scored again: {error}")
        return card
    told = {name: getattr(card, name) for name in _TOLD if name in card.model_fields_set}
    return fresh.model_copy(update=told).place(card.path)


def _fit_source(val: Path | None) -> SourceValidation | None:
    """Fit what an older scorecard lacks to the validation predictions; None if they are gone."""
    if val is None or not val.is_file():
        return None
    table, _ = read_predictions(val)
    check_predictions(table, str(val))
    return fit_operating_point(table).source if table["label"].nunique() > 1 else None


_TOLD = (
    *("cell", "coverage", "throughput", "params", "flops", "faces", "artifacts", "score", "validation", "provenance"),
    *("predictions", "predictions_sha256", "level"),
)
"""The parts of a scorecard that aren't measured on its predictions."""
