"""Codes of groups and manipulations, and summaries of training sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Face, TrainSample, Video
from crossfake.detectors.common.crops import BoxCrop
from crossfake.detectors.pgfdd.labels import FairnessSampler, encode_group, inspect_training_set, number_methods


def video(name, label, method, gender="male", race="white"):
    groups = {k: v for k, v in {"gender": gender, "race": race}.items() if v}
    return Video(name, Path(name), label, method, "train", groups=groups)


@pytest.mark.parametrize(
    ("gender", "race", "code"),
    [
        *(("male", "asian", 0), ("male", "white", 1), ("male", "black", 2), ("male", "others", 3)),
        *(("female", "asian", 4), ("nonmale", "white", 5), ("nomale", "black", 6), ("female", "others", 7)),
        *(("female", "", None), ("", "white", None), ("male", "undefined", None)),
    ],
)
def test_group_codes_are_the_papers(gender, race, code):
    assert encode_group({"gender": gender, "race": race}) == code


def test_manipulations_are_numbered_as_in_the_paper_then_by_name():
    assert number_methods(["FaceSwap"]) == {
        "Deepfakes": 1,
        "Face2Face": 2,
        "FaceSwap": 3,
        "NeuralTextures": 4,
        "FaceShifter": 5,
    }
    assert number_methods(["b", "a", "b"]) == {"a": 1, "b": 2}
    with pytest.raises(BenchError, match="can distinguish 5 manipulations, and the training videos have 6"):
        number_methods(["FaceSwap", "a"])


def test_study_keeps_annotated_videos_and_counts_their_frames():
    videos = [video("a", 0, "real"), video("b", 1, "x", "female", "asian"), video("c", 1, "x", "", "asian")]
    kept, training_stats = inspect_training_set(videos, {"a": 3, "b": 5, "c": 7})
    assert [v.id for v in kept] == ["a", "b"]
    assert training_stats.counts.tolist() == [0, 3, 0, 0, 5, 0, 0, 0]
    assert training_stats.methods == {"x": 1}
    with pytest.raises(BenchError, match=r"known for 1 of 2 training videos.*demographics.csv"):
        inspect_training_set([video("a", 0, "real"), video("b", 1, "x", race="")], {})


@pytest.mark.parametrize("augment", [False, True])
def test_the_sampler_adds_codes_to_the_crop(augment):
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 60, (81, 2)).astype(np.float32)
    face = Face(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8), points, np.zeros(4, np.float32), 0, (0, 0), (80, 80))
    sampler = FairnessSampler(BoxCrop(64), {"Deepfakes": 1, "FaceSwap": 3}, augment)
    fake = sampler(TrainSample(face, 1, None, "FaceSwap", {"gender": "female", "race": "others"}), rng)
    assert {k: int(v) for k, v in fake.items() if k != "image"} == {"label": 1, "label_spe": 3, "intersec_label": 7}
    real = sampler(TrainSample(face, 0, None, "real", {"gender": "male", "race": "asian"}), rng)
    assert {k: int(v) for k, v in real.items() if k != "image"} == {"label": 0, "label_spe": 0, "intersec_label": 0}
    assert fake["image"].shape == (64, 64, 3)
    assert np.array_equal(fake["image"], BoxCrop(64)(face)) != augment
