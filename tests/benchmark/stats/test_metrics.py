"""Metrics against scikit-learn and their definitions, and in edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats import metrics
from crossfake.benchmark.stats.metrics import RANK_METRICS, make_roc_curve
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

# Few different scores, so that ties are common.
samples = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=40)


def columns(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, s, w = (np.array(c, float) for c in zip(*rows, strict=True))
    return y, s / 8, w


@given(samples)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    y, s, _ = columns(rows)
    fakes, reals = s[y == 1], s[y == 0]
    pairs = fakes[:, None] - reals[None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean() if pairs.size else np.nan
    assert metrics.auc(y, s) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(samples)
def test_weights_count_like_repeated_samples(rows):
    y, s, w = columns(rows)
    repeated = np.repeat(np.arange(len(y)), w.astype(int))
    whole, weighted = make_roc_curve(y[repeated], s[repeated]), make_roc_curve(y, s, w)
    for name, metric in RANK_METRICS.items():
        assert metric(weighted) == pytest.approx(float(metric(whole)), abs=1e-9, nan_ok=True), name


@given(samples)
def test_a_matrix_of_weights_gives_one_value_per_row(rows):
    y, s, w = columns(rows)
    both = np.stack([np.ones_like(w), w])
    for metric in RANK_METRICS.values():
        expected = [float(metric(make_roc_curve(y, s))), float(metric(make_roc_curve(y, s, w)))]
        assert metric(make_roc_curve(y, s, both)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(samples)
def test_agrees_with_scikit_learn(rows):
    y, s, _ = columns(rows)
    if 0 < y.sum() < len(y):
        assert metrics.auc(y, s) == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        assert make_roc_curve(y, s).average_precision() == pytest.approx(average_precision_score(y, s), abs=1e-12)


@given(samples, st.sampled_from([0.0, 0.01, 0.05, 0.3]))
def test_tpr_at_an_fpr_is_the_best_that_a_threshold_gives(rows, level):
    y, s, w = columns(rows)
    if not 0 < y.sum() < len(y):
        return
    rates = [[np.mean(s[y == label] >= t) for label in (0, 1)] for t in (2.0, *s)]
    best = max(tpr for fpr, tpr in rates if fpr <= level)
    assert make_roc_curve(y, s).tpr_at_fpr(level) == pytest.approx(best, abs=1e-12)
    repeated = np.repeat(np.arange(len(y)), w.astype(int))
    expected = make_roc_curve(y[repeated], s[repeated]).tpr_at_fpr(level)
    assert make_roc_curve(y, s, w).tpr_at_fpr(level) == pytest.approx(float(expected), abs=1e-12, nan_ok=True)


@given(samples)
def test_the_outline_is_the_roc_curve_of_scikit_learn(rows):
    y, s, _ = columns(rows)
    if not 0 < y.sum() < len(y):
        assert make_roc_curve(y, s).outline() == []
        return
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    points = np.array(make_roc_curve(y, s).outline(100_001))
    assert points == pytest.approx(np.stack([fpr, tpr], 1), abs=1e-4)


def test_a_long_curve_is_drawn_in_few_points():
    rng = np.random.default_rng(0)
    y = np.arange(5000) % 2
    points = np.array(make_roc_curve(y, rng.normal(size=5000) + y).outline())
    assert len(points) <= 101
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(0.76, abs=0.02)


@given(samples)
def test_order_preserving_changes_of_scores_do_not_matter(rows):
    y, s, _ = columns(rows)
    for metric in metrics.RANK_METRICS.values():
        expected = float(metric(make_roc_curve(y, s)))
        assert metric(make_roc_curve(y, np.exp(3 * s))) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
@pytest.mark.parametrize("name", list(metrics.RANK_METRICS))
def test_one_class_is_undefined_never_zero(name, labels):
    assert np.isnan(metrics.RANK_METRICS[name](make_roc_curve(labels, [0.3, 0.6][: len(labels)])))


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 1.0),
        ([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], 0.5),
        ([0, 1], [0.5, 0.5], 0.5),
        ([0, 0, 0, 1, 1], [0.1, 0.2, 0.9, 0.3, 1.0], 1 / 3),
    ],
)
def test_equal_error_rate(labels, scores, expected):
    assert make_roc_curve(labels, scores).equal_error_rate() == pytest.approx(expected)


def test_best_threshold_lies_between_the_classes():
    assert metrics.best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)
    assert metrics.best_threshold([0, 0], [0.1, 0.2]) == 0.5


@given(samples)
def test_no_threshold_beats_the_best_one(rows):
    y, s, _ = columns(rows)
    if not 0 < y.sum() < len(y):
        return

    def youden(t: float) -> float:
        return float(np.mean(s[y == 1] >= t) - np.mean(s[y == 0] >= t))

    best = metrics.best_threshold(y, s)
    others = [-1.0, *s]
    # If every score equals the best threshold, there are no two scores to put it between.
    assert youden(best) >= max(youden(t) for t in others) - 1e-12 or best == s.min()
