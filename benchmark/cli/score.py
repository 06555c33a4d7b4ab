"""`bench score`: metrics of predictions, crossfake's or anybody's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..core.errors import BenchError
from . import common

LEVELS = ("frame", "video")
VAL = "val"
EPILOG = """\
examples:
  bench score predictions.csv
  bench score predictions.csv --level frame --threshold 0.5 --json card.json    # as the fairness papers measure
  bench score predictions.csv --threshold val --val val_predictions.csv
  bench score runs/demo/caddm.small/RUN/test.celebdf.KEY --json card.json

A table needs the columns video, frame, label (0 real, 1 fake) and score (P(fake)). Used where they are there:
method, logit (its sigmoid stands in for the score in the fairness metrics at frame level), gender, race, and any other
column of few values as an attribute. docs/scoring.md names the keys of the JSON.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "score", score, "metrics with intervals and sample sizes, from a predictions file", EPILOG
    )
    p.add_argument("file", type=Path, metavar="FILE|FOLDER", help="a .parquet or .csv file, or a run's test folder")
    p.add_argument(
        "--threshold",
        type=parse_threshold,
        metavar="T|val",
        help="operating point on P(fake): a number, or val: that fixed on the source val split (--val, or the run's)",
    )
    p.add_argument("--val", type=Path, metavar="FILE", help="predictions of the source validation split, for that")
    p.add_argument("--level", choices=LEVELS, help="groups and gaps of this level only (default: both)")
    p.add_argument(
        "--draws", type=common.parse_positive, default=1000, metavar="N", help="bootstrap draws (default 1000)"
    )
    p.add_argument("--json", type=Path, metavar="OUT", help="write the whole scorecard there")


def parse_threshold(text: str) -> float | str:
    """Read a number from 0 to 1, or `val`."""
    return VAL if text == VAL else common.parse_share(text)


def score(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from ...leaderboards.terminal import format_card
    from ..core.storage import PREDICTIONS, write_json
    from ..stats.scoring import make_scorecard

    path: Path = arguments.file
    at, rule, temperature = choose_operating_point(arguments)
    card = make_scorecard(path / PREDICTIONS if path.is_dir() else path, at, arguments.draws, rule, temperature)
    if arguments.level:
        card = keep_level(card, arguments.level)
    print(format_card(card))
    for remark in card["remarks"]:
        print(f"bench: note: {remark}", file=sys.stderr)
    if arguments.json:
        write_json(arguments.json, {**card["metrics"], **card})  # By key alone too, for jq and pandas.
    return 0


def choose_operating_point(arguments: argparse.Namespace) -> tuple[float | None, str, float | None]:
    """Return the threshold asked for, where it comes from in words, and the temperature; a run's folder knows its own.

    Raises:
        BenchError: `--threshold val` without anything to fix it on.
    """
    from ..core.storage import PREDICTIONS, SCORECARD, read_json

    if arguments.threshold not in (None, VAL):
        if arguments.val:
            raise BenchError(f"--threshold {arguments.threshold:g} and --val are two thresholds: give one of them")
        return arguments.threshold, "given", None
    if arguments.val:
        return fit_on_validation(arguments.val, arguments.level)
    file: Path = arguments.file
    card = (file if file.is_dir() else file.parent) / SCORECARD
    if card.is_file() and (file.is_dir() or file.name == PREDICTIONS):
        known = read_json(card)
        return known["threshold"]["value"], known["threshold"]["rule"], known.get("temperature")
    if arguments.threshold == VAL:
        raise BenchError(
            f"--threshold val: {arguments.file} is no run's test folder with a threshold of its own. "
            "Give the predictions of the source validation split: --val FILE"
        )
    return None, "", None


def fit_on_validation(val: Path, level: str | None) -> tuple[float, str, float | None]:
    """Fix threshold and temperature on predictions of the source validation split; over frames at frame level.

    Raises:
        BenchError: they can't be scored, or are of one class.
    """
    from ..core.predictions import read_predictions
    from ..stats import scoring as stage
    from ..stats.metrics import best_threshold

    table, _ = read_predictions(val)
    stage.check_predictions(table, str(val))
    if table["label"].nunique() < 2:
        raise BenchError(f"{val} holds one class only: no threshold can be fixed on it")
    at, temperature = stage.fit_operating_point(table)
    if level == "frame":
        return best_threshold(table["label"], table["score"]), f"largest TPR - FPR on the frames of {val}", temperature
    return at, f"largest TPR - FPR on the videos of {val}", temperature


def keep_level(card: dict[str, Any], level: str) -> dict[str, Any]:
    """Return a scorecard without the gaps and group cells of the other level."""
    other = next(name for name in LEVELS if name != level)
    metrics = {k: v for k, v in card["metrics"].items() if not k.startswith(f"{other}.fairness")}
    groups = {
        attribute: {g: _keep_cell_level(cell, level, other) for g, cell in cells.items()}
        for attribute, cells in card["groups"].items()
    }
    return {**card, "metrics": metrics, "groups": groups, "level": level}


def _keep_cell_level(cell: dict[str, Any], level: str, other: str) -> dict[str, Any]:
    own = {k: v for k, v in cell.items() if not k.startswith(f"{other}.")}
    return own | {n: own.pop(f"{level}.{n}") for n in ("n_real", "n_fake") if f"{level}.{n}" in own}
