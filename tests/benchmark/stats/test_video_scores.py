"""The fast reader of video scores returns the same as the slow one, and accepts the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.stats.scoring import pool_frames
from crossfake.benchmark.stats.video_scores import pool_video_scores, read_frame_scores

RNG = np.random.default_rng(0)
FRAMES = pd.DataFrame(
    {
        "video": np.repeat(["b/2.mp4", "a/1.mp4", "c/3.mp4"], 4),
        "frame": np.tile(range(4), 3),
        "label": np.repeat([1, 0, 1], 4),
        "method": np.repeat(["Swap", "real", "Swap"], 4),
        "identity": np.repeat(["p+q", "p", None], 4),
        "score": RNG.random(12).astype(np.float32),
    }
)


def written(path: Path, frames: pd.DataFrame) -> Path:
    write_predictions(path, frames, PredictionsMetadata())
    return path


@pytest.mark.parametrize(
    "frames", [FRAMES, FRAMES.drop(columns=["identity", "method"]), FRAMES.sample(frac=1, random_state=1)]
)
def test_it_reads_the_output_of_pooling(tmp_path, frames):
    found = pool_video_scores(read_frame_scores(written(tmp_path / "p.parquet", frames)))
    slow = pool_frames(frames).set_index("video")
    assert sorted(found.ids) == ["a/1.mp4", "b/2.mp4", "c/3.mp4"]
    assert found.label.tolist() == slow.loc[found.ids, "label"].tolist()
    assert found.score.tolist() == pytest.approx(slow.loc[found.ids, "score"].tolist(), rel=1e-6)
    people = {"a/1.mp4": "p", "b/2.mp4": "p+q", "c/3.mp4": ""}
    assert found.identity == [people[v] if "identity" in frames else "" for v in found.ids]


@pytest.mark.parametrize(
    "frames",
    [
        FRAMES.drop(columns="label"),
        FRAMES.head(0),
        FRAMES.assign(score=[np.nan, *FRAMES["score"][1:]]),
        FRAMES.assign(label=2),
        FRAMES.assign(label=[0, *FRAMES["label"][1:]]),
        FRAMES.assign(video=[None, *FRAMES["video"][1:]]),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(tmp_path, frames):
    path = written(tmp_path / "p.parquet", frames)
    with pytest.raises(BenchError, match=r"p\.parquet"):
        read_frame_scores(path)
