"""A repeated row is identical, equal within noise, or different, even with few videos."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.repeats import compare_repeats, find_score_noise, find_seed_noise
from crossfake.benchmark.stats.video_scores import VideoScores
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

LABEL = np.repeat([0, 1], [60, 90])
IDS = [f"v{i:03}" for i in range(150)]


def scored(score: np.ndarray) -> VideoScores:
    return VideoScores(IDS, LABEL, score, [""] * 150)


def row(seed: int, strength: float = 1.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=150) + strength * LABEL


def test_the_same_scores_are_identical_in_any_order():
    turned = VideoScores(IDS[::-1], LABEL[::-1], row(0)[::-1], [""] * 150)
    assert compare_repeats([scored(row(0))], [turned], trained=True) == ("identical", 0, 0, 0, "")


def test_rounding_is_noise_and_a_weaker_detector_is_not():
    noise = 1e-3 * np.random.default_rng(1).normal(size=150)
    near = compare_repeats([scored(row(0))], [scored(row(0) + noise)], trained=False)
    assert (near.verdict, near.changed, near.note) == ("same within noise", 150, "")
    assert near.tolerance < 0.005
    weaker = row(0) - 0.4 * LABEL  # Within the interval of 150 videos, but a different detector.
    far = compare_repeats([scored(row(0))], [scored(weaker)], trained=False)
    assert far.verdict == "different"
    assert abs(far.difference) > far.tolerance > 0


def test_other_seeds_may_differ_by_as_much_as_seeds_do():
    recorded = [scored(row(0, s)) for s in (1.0, 1.5, 2.0)]
    again = [scored(row(0, s)) for s in (1.2, 1.3, 1.6)]
    assert compare_repeats(recorded, again, trained=True).verdict == "same within noise"
    assert compare_repeats(recorded, again, trained=False).verdict == "different"
    assert compare_repeats(recorded[:1], again[:1], trained=True).note == "one seed: what others give isn't known"


def test_videos_that_were_scored_only_once_make_a_difference():
    fewer = VideoScores(IDS[1:], LABEL[1:], row(0)[1:], [""] * 149)
    found = compare_repeats([scored(row(0))], [fewer], trained=True)
    assert (found.verdict, found.note) == ("different", "1 videos were scored only once")


def test_seed_noise_is_that_of_a_difference_of_means():
    assert find_seed_noise(np.array([0.8, 0.9, 0.85]), 0.01) == pytest.approx(t.ppf(0.995, 2) * 0.05 * np.sqrt(2 / 3))
    assert find_seed_noise(np.array([0.8]), 0.01) == 0


@settings(max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_a_few_changed_scores_are_never_more_than_noise(seed, count):
    a = row(seed)
    b = a.copy()
    b[np.random.default_rng(seed).choice(150, count, replace=False)] -= 3
    assert abs(compare_repeats([scored(a)], [scored(b)], trained=False).difference) <= find_score_noise(
        [(LABEL, a, b)], 0.01
    )


def count_false_alarms(worlds: int) -> float:
    """Return how often two noisy repetitions of one detector are judged different."""
    alarms = 0
    for k in range(worlds):
        rng = np.random.default_rng([3, k])
        true = rng.normal(size=150) + 1.5 * LABEL
        a, b = (scored(true + 0.1 * rng.normal(size=150)) for _ in range(2))
        alarms += compare_repeats([a], [b], trained=False).verdict == "different"
    return alarms / worlds


@pytest.mark.slow
def test_noise_is_called_different_in_1_percent():
    share = count_false_alarms(2000)
    print(f"\nnoisy repeats called different: {share:.1%}")
    assert share <= 0.02


def test_noise_is_rarely_called_different():
    assert count_false_alarms(15) <= 1 / 15
