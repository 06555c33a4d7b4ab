"""From predictions to a scorecard: every metric with interval and n, per method, per group, with coverage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import BenchError, add_article
from ..core.migrations import SCHEMA_VERSION
from ..core.predictions import PredictionsMetadata, name_table, read_score_table
from ..core.score_tables import HINT, OURS, REQUIRED, TableForm, is_nested
from ..core.scorecard import (
    LEVELS,
    NO_THRESHOLD,
    Counts,
    Coverage,
    Curves,
    Groups,
    Histogram,
    Level,
    ScoreCard,
    Threshold,
)
from ..core.source_validation import SourceValidation
from ..core.types import FAKE, REAL, Estimate
from . import calibration, metrics
from .attributes import (
    attribute_columns,
    collect_remarks,
    describe_data_rows,
    find_contradictions,
    group_names,
    with_attributes,
)
from .carried import measure_carried
from .group_gaps import SeedScores, find_shared_attributes, measure_fairness, take_videos
from .group_tests import compare_attributes
from .influence import Measured, Samples, measure_mean
from .intervals import (
    Parts,
    average_over_seeds,
    estimate_drawn,
    estimate_mean,
    estimate_positive,
    estimate_ranking,
    estimate_share,
)
from .method_rates import measure_method_groups, measure_methods
from .metrics import RANK_METRICS
from .people import People, find_people, number_apart
from .prevalence import (
    OF_BOTH_CLASSES,
    OF_FEW,
    estimate_precisions,
    measure_without_prevalence,
)
from .rankings import measure_ranking

if TYPE_CHECKING:
    import pandas as pd

_FLAT = ("logit", "dataset", "method", "identity")
SOURCE_VAL = "largest TPR - FPR on the source val split"


def pool_frames(frames: pd.DataFrame) -> pd.DataFrame:
    """Pool frame scores by their mean into one row per video, sorted by video id; missing annotations become ""."""
    return pool_frames_with_index(frames)[0]


def pool_frames_with_index(frames: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the videos, and for each frame the row of its video."""
    import pandas as pd

    members, ids = pd.factorize(frames["video"], sort=True)
    first = np.zeros(len(ids), dtype=np.int64)
    first[members[::-1]] = np.arange(len(members))[::-1]
    videos = with_attributes(frames.iloc[first].reset_index(drop=True))
    average = round_averages(np.bincount(members, frames["score"]) / np.bincount(members))
    kept = [c for c in ("video", "label", "method", "identity", *attribute_columns(videos)) if c in videos]
    texts = {c: group_names(videos[c]) for c in ("method", "identity", "dataset") if c in videos}
    videos = _name_by_dataset(videos.assign(**texts, score=average))
    return videos[[*kept, "score"]], members


def _name_by_dataset(videos: pd.DataFrame) -> pd.DataFrame:
    """Keep people of two datasets apart: the same name in both is two people."""
    if not {"dataset", "identity"} <= set(videos) or videos["dataset"].nunique() < 2:
        return videos
    both = zip(videos["dataset"], videos["identity"], strict=True)
    names = ["+".join(f"{d}/{p}" for p in identity.split("+") if p) for d, identity in both]
    return videos.assign(identity=names)


