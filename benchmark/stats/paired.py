"""Whether two detectors differ: paired tests on the same videos, with seeds pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy

from ..core.display import say_once
from ..core.errors import BenchError, make_unknown_error, require_existing
from ..core.predictions import read_score_table
from ..core.scorecard import Level
from ..core.storage import PREDICTIONS
from ..core.types import FAKE, Estimate
from . import calibration
from .group_gaps import SeedScores
from .influence import Measured, delong
from .intervals import SAME, Parts, average_over_seeds, estimate_difference, holm, p_value
from .metrics import RANK_METRICS
from .rankings import measure_ranking
from .scoring import check_predictions, estimate_metric, find_shared_people, make_seed_scores, take_samples
from .unscored import LOST, WON, choose_credit, measure_coverage

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("video", "frame")
METRICS = tuple(f"{level}.{name}" for level in LEVELS for name in (*RANK_METRICS, "ece", "brier"))
SeedTables = Sequence["pd.DataFrame"]
"""One detector's predictions on one test set: a table for each training seed."""


class Comparison(NamedTuple):
    """Two detectors on the same videos, and their difference a - b.

    `p_delong` ignores clusters (video AUC only); `p_holm` is corrected for the number of test sets, if there are
    several. `lacking` are the videos that a and b didn't score, the most of any seed: they count as failures.
    """

    a: Estimate
    b: Estimate
    difference: Estimate
    p: float
    p_delong: float | None = None
    p_holm: float | None = None
    lacking: tuple[int, int] = (0, 0)


def compare(a: SeedTables, b: SeedTables, metric: str = "video.auc", draws: int = 1000) -> Comparison:
    """Compare two detectors on all videos that either of them has, by each video's influence on their difference.

    A video missing from a table counts as a failure: midway between wrong and right, as in `unscored.place_videos`, or
    as wrong if less than 98 % of a class was scored.

    Raises:
        BenchError: no metric of that name, no video in common, or scores that the metric doesn't allow.
    """
    if metric not in METRICS:
        raise make_unknown_error(f"no metric '{metric}' to compare", metric, METRICS)
    keep_shared_videos([a, b])  # Raises if none is in common.
    sides = [[_CompletedSeed(table, [*a, *b], metric) for table in tables] for tables in (a, b)]
    sample = _SharedVideos([seed.lost for side in sides for seed in side], metric, draws)
    (first, parts), (second, others) = (
        average_over_seeds([sample.measure_completed(s) for s in of], sample.people) for of in sides
    )
    difference, seeds = first.subtract(second), [*parts, *others]
    between = estimate_difference(difference, sample.people, n=sample.n, parts=seeds)
    if between.lo is None and between.note != SAME:
        raise BenchError(f"{metric} can't be compared on {between.n} {metric.partition('.')[0]}s: {between.note}")
    lacking = (max(s.lacking for s in sides[0]), max(s.lacking for s in sides[1]))
    whole = metric == "video.auc" and lacking == (0, 0)
    return Comparison(
        sample.estimate(sides[0][0].lost, first, parts),
        sample.estimate(sides[1][0].lost, second, others),
        between,
        p_value(difference, sample.people, seeds),
        _delong(*([s.lost for s in side] for side in sides)) if whole else None,
        lacking=lacking,
    )


class _CompletedSeed:
    """A table completed with the videos that others have, once with all-wrong and once with all-right scores.

    `lost` and `won` are the same if nothing is missing.
    """

    def __init__(self, table: pd.DataFrame, others: SeedTables, metric: str):
        known = set(table["video"].unique())
        extra = []
        for other in others:
            missing = other[~other["video"].isin(known)]
            known |= set(missing["video"].unique())
            extra += [missing] if len(missing) else []
        self.lacking = len(known) - table["video"].nunique()
        self.credit = _choose_credit(table, extra)
        ends = (table["score"].min() - 1, table["score"].max() + 1)
        if metric.rpartition(".")[2] not in RANK_METRICS:
            ends = (0.0, 1.0)
        self.lost, self.won = (make_seed_scores(_fill(table, extra, found)) for found in (ends, ends[::-1]))


def _choose_credit(table: pd.DataFrame, extra: SeedTables) -> float:
    import pandas as pd

    if not extra:
        return WON
    labels = pd.concat([table, *extra]).drop_duplicates("video")
    scored = labels["video"].isin(table["video"].unique())
    return choose_credit(measure_coverage(labels["label"], np.where(scored, 0.0, np.nan)))


def _fill(table: pd.DataFrame, extra: SeedTables, ends: tuple[float, float]) -> pd.DataFrame:
    """Add a table's missing rows: fakes with the first score, reals with the second."""
    import pandas as pd

    if not extra:
        return table
    columns = [c for c in table.columns if c != "logit"]
    rows = pd.concat(extra)
    scored = rows.assign(score=np.where(rows["label"] == FAKE, *ends))
    return pd.concat([table[columns], scored[[c for c in columns if c in scored]]], ignore_index=True)


