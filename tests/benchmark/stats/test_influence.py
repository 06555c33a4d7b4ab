"""Influence functions against small changes of weights, and DeLong's covariance computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats import metrics
from crossfake.benchmark.stats.influence import Samples, delong, measure_mean
from crossfake.benchmark.stats.people import number_apart
from crossfake.benchmark.stats.rankings import measure_ranking
from hypothesis import given
from hypothesis import strategies as st


def data(n: int, seed: int = 0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return y, rng.normal(size=n) + shift * y


def samples(y: np.ndarray, s: np.ndarray, videos: np.ndarray | None = None) -> Samples:
    of = np.arange(len(y)) if videos is None else videos
    return Samples(y, s, of, number_apart(np.arange(of.max() + 1)))


def test_the_auc_changes_with_a_samples_weight_as_its_influence_says():
    y, s = data(60)
    s = s.round(1)  # ties
    found, step = measure_ranking(samples(y, s), ["auc"])["auc"], 1e-6
    for i in range(0, 60, 7):
        after = metrics.auc(y, s, 1 + step * (np.arange(60) == i))
        assert found.influence[i] == pytest.approx((after - found.value) / step, abs=1e-6)


def test_average_precision_does_too_at_fixed_class_sizes():
    y, s = data(60)
    s = s.round(1)
    found, step = measure_ranking(samples(y, s), ["ap"])["ap"], 1e-6
    for i in range(0, 60, 7):
        w = 1 + step * (np.arange(60) == i)
        w[y == y[i]] *= (y == y[i]).sum() / w[y == y[i]].sum()
        after = metrics.make_roc_curve(y, s, w).average_precision()
        assert found.influence[i] == pytest.approx((after - found.value) / step, abs=1e-6)


@pytest.fixture(scope="module")
def repetitions():
    """All metrics for 150 draws of 2,000 samples."""
    rng, y = np.random.default_rng(0), np.arange(2000) % 2
    return [measure_ranking(samples(y, rng.normal(size=2000) + 1.5 * y)) for _ in range(150)]


@pytest.mark.parametrize("name", list(metrics.RANK_METRICS))
def test_influences_predict_the_spread_of_repetitions(repetitions, name):
    values = [found[name].value for found in repetitions]
    told = [np.sqrt((found[name].influence ** 2).sum()) for found in repetitions]
    assert np.mean(told) == pytest.approx(np.std(values), rel=0.3 if name.startswith("tpr") else 0.1)
    assert [found[name].influence.sum() for found in repetitions] == pytest.approx([0] * 150, abs=0.01)


def test_frames_add_up_to_their_videos():
    y, s = data(20)
    once = measure_ranking(samples(y, s))
    thrice = measure_ranking(samples(np.repeat(y, 3), np.repeat(s, 3), np.repeat(np.arange(20), 3)))
    for name in ("auc", "ap"):
        assert thrice[name].influence == pytest.approx(once[name].influence)


def test_a_mean_of_some_samples_is_of_their_videos():
    y, s = data(8)
    found = measure_mean(samples(y, s, np.arange(8) // 2), s, y == 0)
    assert found.value == pytest.approx(s[y == 0].mean())
    assert found.sizes.tolist() == [1, 1, 1, 1]
    assert found.influence == pytest.approx((s[y == 0] - s[y == 0].mean()) / 4)
    none = measure_mean(samples(y, s), s, y > 1)
    assert np.isnan(none.value)
    assert not none.influence.any()


def test_the_tpr_at_one_percent_needs_enough_reals_to_place_a_threshold():
    few, many = (measure_ranking(samples(*data(n)))["tpr_at_fpr1"] for n in (598, 600))
    assert np.isnan(few.value)
    assert few.without == "left out: an FPR of 1 % needs 300 reals, and there are 299"
    assert many.without == ""
    assert 0 < many.value < 1


def test_the_interval_of_a_tpr_includes_the_thresholds_uncertainty():
    y, s = data(400, shift=2.0)
    found = measure_ranking(samples(y, s))["tpr_at_fpr5"]
    own = 1.96 * np.sqrt(found.value * (1 - found.value) / 200)
    fpr, tpr = metrics.make_roc_curve(y, s).rates
    low, high = (tpr[np.count_nonzero(fpr <= at) - 1] for at in (0.02, 0.08))  # one and a half standard errors of 5 %
    assert np.hypot(found.value - low, own) < found.reach[0] < 3 * own
    assert np.hypot(high - found.value, own) < 1.1 * found.reach[1] < 3 * own


def test_delong_by_hand():
    y = [1, 1, 1, 0, 0]
    first, second = [0.9, 0.6, 0.4, 0.7, 0.3], [0.5, 0.8, 0.2, 0.6, 0.1]
    # Shares of reals below the fakes: (1, 1/2, 1/2) and (1/2, 1, 1/2); of fakes above the reals: (1/3, 1) in both.
    aucs, covariance = delong(y, [first, second])
    assert aucs == pytest.approx([2 / 3, 2 / 3], abs=1e-12)
    own = (1 / 12) / 3 + (2 / 9) / 2
    between = (-1 / 24) / 3 + (2 / 9) / 2
    assert covariance == pytest.approx(np.array([[own, between], [between, own]]), abs=1e-12)
    tied, _ = delong(y, [0.9, 0.6, 0.3, 0.7, 0.3])
    assert tied == pytest.approx([3.5 / 6], abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=30))
def test_delong_equals_the_variance_of_placements(rows):
    s, y = np.array(rows, float).T, np.arange(len(rows)) % 2 == 1
    aucs, covariance = delong(y, s)
    wins = np.stack([(a[y][:, None] > a[~y]) + 0.5 * (a[y][:, None] == a[~y]) for a in s])
    assert aucs == pytest.approx([float(metrics.auc(y, a)) for a in s])
    expected = np.cov(wins.mean(2)) / y.sum() + np.cov(wins.mean(1)) / (~y).sum()
    assert covariance == pytest.approx(expected, abs=1e-12)
