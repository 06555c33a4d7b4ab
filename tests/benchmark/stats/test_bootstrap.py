"""Bootstrap draws against the matrix of weights, intervals, DeLong, pooling over seeds, and corrections."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from crossfake.benchmark.stats import metrics
from crossfake.benchmark.stats.bootstrap import (
    ALL_ALIKE,
    BINS,
    NO_DRAWS,
    MetricDraws,
    Resamples,
    average_over_seeds,
    degrees_of_freedom,
    delong,
    draw_seed_errors,
    estimate_interval,
    holm,
    measure_means,
    measure_ranking,
    p_value,
)
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import beta, t


def data(n: int, seed: int = 0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return y, rng.normal(size=n) + shift * y


def test_same_predictions_same_interval(estimate):
    y, s = data(80)
    first, second = (estimate(partial(metrics.auc, y, s), np.arange(80), n=80, draws=200) for _ in range(2))
    assert first == second
    assert first.lo < first.value < first.hi
    assert first.n == 80


def test_interval_shrinks_with_the_square_root_of_n(estimate):
    widths = []
    for n in (100, 400):
        y, s = data(n)
        e = estimate(partial(metrics.auc, y, s), np.arange(n), n=n, draws=600)
        widths.append(e.hi - e.lo)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.35)


def test_copies_of_a_frame_add_no_certainty(estimate):
    y, s = data(60)
    single = estimate(partial(metrics.auc, y, s), np.arange(60), n=60, draws=300)
    copied = estimate(
        partial(metrics.auc, np.repeat(y, 8), np.repeat(s, 8)), np.repeat(np.arange(60), 8), n=480, draws=300
    )
    assert copied.value == pytest.approx(single.value)
    assert (copied.lo, copied.hi) == pytest.approx((single.lo, single.hi))


def test_one_class_has_no_value_and_says_why(estimate):
    e = estimate(partial(metrics.auc, [1, 1], [0.2, 0.3]), [0, 1], n=2)
    assert (e.value, e.lo, e.hi, e.n) == (None, None, None, 2)
    assert e.note == "undefined (one class)"


def test_too_few_videos_give_a_value_without_an_interval(estimate):
    e = estimate(partial(metrics.auc, [0, 1], [0.2, 0.3]), [0, 1], n=2, draws=400)
    assert e.value == 1.0
    assert (e.lo is None) == (e.note == "too few videos for an interval")


def grouped(people: int = 25, videos: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, s = data(videos, seed)
    return y, s, np.random.default_rng(seed).integers(0, people, videos)


def weights_of(resamples: Resamples) -> np.ndarray:
    return resamples.times[:, resamples.clusters].astype(float)


def test_a_draw_holds_as_many_clusters_as_there_are():
    resamples = Resamples(np.repeat(np.arange(30), 4), 50)
    assert resamples.times.shape == (50, 30)
    assert (resamples.times.sum(1) == 30).all()
    assert len(np.unique(resamples.times, axis=0)) == 50
    assert resamples.times.var() == pytest.approx(29 / 30, rel=0.1)  # binomial: 30 tries of 1/30


def test_sums_and_counts_are_those_of_the_weights():
    y, s, person = grouped()
    resamples = Resamples(person, 70)
    w = weights_of(resamples)
    assert resamples.sums(s) == pytest.approx(w @ s)
    assert resamples.sums(np.stack([y, s], 1)) == pytest.approx(w @ np.stack([y, s], 1))
    codes = np.arange(len(y)) % 7
    assert (resamples.counts(codes, 7) == w @ (codes[:, None] == np.arange(7))).all()
    assert resamples.counts(codes, 8, s) == pytest.approx(w @ ((codes[:, None] == np.arange(8)) * s[:, None]))


def test_a_part_keeps_the_draws_of_the_whole():
    y, s, person = grouped()
    resamples = Resamples(person, 20)
    chosen = y == 1
    assert resamples.restrict(chosen).sums(s[chosen]) == pytest.approx(resamples.sums(np.where(chosen, s, 0)))
    frames = np.repeat(np.arange(len(y)), 3)
    assert resamples.restrict(frames).sums(s[frames]) == pytest.approx(3 * resamples.sums(s))
    assert resamples.restrict(person < 4).count_clusters() == 4


@pytest.mark.parametrize("name", list(metrics.RANK_METRICS))
def test_draws_of_a_ranking_are_those_of_the_weights(name):
    y, s, person = grouped()
    s = s.round(1)  # ties
    resamples = Resamples(person, 70)
    found = measure_ranking(y, s, resamples)[name]
    assert found.value == float(metrics.RANK_METRICS[name](metrics.make_roc_curve(y, s)))
    assert found.draws == pytest.approx(metrics.RANK_METRICS[name](metrics.make_roc_curve(y, s, weights_of(resamples))))


def test_binned_draws_give_the_interval_of_exact_ones():
    people, frames = 300, 16
    y, center = data(people)
    y, person = np.repeat(y, frames), np.repeat(np.arange(people), frames)
    s = np.repeat(center, frames) + 0.3 * np.random.default_rng(1).normal(size=len(y))
    assert len(np.unique(s)) > 2 * BINS
    resamples = Resamples(person, 100)
    for name, found in measure_ranking(y, s, resamples).items():
        exact = metrics.RANK_METRICS[name](metrics.make_roc_curve(y, s, weights_of(resamples)))
        binned, wanted = (estimate_interval(found.value, d, n=len(y), clusters=people) for d in (found.draws, exact))
        near = 0.05 * (wanted.hi - wanted.lo)
        assert (binned.lo, binned.hi) == pytest.approx((wanted.lo, wanted.hi), abs=near), name


def test_very_many_clusters_are_drawn_in_groups_with_the_same_spread(monkeypatch):
    y, s = data(3000)
    apart = measure_ranking(y, s, Resamples(np.arange(3000), 400), ["auc"])["auc"].draws
    monkeypatch.setattr("crossfake.benchmark.stats.bootstrap._MAX_CLUSTERS", 500)
    grouped = Resamples(np.arange(3000), 400)
    assert grouped.times.shape == (400, 500)
    assert measure_ranking(y, s, grouped, ["auc"])["auc"].draws.std() == pytest.approx(apart.std(), rel=0.15)


def test_means_are_ratios_of_sums():
    _, s, person = grouped()
    resamples = Resamples(person, 30)
    (found,) = measure_means(s[:, None], resamples)
    w = weights_of(resamples)
    assert found.value == pytest.approx(s.mean())
    assert found.draws == pytest.approx((w * s).sum(1) / w.sum(1))


def test_a_perfect_ranking_is_known_from_the_smaller_class():
    e = estimate_interval(1.0, np.ones(100), n=110, clusters=10)
    assert (e.lo, e.hi) == pytest.approx((beta.ppf(0.025, 10.5, 0.5), 1.0))
    none = estimate_interval(0.0, np.zeros(100), n=20)
    assert (none.lo, none.hi) == pytest.approx((0.0, beta.ppf(0.975, 0.5, 20.5)))


@given(st.floats(1e-6, 0.999), st.lists(st.floats(0, 1), min_size=3, max_size=50), st.integers(2, 200))
@example(0.5, [0.0, 0.0, 4.7e-183], 2)  # A difference whose square is 0.
@example(1e-5, [1e-6, 2e-5, 1e-5], 2)  # All below half a pair.
def test_an_interval_holds_its_value_and_stays_a_share(value, draws, clusters):
    e = estimate_interval(value, np.array(draws), n=clusters, clusters=clusters)
    wide = estimate_interval(value, np.array(draws), n=500, clusters=clusters, bounded=False)
    if np.ptp(draws) < 1e-12:
        assert (e.lo, wide.lo, e.note, wide.note) == (None, None, ALL_ALIKE, ALL_ALIKE)
    else:
        assert 0 <= e.lo < e.value < e.hi <= 1
        assert wide.lo < value < wide.hi


def test_near_one_the_draws_reach_further_than_the_slope():
    rng = np.random.default_rng(0)
    draws = np.clip(0.97 - rng.gamma(1.0, 0.03, 5000) + 0.03, 0, 1)
    error = draws.std(ddof=1) * (30 / 29) ** 0.5 * t.ppf(0.975, 29)
    slope = expit(logit(0.97) - error / (0.97 * 0.03))
    e = estimate_interval(0.97, draws, n=60, clusters=30)
    assert e.lo < slope - 0.01
    of_seeds = [(float(draws.var(ddof=1)), 29)]  # All of the variance: nothing of it is the videos'.
    assert estimate_interval(0.97, draws, n=60, clusters=30, parts=of_seeds).lo == pytest.approx(slope, abs=3e-3)


def test_no_draws_or_one_cluster_give_no_interval():
    assert estimate_interval(0.7, np.empty(0), n=9) == (0.7, None, None, 9, NO_DRAWS)
    assert estimate_interval(0.7, np.array([0.6, 0.8]), n=9, clusters=1).note == "too few videos for an interval"


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
def test_delong_is_the_variance_of_placements(rows):
    s, y = np.array(rows, float).T, np.arange(len(rows)) % 2 == 1
    aucs, covariance = delong(y, s)
    wins = np.stack([(a[y][:, None] > a[~y]) + 0.5 * (a[y][:, None] == a[~y]) for a in s])
    assert aucs == pytest.approx([float(metrics.auc(y, a)) for a in s])
    expected = np.cov(wins.mean(2)) / y.sum() + np.cov(wins.mean(1)) / (~y).sum()
    assert covariance == pytest.approx(expected, abs=1e-12)


def test_delong_and_the_bootstrap_agree_on_independent_videos():
    y, s = data(400)
    drawn = measure_ranking(y, s, Resamples(np.arange(400), 2000), ["auc"])["auc"].draws
    _, covariance = delong(y, s)
    assert drawn.std() == pytest.approx(np.sqrt(covariance[0, 0]), rel=0.06)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_helps(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_seeds_add_their_own_variance():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.02, 20000)
    found = [MetricDraws(v, v + shared) for v in (0.80, 0.84, 0.88)]
    pooled, parts = average_over_seeds(found)
    assert pooled.value == pytest.approx(0.84)
    assert parts == [(pytest.approx(0.04**2 / 3), 2)]
    assert pooled.draws.var() == pytest.approx(0.02**2 + 0.04**2 / 3, rel=0.05)
    assert average_over_seeds(found[:1]) == (found[0], [])


def test_what_few_seeds_may_miss_is_students_t():
    drawn = draw_seed_errors([[0.80, 0.5], [0.84, 0.5], [0.88, 0.5]], 20000)
    assert drawn.shape == (20000, 2)
    assert np.quantile(np.abs(drawn[:, 0]), 0.95) == pytest.approx(0.04 / 3**0.5 * 4.303, rel=0.05)  # t of 2 at 97.5 %
    assert (drawn[:, 1] == 0).all()
    assert (draw_seed_errors([0.8], 3) == 0).all()


def test_degrees_of_freedom_lie_between_those_of_seeds_and_clusters():
    draws = np.random.default_rng(0).normal(0, 0.1, 5000)
    assert degrees_of_freedom(draws, 50, []) == pytest.approx(49)
    assert degrees_of_freedom(draws, 50, [(draws.var(), 2)]) == pytest.approx(2, rel=0.05)
    assert 2 < degrees_of_freedom(draws, 50, [(draws.var() / 2, 2)]) < 49


def test_p_values_at_their_ends():
    assert p_value(MetricDraws(0.0, np.zeros(10)), 20) == 1.0
    assert p_value(MetricDraws(0.4, np.full(10, 0.4)), 20) == 2.0**-19
    draws = np.random.default_rng(0).normal(0.1, 0.05, 100_000)
    assert p_value(MetricDraws(0.1, draws), 10_000) == pytest.approx(0.0455, rel=0.03)


def test_draws_that_all_agree_are_no_certainty():
    found = estimate_interval(0.5, np.full(1000, 0.5), n=5, clusters=3)
    assert found == (0.5, None, None, 5, ALL_ALIKE)
    found = estimate_interval(0.0, np.zeros(1000), n=5, bounded=False)
    assert found == (0, None, None, 5, ALL_ALIKE)