class _SharedVideos:
    """The videos that several tables share, with the people that one of the tables names."""

    def __init__(self, seeds: Sequence[SeedScores], metric: str, draws: int):
        level, _, self.name = metric.partition(".")
        self.level: Level = "frame" if level == "frame" else "video"
        self.people, self.draws = find_shared_people(seeds), draws
        self.n = len(seeds[0].videos) if self.level == "video" else min(len(s.frames) for s in seeds)

    def measure_completed(self, seed: _CompletedSeed) -> Measured:
        """Return a seed's metric: between its values with missing videos counted as wrong and as right."""
        lost = self.measure(seed.lost)
        if not seed.lacking or seed.credit == LOST:
            return lost
        won = self.measure(seed.won)
        value, influence = (lost.value + won.value) / 2, (lost.influence + won.influence) / 2
        return replace(lost, value=value, influence=influence)

    def measure(self, one: SeedScores) -> Measured:
        """Return the metric of one table."""
        samples = take_samples(one, self.level, self.people)
        if self.name in RANK_METRICS:
            return measure_ranking(samples, [self.name])[self.name]
        score = samples.scores
        if not calibration.are_probabilities(score):
            raise BenchError(
                f"{self.level}.ece and {self.level}.brier need scores from 0 to 1; found {score.min():g} to "
                f"{score.max():g}. Compare a metric that needs only their order: --metric {self.level}.auc"
            )
        return calibration.measure_calibration(samples, self.draws)[self.name]

    def estimate(self, one: SeedScores, found: Measured, parts: Parts) -> Estimate:
        """Return the metric with its interval; `one` is one of the tables."""
        return estimate_metric(self.name, found, take_samples(one, self.level, self.people), n=self.n, parts=parts)


def _delong(a: Sequence[SeedScores], b: Sequence[SeedScores]) -> float | None:
    """Return DeLong's p for one seed each, as if all videos were independent."""
    if len(a) > 1 or len(b) > 1:
        return None
    first, second = a[0].videos, b[0].videos
    aucs, covariance = delong(first["label"], [first["score"], second["score"]])
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return float(2 * scipy.special.ndtr(-abs(aucs[0] - aucs[1]) / error)) if error > 0 else None


def keep_shared_videos(groups: Sequence[SeedTables]) -> list[list[pd.DataFrame]]:
    """Remove videos that not all tables have from each of them."""
    ids = [set(table["video"].unique()) for tables in groups for table in tables]
    shared = set.intersection(*ids)
    if not shared:
        raise BenchError("no video in common: a paired test needs the same videos. Score both on the same test set")
    if all(len(i) == len(shared) for i in ids):
        return [list(tables) for tables in groups]
    return [[table[table["video"].isin(shared)] for table in tables] for tables in groups]


def read_run(path: Path) -> dict[str, pd.DataFrame]:
    """Read the predictions of a run folder, of one test folder or a file: {test set: table}.

    Raises:
        BenchError: there are none, or they can't be scored.
    """
    files = [path]
    if path.is_dir():
        files = [f for f in (path / PREDICTIONS,) if f.is_file()] or sorted(path.glob(f"test.*/{PREDICTIONS}"))
        if not files:
            raise BenchError(f"no predictions in {path}. Give a run's folder, its test folder, or a predictions file")
    found = {}
    for file in files:
        read, metadata = read_score_table(file)
        check_predictions(read.table, str(file))
        for remark in read.remarks:
            say_once(f"{file}: {remark}")
        found[metadata.cell.test or file.stem] = read.table
    return found


def pair_test_sets(a: Sequence[Path], b: Sequence[Path]) -> dict[str, tuple[list[pd.DataFrame], list[pd.DataFrame]]]:
    """Pair the test sets of two detectors, each given as one run or several with different seeds.

    Returns:
        {test set: their predictions, one table per run}.

    Raises:
        BenchError: they share no test set.
    """
    runs = {path: read_run(path) for path in (*a, *b)}
    if all(len(found) == 1 for found in runs.values()):  # Files from elsewhere don't name their test set.
        name = next(iter(runs[a[0]]))
        runs = {path: {name: next(iter(found.values()))} for path, found in runs.items()}
    shared = [test for test in runs[a[0]] if all(test in found for found in runs.values())]
    if not shared:
        listed = "; ".join(f"{path} has {', '.join(found)}" for path, found in runs.items())
        raise BenchError(f"no test set in common: {listed}")
    return {test: ([runs[p][test] for p in a], [runs[p][test] for p in b]) for test in shared}


def compare_runs(
    a: Sequence[Path], b: Sequence[Path], metric: str = "video.auc", draws: int = 1000
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Compare two detectors on each test set that both have; see `pair_test_sets` for the paths.

    Returns:
        {test set: comparison}, and why others have none.

    Raises:
        BenchError: there is no such run, or no test set could be compared.
    """
    paths = [require_existing(path, "run or predictions") for path in (*a, *b)]
    found, left = {}, {}
    for test, (tables_a, tables_b) in pair_test_sets(a, b).items():
        try:
            check_same_videos(paths, [*tables_a, *tables_b])
            found[test] = compare(tables_a, tables_b, metric, draws)
        except BenchError as error:
            left[test] = str(error)
    if not found:
        raise BenchError("; ".join(f"{test}: {why}" for test, why in left.items()))
    corrected = holm([c.p for c in found.values()]).tolist()
    return {t: c._replace(p_holm=p) for (t, c), p in zip(found.items(), corrected, strict=True)}, left


def check_same_videos(paths: Sequence[Path], tables: SeedTables) -> None:
    """Reject tables with different labels, or with less than half of the videos; `paths` names each table.

    Raises:
        BenchError: a table isn't of the same test set.
    """
    labels: dict[str, int] = {}
    for path, table in zip(paths, tables, strict=True):
        own = dict(zip(table["video"], table["label"], strict=True))
        if wrong := [v for v in own if labels.get(v, own[v]) != own[v]]:
            raise BenchError(f"{len(wrong)} videos have a different label in {path} than before; first: {wrong[0]}")
        labels |= own
    for path, table in zip(paths, tables, strict=True):
        known = set(table["video"].unique())
        if 2 * len(known) < len(labels):
            first = min(labels.keys() - known)
            raise BenchError(
                f"{path} has {len(known)} of {len(labels)} videos, less than half; first missing one: {first}. "
                "A paired test needs the same videos: score both on the same test set"
            )
