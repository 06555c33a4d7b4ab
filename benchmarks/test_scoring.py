"""Metrics of a million frames against a metric library and loops over names, as benchmarks of detectors pool them.

The other way makes one table of texts of names, predictions and labels, pools it in a loop over its rows, and calls
scikit-learn once a metric; for intervals, once more for every draw.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.stats.attributes import attribute_columns
from crossfake.benchmark.stats.metrics import RANK_METRICS, make_roc_curve
from crossfake.benchmark.stats.scoring import compute_scorecard, pool_frames
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

VIDEOS, FRAMES, DRAWS = 31_250, 32, 1000
PLAIN = ("frame AUC", "video AUC", "AP", "EER", "ACC")


def predictions(videos: int, frames: int) -> pd.DataFrame:
    """Return one row per frame: half of the videos fake, those of five methods, of people of 2 x 4 groups."""
    rng = np.random.default_rng(0)
    number = np.arange(videos)
    label = number % 2
    method = np.where(label == 1, np.array(["A", "B", "C", "D", "E"])[number // 2 % 5], "real")
    table = pd.DataFrame(
        {
            "video": [f"{m}/c23/videos/{i:05d}.mp4" for m, i in zip(method, number, strict=True)],
            "label": label,
            "method": method,
            "gender": np.array(["female", "male"])[number // 2 % 2],
            "race": np.array(["asian", "black", "others", "white"])[number // 4 % 4],
            "hard": 1.2 * label + rng.normal(size=videos),
        }
    )
    table = table.loc[np.repeat(number, frames)].reset_index(drop=True)
    logit = table.pop("hard") + rng.normal(size=len(table))
    return table.assign(frame=np.tile(np.arange(frames), videos), score=1 / (1 + np.exp(-logit)))


def ours(frames: pd.DataFrame) -> dict[str, float]:
    videos = pool_frames(frames)
    label, score = frames["label"].to_numpy(), frames["score"].to_numpy()
    whole = make_roc_curve(label, score)
    found = [
        RANK_METRICS["auc"](whole),
        make_roc_curve(videos["label"], videos["score"]).auc(),
        RANK_METRICS["ap"](whole),
    ]
    found += [RANK_METRICS["eer"](whole), np.mean(label == (score >= 0.5))]
    return dict(zip(PLAIN, map(float, found), strict=True))


def theirs(frames: pd.DataFrame) -> dict[str, float]:
    label, score = frames["label"].to_numpy(), frames["score"].to_numpy()
    rows = np.transpose(np.stack((frames["video"].to_numpy(str), score, label)))
    pooled: dict[str, list[tuple[float, float]]] = {}
    for name, prediction, truth in rows:
        pooled.setdefault(name, []).append((float(prediction), float(truth)))
    means = [np.mean([p for p, _ in video]) for video in pooled.values()]
    fpr, tpr, _ = roc_curve(label, score)
    eer = fpr[np.nanargmin(np.absolute(1 - tpr - fpr))]
    video_auc = roc_auc_score([video[0][1] for video in pooled.values()], means)
    found = [roc_auc_score(label, score), video_auc, average_precision_score(label, score), eer]
    return dict(zip(PLAIN, [*map(float, found), float(np.mean((score >= 0.5) == label))], strict=True))


@pytest.mark.benchmark(group="plain metrics of 1,000,000 frames")
@pytest.mark.parametrize("way", [ours, theirs], ids=["ours", "texts, a loop and scikit-learn"])
def test_plain_metrics(benchmark, way: Callable[[pd.DataFrame], dict[str, float]]):
    frames = predictions(VIDEOS, FRAMES)
    found = benchmark.pedantic(way, args=(frames,), rounds=3, warmup_rounds=1)
    assert found == pytest.approx(ours(frames), abs=1e-5)  # their EER takes the nearest point of the curve


def our_draws(frames: pd.DataFrame, draws: int) -> NDArray[np.float64]:
    e = compute_scorecard(frames[["video", "frame", "label", "score"]], threshold=0.5, draws=draws).metrics["frame.auc"]
    return np.array([e.lo, e.hi])


def their_draws(frames: pd.DataFrame, draws: int) -> NDArray[np.float64]:
    rng, found = np.random.default_rng(0), []
    members = [*frames.groupby("video").indices.values()]
    for _ in range(draws):
        chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        label, score = frames["label"].to_numpy()[chosen], frames["score"].to_numpy()[chosen]
        found.append(roc_auc_score(label, score))
    return np.quantile(found, [0.025, 0.975])


@pytest.mark.benchmark(
    group="1,000 draws over 3,125 videos of 32 frames: ours of 16 metrics, the loop of frame AUC alone"
)
@pytest.mark.parametrize("way", [our_draws, their_draws], ids=["ours", "a loop over draws"])
def test_intervals(benchmark, way: Callable[[pd.DataFrame, int], NDArray[np.float64]]):
    frames = predictions(VIDEOS // 10, FRAMES)
    found = benchmark.pedantic(way, args=(frames, DRAWS), rounds=1)
    assert found == pytest.approx(our_draws(frames, DRAWS), abs=2e-3)


@pytest.mark.benchmark(group="the whole scorecard of 1,000,000 frames in 31,250 videos, 8 groups, 1,000 draws")
def test_scorecard(benchmark):
    frames = predictions(VIDEOS, FRAMES)
    assert attribute_columns(frames) == ["gender", "race"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    card = benchmark.pedantic(compute_scorecard, args=(frames,), kwargs={"threshold": 0.5, "draws": DRAWS}, rounds=1)
    benchmark.extra_info["MB more than before (run alone)"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    ) / 1e3
    print(f"  {benchmark.extra_info}")
    assert len(card.groups["intersection"]) == 8
    assert all(e.lo is not None for name, e in card.metrics.items() if name.startswith(("video.", "frame.")))
