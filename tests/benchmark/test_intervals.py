"""Bootstrap intervals: reproducible, clustered, honest where they can't be had."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from crossfake.benchmark import metrics
from crossfake.benchmark.intervals import bootstrap, estimate


def data(n: int, seed: int = 0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return y, rng.normal(size=n) + shift * y


def test_same_predictions_same_interval():
    y, s = data(80)
    first, second = (estimate(partial(metrics.auc, y, s), np.arange(80), n=80, draws=200) for _ in range(2))
    assert first == second
    assert first.lo < first.value < first.hi
    assert first.n == 80


def test_interval_shrinks_with_the_square_root_of_n():
    widths = []
    for n in (100, 400):
        y, s = data(n)
        e = estimate(partial(metrics.auc, y, s), np.arange(n), n=n, draws=600)
        widths.append(e.hi - e.lo)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.35)


def test_copies_of_a_frame_add_no_certainty():
    y, s = data(60)
    single = estimate(partial(metrics.auc, y, s), np.arange(60), n=60, draws=300)
    copied = estimate(
        partial(metrics.auc, np.repeat(y, 8), np.repeat(s, 8)), np.repeat(np.arange(60), 8), n=480, draws=300
    )
    assert copied.value == pytest.approx(single.value)
    assert (copied.lo, copied.hi) == pytest.approx((single.lo, single.hi))


def test_the_matrix_and_one_draw_at_a_time_agree(monkeypatch):
    y, s = data(30)
    statistic = partial(metrics.auc, y, s)
    whole = bootstrap(statistic, np.arange(30), 50, seed=1)
    monkeypatch.setattr("crossfake.benchmark.intervals._CHUNK", 1)
    assert bootstrap(statistic, np.arange(30), 50, seed=1) == pytest.approx(whole)


def test_one_class_has_no_value_and_says_why():
    e = estimate(partial(metrics.auc, [1, 1], [0.2, 0.3]), [0, 1], n=2)
    assert (e.value, e.lo, e.hi, e.n) == (None, None, None, 2)
    assert e.note == "undefined (one class)"


def test_too_few_videos_give_a_value_without_an_interval():
    e = estimate(partial(metrics.auc, [0, 1], [0.2, 0.3]), [0, 1], n=2, draws=400)
    assert e.value == 1.0
    assert (e.lo is None) == (e.note == "too few videos for an interval")


@pytest.mark.slow
def test_coverage_is_near_95_percent():
    from scipy.stats import norm

    true, hits = norm.cdf(1 / np.sqrt(2)), 0
    for seed in range(300):
        y, s = data(200, seed)
        e = estimate(partial(metrics.auc, y, s), np.arange(200), n=200, draws=400)
        hits += e.lo <= true <= e.hi
    assert 0.91 <= hits / 300 <= 0.98
