"""Numbers from Python: score predictions, compare runs, write boards, look at scorecards. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from .benchmark.core.scorecard import Card, ScoreCard
    from .benchmark.stats.paired import Comparison


def score(
    predictions: pd.DataFrame | Path | str,
    *,
    threshold: float | Literal["val"] | None = None,
    val: pd.DataFrame | Path | str | None = None,
    level: Literal["video", "frame"] | None = None,
    draws: int = 1000,
    columns: Mapping[str, str] | None = None,
    fake_is: str | int = "",
) -> ScoreCard:
    """Return all metrics of a table of predictions, with intervals and sample sizes: `card.video.auc.value`.

    Args:
        predictions: a table, a .parquet or .csv file, `-` for a CSV on standard input, a run's test folder, or
            `example`, a table that comes with crossfake. A table has one row per frame, with the columns `video`,
            `frame`, `label` (0 real, 1 fake) and `score` (P(fake)), or without `frame` one row per video; see
            docs/scoring.md.
        threshold: the operating point on P(fake), or `val`: fixed on `val`, or taken from a run's folder.
        val: predictions of the source's validation split, to fix threshold and temperature on.
        level: groups and gaps of this level only.
        draws: how often to draw gaps and calibration errors, for their intervals.
        columns: the table's names for our columns, such as `{"score": "pred", "video": "path"}`.
        fake_is: the label that means fake, if it isn't 1 or fake.

    Raises:
        BenchError: the table lacks a column or has values that can't be scored; the message names the rows.
    """
    from .benchmark.core.score_tables import TableForm
    from .benchmark.stats.operating_points import score_predictions

    table = _find_predictions(predictions) if isinstance(predictions, str | Path) else predictions
    form = TableForm(columns or {}, str(fake_is))
    return score_predictions(table, threshold, Path(val) if isinstance(val, str) else val, level, draws, form)


def _find_predictions(named: Path | str) -> Path:
    """Return the file to score; `example` is the shipped table, unless a file or folder has that name."""
    from .leaderboards import EXAMPLE

    return EXAMPLE if str(named) == EXAMPLE.stem and not Path(named).exists() else Path(named)


def compare(
    a: Path | str | Sequence[Path | str],
    b: Path | str | Sequence[Path | str],
    *,
    metric: str = "video.auc",
    draws: int = 1000,
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Test whether two runs differ on the videos that both have scored.

    Args:
        a: a run's folder, one of its test folders, or a predictions file; several are seeds of one detector, pooled.
        b: the same for the other detector.
        metric: what to compare: `video.auc`, `video.eer`, `frame.auc` ...
        draws: how often to draw gaps and calibration errors, for their intervals.

    Returns:
        The comparison by test set, and for other test sets why they couldn't be compared.

    Raises:
        BenchError: no such run or metric, or no test set in common.
    """
    from .benchmark.stats.paired import compare_runs

    return compare_runs(_list_paths(a), _list_paths(b), metric, draws)


def leaderboard(
    runs: Path | str = "runs", out: Path | str | None = None, name: str = "leaderboard"
) -> tuple[list[Path], list[str]]:
    """Write the board of all runs below a folder, as .md, .csv, .json and .html.

    Args:
        runs: the folder of runs, or of submitted entries.
        out: where to write; by default into `runs`.
        name: the files' name.

    Returns:
        The paths written, and a line for each file that was left out.

    Raises:
        BenchError: there are no scorecards, or none that can be read.
    """
    from .benchmark.core.errors import BenchError
    from .benchmark.core.speeds import read_speeds
    from .leaderboards import board
    from .leaderboards.load import load_cards
    from .leaderboards.written import find_fingerprint, note_written

    place = Path(out or runs)
    fingerprint = find_fingerprint(place, name) if place.is_dir() and place == Path(runs) else ""
    cards, problems = board.load_cards_with_problems(Path(runs))
    if not cards:
        load_cards(Path(runs))  # Raises with the problems of existing ones.
        raise BenchError(
            f"no scorecards below {runs}. Make one: bench run --detector caddm --train ff++ "
            f"--test celebdf --runs {runs}"
        )
    speeds, unread = read_speeds(Path(runs))
    paths = board.write(cards, place, name, speeds)
    if fingerprint:
        note_written(place, name, fingerprint, problems + unread)
    return paths, problems + unread


def refresh_leaderboard(runs: Path | str = "runs") -> tuple[list[Path], list[str]]:
    """Write the board of all runs below a folder, unless it is up to date; see `leaderboard`.

    Raises:
        BenchError: see `leaderboard`.
    """
    from .leaderboards.written import find_fingerprint, list_outputs, read_written

    folder, name = Path(runs), "leaderboard"
    if folder.is_dir() and (problems := read_written(folder, name, find_fingerprint(folder, name))) is not None:
        return list_outputs(folder, name), problems
    return leaderboard(folder, name=name)


def show(run: Path | str, *, runs: Path | str = "runs") -> list[Card]:
    """Return the scorecards and failures of a run or row.

    Args:
        run: a run's folder, one of its test folders, an entry's .json, or a row's key or its start.
        runs: where to look for a row.

    Raises:
        BenchError: there are none, or one can't be read.
    """
    import re

    from .leaderboards.load import load_row, load_run

    is_key = re.fullmatch("[0-9a-f]{3,}", str(run)) and not Path(run).exists()
    return load_row(str(run), Path(runs)) if is_key else load_run(Path(run))


def check_entries(folder: Path | str) -> tuple[int, list[str]]:
    """Check submitted entries against their predictions; return their number, and a line for each problem.

    Raises:
        BenchError: no such folder.
    """
    from .benchmark.core.errors import BenchError
    from .leaderboards import entries

    if not Path(folder).is_dir():
        raise BenchError(f"no folder {folder}. Write entries with: bench submit RUN")
    return entries.check_entries(Path(folder))


def submit(run: Path | str, entries: Path | str = "leaderboards/entries") -> list[Path]:
    """Write a run's rows as leaderboard entries, predictions included; return the paths.

    Raises:
        BenchError: no such run, or its rows can't be submitted.
    """
    from .leaderboards.entries import submit as write_entries

    return write_entries(Path(run), Path(entries))


def _list_paths(runs: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(runs)] if isinstance(runs, Path | str) else [Path(run) for run in runs]