def round_averages(averages: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to 12 digits: the last ones depend on the frames' order, and would separate videos with equal scores."""
    size = np.maximum(np.abs(averages), 1e-290)
    unit = 10.0 ** np.floor(np.log10(size))
    return np.asarray(np.round(averages / unit, 11) * unit)


def check_predictions(frames: pd.DataFrame, table_name: str) -> None:
    """Reject a table that can't be scored: missing columns, no rows, NaN scores, labels other than 0 and 1.

    Raises:
        BenchError: names the column, and the first offending rows (1 is the first row of data).
    """
    import pandas as pd

    missing = [c for c in REQUIRED if c not in frames]
    if missing:
        raise BenchError(
            f"{table_name} has no column {', '.join(missing)}; it has {', '.join(map(str, frames.columns))}. "
            f"Needed: {', '.join(REQUIRED)} (no frame where a row is a video). {HINT}"
        )
    if frames.empty:
        raise BenchError(f"{table_name} has no rows: nothing to score")
    if lists := [c for c in (*REQUIRED, *_FLAT) if c in frames and is_nested(frames[c])]:
        raise BenchError(
            f"{table_name} has lists in its column {lists[0]}: each row is one frame and needs single values"
        )
    score = pd.to_numeric(frames["score"], errors="coerce").to_numpy(float)
    logit = pd.to_numeric(frames.get("logit", pd.Series(0.0, frames.index)), errors="coerce").to_numpy(float)
    named = with_attributes(frames, table_name)
    conflict = frames.groupby("video")["label"].transform("nunique").to_numpy() > 1
    for what, bad in (
        ("no video", (frames["video"].isna() | (frames["video"] == "")).to_numpy()),
        ("no frame", frames["frame"].isna().to_numpy()),
        ("a score that is not a finite number", ~np.isfinite(score)),
        ("a label other than 0 and 1", ~frames["label"].isin([REAL, FAKE]).to_numpy()),
        ("a label that differs from the video's other frames", conflict),
        ("a duplicate frame", frames.duplicated(["video", "frame"]).to_numpy()),
        ("a logit that is not a finite number", ~np.isfinite(logit)),
        *(
            (f"{add_article(c)} that differs from the video's other frames", find_contradictions(named, c))
            for c in attribute_columns(named)
        ),
        *(
            (f"{add_article(c)} that differs from the video's other frames", bad)
            for c, bad in _find_unlike_frames(frames)
        ),
    ):
        if bad.any():
            raise BenchError(f"{table_name}: {what} {describe_data_rows(bad)}")


def _find_unlike_frames(frames: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the columns that describe a video, with the rows that differ from its first; reals have no method."""
    fake = (frames["label"] == FAKE).to_numpy()
    for column in ("dataset", "method", "identity"):
        if column in frames:
            yield column, find_contradictions(frames, column) & (fake | (column != "method"))


def compute_scorecard(
    frames: pd.DataFrame,
    *,
    threshold: float | None,
    draws: int = 1000,
    rule: str = SOURCE_VAL,
    temperature: float | None = None,
    source: SourceValidation | None = None,
    metadata: PredictionsMetadata | None = None,
) -> ScoreCard:
    """Score a predictions table.

    Args:
        frames: one row per frame: `video`, `frame`, `label`, `score`, and if known `method`, `gender`, `race`, and
            `identity`, the people by which videos are clustered.
        threshold: the video-level operating point fixed on the source validation split; None if there is none.
        draws: number of draws of gaps and calibration errors, for their intervals.
        rule: the threshold's origin, in words.
        temperature, source: fitted on the source validation split; see `operating_points.fit_operating_point`.
        metadata: facts about the predictions.
    """
    frames, metadata = with_attributes(frames), metadata or PredictionsMetadata()
    one = make_seed_scores(frames, threshold, temperature, source.prior if source else None)
    videos, people = one.videos, find_shared_people([one])
    result, groups = measure_metrics([one], people, draws)
    scored, known = take_videos([one], people), find_shared_attributes([one])
    return ScoreCard(
        schema_version=SCHEMA_VERSION,
        kind="scorecard",
        status="done",
        cell=metadata.cell,
        metrics=result | (_measure_carried(one, people, source) if source else {}),
        methods=measure_methods(scored),
        groups=groups,
        group_tests=compare_attributes(scored, known),
        method_groups=measure_method_groups(scored, known),
        curves=_make_curves(videos),
        threshold=Threshold(value=one.at, rule=NO_THRESHOLD if threshold is None else rule),
        temperature=temperature,
        source_validation=source,
        counts=_count_samples(videos, frames),
        remarks=[*collect_remarks(frames), *_remark_nobody_known(videos), *_remark_unscaled(frames, threshold)],
        coverage=_count_coverage(metadata, len(videos)),
        throughput=metadata.throughput,
        params=metadata.params,
        flops=metadata.flops,
        faces=metadata.faces,
        artifacts=metadata.artifacts,
    )


def _count_coverage(metadata: PredictionsMetadata, scored: int) -> Coverage:
    official = scored if metadata.official is None else metadata.official
    coverage = Coverage(official=official, scored=scored, dropped=metadata.dropped)
    if metadata.several_people is None:
        return coverage
    return coverage.model_copy(update={"several_people": metadata.several_people})


def _remark_nobody_known(videos: pd.DataFrame) -> list[str]:
    if "identity" in videos and (videos["identity"] != "").any():
        return []
    hidden = "If several show the same person or use their face, intervals are too narrow and p-values too small"
    return [f"no people are named in the {len(videos)} videos: each is assumed to show a different person. {hidden}"]


def _measure_carried(one: SeedScores, people: People, source: SourceValidation) -> dict[str, Estimate]:
    found = measure_carried(take_samples(one, "video", people), source.thresholds, source.reals)
    return {f"video.{name}": e for name, e in found.items()}


def _remark_unscaled(frames: pd.DataFrame, threshold: float | None) -> list[str]:
    score = frames["score"].to_numpy(float)
    if threshold is not None or calibration.are_probabilities(score):
        return []
    called = f"{(score >= 0.5).mean():.0%} of the frames are called fake"
    said = f"scores from {score.min():g} to {score.max():g} are not probabilities, but the threshold is 0.5: {called}"
    return [f"{said}. Fix it on predictions of the source validation split: --threshold val --val FILE"]


def make_seed_scores(
    frames: pd.DataFrame,
    threshold: float | None = None,
    temperature: float | None = None,
    prior: float | None = None,
) -> SeedScores:
    """Pool a predictions table into videos; see `compute_scorecard`."""
    videos, of_frame = pool_frames_with_index(frames)
    return SeedScores(videos, frames, of_frame, threshold, temperature, prior)


def find_shared_people(seeds: Sequence[SeedScores]) -> People:
    """Return the people in the videos that all seeds scored, from the table that names most of them."""
    named = [s.videos["identity"] for s in seeds if "identity" in s.videos]
    if not named:
        return number_apart(np.arange(len(seeds[0].videos)))
    return find_people(max(named, key=lambda identity: int((identity != "").sum())).tolist())


def measure_metrics(seeds: Sequence[SeedScores], people: People, draws: int) -> tuple[dict[str, Estimate], Groups]:
    """Return all metrics, and the tables of groups, of one training seed or averaged over several.

    Args:
        seeds: each seed's predictions of the same videos, attributes as names, each with its own operating point.
        people: the people in the videos; see `find_shared_people`.
        draws: number of draws for metrics without a closed-form interval: gaps and calibration errors.
    """
    result = {}
    for level in LEVELS[::-1]:
        samples = [take_samples(s, level, people) for s in seeds]
        found = [_measure_level(x, s, level, draws) for x, s in zip(samples, seeds, strict=True)]
        n = min(len(x.labels) for x in samples)
        for name in (name for name in found[0] if all(name in f for f in found)):
            mean, parts = average_over_seeds([f[name] for f in found], people)
            result[f"{level}.{name}"] = estimate_metric(name, mean, samples[0], n=n, parts=parts)
    if "video.fpr" in result:
        precisions = estimate_precisions(result["video.fpr"], result["video.tpr"])
        result |= {f"video.{name}": e for name, e in precisions.items()}
    gaps, groups = measure_fairness(seeds, people, draws)
    return result | gaps, groups


def take_samples(seed: SeedScores, level: Level, people: People) -> Samples:
    """Return a seed's samples at one level: its videos or their frames."""
    table, of = (seed.videos, np.arange(len(seed.videos))) if level == "video" else (seed.frames, seed.video_of)
    return Samples(table["label"].to_numpy(np.int64), table["score"].to_numpy(float), of, people)


def _measure_level(samples: Samples, seed: SeedScores, level: Level, draws: int) -> dict[str, Measured]:
    label, score = samples.labels, samples.scores
    found = measure_ranking(samples)
    if seed.threshold is not None:
        found["acc"] = measure_mean(samples, label == (score >= seed.threshold))
    if calibration.are_probabilities(score):
        found |= calibration.measure_calibration(samples, draws)
        if seed.temperature is not None and level == "video":
            cooled = replace(samples, scores=calibration.apply_temperature(score, seed.temperature))
            scaled = calibration.measure_calibration(cooled, draws)
            found |= {f"{name}_scaled": measured for name, measured in scaled.items()}
    return found | (measure_without_prevalence(samples, seed.threshold, seed.prior, draws) if level == "video" else {})


def estimate_metric(name: str, found: Measured, samples: Samples, *, n: int, parts: Parts = ()) -> Estimate:
    """Return a metric with the right kind of interval: for a share, a mean, or a ranking of both classes.

    Args:
        name: the metric's, without its level.
        found: the metric.
        samples: the samples it was measured on, with their people and classes.
        n: the sample size to report.
        parts: the seeds' part of its variance.
    """
    if name in OF_FEW:
        return estimate_drawn(found, samples.people, samples.classes, n=n, parts=parts)
    if name in RANK_METRICS or name in OF_BOTH_CLASSES:
        cut = not name.startswith("ap_at_")
        return estimate_ranking(found, samples.people, samples.classes, n=n, parts=parts, cut=cut)
    if name == "cllr":
        return estimate_positive(found, samples.people, n=n, parts=parts)
    if found.sizes is not None and name in ("acc", "fpr", "tpr"):
        return estimate_share(found, samples.people, n=int(found.sizes.sum()), parts=parts)
    return estimate_mean(found, samples.people, n=n, parts=parts)


def _make_curves(videos: pd.DataFrame) -> Curves:
    """Return the data for charts of the videos' scores, in at most 101 points or 20 bins."""
    label, score = videos["label"].to_numpy(), videos["score"].to_numpy()
    roc = metrics.make_roc_curve(label, score).outline()
    if not calibration.are_probabilities(score):
        return Curves(roc=roc)
    bins = np.linspace(0, 1, 21)
    shares = (np.histogram(score[label == k], bins)[0] / max((label == k).sum(), 1) for k in (REAL, FAKE))
    real, fake = (share.round(4).tolist() for share in shares)
    points = calibration.reliability_curve(label, score)
    return Curves(
        roc=roc,
        histogram=Histogram(real=real, fake=fake),
        reliability=[(round(mean, 4), round(share, 4)) for mean, share, _ in points],
        reliability_n=[n for *_, n in points],
    )


def _count_samples(videos: pd.DataFrame, frames: pd.DataFrame) -> Counts:
    return Counts(
        videos=len(videos),
        real_videos=int((videos["label"] == REAL).sum()),
        fake_videos=int((videos["label"] == FAKE).sum()),
        frames=len(frames),
    )


def make_scorecard(
    predictions: Path | pd.DataFrame,
    threshold: float | None,
    draws: int,
    rule: str = SOURCE_VAL,
    temperature: float | None = None,
    form: TableForm = OURS,
    source: SourceValidation | None = None,
) -> ScoreCard:
    """Score predictions, a table or a file in this format; see `compute_scorecard` for the arguments.

    Raises:
        BenchError: they can't be scored; see `read_score_table` and `check_predictions`.
    """
    found, metadata = read_score_table(predictions, form)
    check_predictions(found.table, name_table(predictions))
    card = compute_scorecard(
        found.table,
        threshold=threshold,
        draws=draws,
        rule=rule,
        temperature=temperature,
        source=source,
        metadata=metadata,
    )
    card = card.model_copy(update={"remarks": [*found.remarks, *card.remarks]})
    return _leave_out_frames(card) if found.by_video else card


def _leave_out_frames(card: ScoreCard) -> ScoreCard:
    """Return the scorecard of a table whose rows are videos."""
    metrics = {name: e for name, e in card.metrics.items() if not name.startswith("frame.")}
    groups = {
        attribute: {name: cell.without(["frame"]) for name, cell in cells.items()}
        for attribute, cells in card.groups.items()
    }
    counts = card.counts.model_copy(update={"frames": 0})
    return card.model_copy(update={"metrics": metrics, "groups": groups, "counts": counts})
