"""Metrics against scikit-learn, against definitions, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark import metrics
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

# Scores from a small set, so that ties are common.
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
    for metric in (metrics.auc, metrics.average_precision, metrics.equal_error_rate):
        whole = metric(y[repeated], s[repeated])
        assert metric(y, s, w) == pytest.approx(float(whole), abs=1e-9, nan_ok=True), metric.__name__


@given(samples)
def test_a_matrix_of_weights_gives_one_value_a_row(rows):
    y, s, w = columns(rows)
    both = np.stack([np.ones_like(w), w])
    for metric in (metrics.auc, metrics.average_precision, metrics.equal_error_rate):
        expected = [float(metric(y, s)), float(metric(y, s, w))]
        assert metric(y, s, both) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(samples)
def test_agrees_with_scikit_learn(rows):
    y, s, _ = columns(rows)
    if 0 < y.sum() < len(y):
        assert metrics.auc(y, s) == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        assert metrics.average_precision(y, s) == pytest.approx(average_precision_score(y, s), abs=1e-12)


@given(samples)
def test_no_order_preserving_change_of_scores_matters(rows):
    y, s, _ = columns(rows)
    for metric in (metrics.auc, metrics.average_precision, metrics.equal_error_rate):
        assert metric(y, np.exp(3 * s)) == pytest.approx(float(metric(y, s)), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
@pytest.mark.parametrize("metric", [metrics.auc, metrics.average_precision, metrics.equal_error_rate])
def test_one_class_is_undefined_never_zero(metric, labels):
    assert np.isnan(metric(labels, [0.3, 0.6][: len(labels)]))


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
    assert metrics.equal_error_rate(labels, scores) == pytest.approx(expected)


def test_accuracy_and_rates_call_fake_only_above_the_threshold():
    y, s = [0, 0, 1, 1], [0.5, 0.6, 0.5, 0.9]
    assert metrics.accuracy(y, s, 0.5) == 0.5
    assert metrics.positive_rate(y, s, 0.5, 0) == 0.5
    assert metrics.positive_rate(y, s, 0.5, 1) == 0.5
    assert np.isnan(metrics.positive_rate([0, 0], [0.1, 0.2], 0.5, 1))


def test_best_threshold_lies_between_the_classes():
    assert metrics.best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)
    assert metrics.best_threshold([0, 0], [0.1, 0.2]) == 0.5


@given(samples)
def test_no_threshold_beats_the_best_one(rows):
    y, s, _ = columns(rows)
    if not 0 < y.sum() < len(y):
        return

    def youden(t: float) -> float:
        return float(metrics.positive_rate(y, s, t, 1) - metrics.positive_rate(y, s, t, 0))

    best = metrics.best_threshold(y, s)
    others = [-1.0, *s]
    # When everything scores as high as the best cut, there is no room between two scores to put it.
    assert youden(best) >= max(youden(t) for t in others) - 1e-12 or best == s.min()
