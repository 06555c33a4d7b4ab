"""Unscored videos count: bounds are valid, and leaving out videos never improves a result."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.metrics import auc
from crossfake.benchmark.stats.unscored import (
    HALF,
    LOST,
    bound_auc,
    bound_by_coverage,
    choose_credit,
    list_videos,
    measure_coverage,
    place_videos,
)
from crossfake.benchmark.stats.video_scores import VideoScores
from hypothesis import given
from hypothesis import strategies as st


def scores_of(ids: list[str], label: list[int], **more: object) -> VideoScores:
    return VideoScores(ids, np.array(label), np.linspace(0, 1, len(ids)), [""] * len(ids), **more)


def world(seed: int, strength: float, reals: int = 40, fakes: int = 60) -> tuple[np.ndarray, np.ndarray]:
    label = np.repeat([0, 1], [reals, fakes])
    return label, np.random.default_rng(seed).normal(size=reals + fakes) + strength * label


@given(st.integers(0, 10_000), st.floats(-1, 4), st.floats(0, 1))
def test_placements_average_to_the_auc_and_influences_sum_to_zero(seed, strength, credit):
    label, score = world(seed, strength)
    score = np.round(score, 1)  # Ties.
    found, influence = place_videos(label, score, credit)
    assert found == pytest.approx(float(auc(label, score)))
    for which in (0, 1):
        assert influence[label == which].sum() == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10_000), st.floats(-1, 4), st.floats(0, 0.9))
def test_the_auc_is_within_the_bounds_whatever_the_missing_scores_are(seed, strength, share):
    label, score = world(seed, strength)
    lacking = np.random.default_rng(seed + 1).random(len(label)) < share
    part = np.where(lacking, np.nan, score)
    bounds = bound_auc(label, part, place_videos(label, part, HALF)[0])
    assert bounds.worst - 1e-12 <= float(auc(label, score)) <= bounds.best + 1e-12
    assert bounds.worst <= bounds.counted <= bounds.best
    assert bounds.counted == pytest.approx((bounds.worst + bounds.best) / 2)


@given(st.integers(0, 10_000), st.floats(-1, 4), st.floats(0.01, 0.5))
def test_a_row_that_drops_what_it_gets_wrong_never_gains(seed, strength, share):
    label, score = world(seed, strength)
    whole, influence = place_videos(label, score, HALF)
    hardest = np.argsort(influence)[: max(int(share * len(label)), 3)]  # More than 2 % of a class.
    part = score.copy()
    part[hardest] = np.nan
    covered = measure_coverage(label, part)
    assert covered < 0.98
    assert place_videos(label, part, choose_credit(covered))[0] <= whole + 1e-12


def test_the_hardest_fifth_left_out_looks_perfect_and_counts_for_less():
    label, score = world(3, 2.0)
    _, influence = place_videos(label, score, HALF)
    part = score.copy()
    part[np.argsort(influence)[:20]] = np.nan
    kept = np.isfinite(part)
    assert float(auc(label[kept], part[kept])) > 0.99
    counted, _ = place_videos(label, part, choose_credit(measure_coverage(label, part)))
    bounds = bound_auc(label, part, counted)
    assert bounds.counted == bounds.worst < 0.75


def test_the_share_that_was_scored_bounds_an_auc_without_predictions():
    assert bound_by_coverage(0.9, 1.0) == (0.9, 0.9, 0.9)
    assert bound_by_coverage(0.9, 0.95) == pytest.approx((0.81225, 0.81225, 0.90975))
    assert choose_credit(0.98) == HALF
    assert choose_credit(0.979) == choose_credit(float("nan")) == LOST


def test_the_list_joins_the_videos_of_all_tables_with_labels_from_any_that_has_them():
    one = scores_of(["a", "b", "c"], [0, 1, 1], dropped={"x": None, "y": 1})
    other = scores_of(["a", "c", "x"], [0, 1, 0], dropped={"b": None, "z": None})
    videos = list_videos([one, other])
    assert list(videos.place) == ["a", "b", "c", "x", "y", "z"]
    assert videos.label.tolist() == [0, 1, 1, 0, 1, 0]  # z: its label is unknown, and there are fewer reals.


def test_coverage_is_that_of_the_less_covered_class():
    label = np.array([0, 0, 1, 1, 1, 1])
    assert measure_coverage(label, np.array([0.1, np.nan, 1, 1, 1, 1])) == 0.5
    assert measure_coverage(label, np.arange(6.0)) == 1
    assert np.isnan(measure_coverage(np.ones(3), np.arange(3.0)))
