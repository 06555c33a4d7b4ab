"""Intervals: extreme values, the effect of mistakes, averages over seeds, p-values, Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.influence import Measured, Samples, measure_mean
from crossfake.benchmark.stats.intervals import (
    ALIKE,
    SAME,
    TOO_FEW,
    Seeds,
    average_over_seeds,
    estimate_difference,
    estimate_mean,
    estimate_ranking,
    estimate_share,
    holm,
    join_variances,
    p_value,
)
from crossfake.benchmark.stats.people import People, find_people, number_apart
from crossfake.benchmark.stats.rankings import measure_ranking
from crossfake.benchmark.stats.shares import bound_korn_graubard
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import beta, t


def videos(y: np.ndarray, s: np.ndarray, people: People | None = None) -> Samples:
    rows = np.arange(len(y))
    return Samples(y, np.asarray(s, float), rows, people or number_apart(rows))


def auc_of(y: np.ndarray, s: np.ndarray, people: People | None = None, name: str = "auc") -> Estimate:
    of = videos(y, s, people)
    return estimate_ranking(measure_ranking(of, [name])[name], of.people, of.classes, n=len(y))


def share_of(hits: np.ndarray, people: People | None = None) -> Estimate:
    of = videos(np.zeros(len(hits), int), hits, people)
    return estimate_share(measure_mean(of, hits), of.people, n=len(hits))


def clopper_pearson(k: int, n: int) -> tuple[float, float]:
    return (beta.ppf(0.025, k, n - k + 1) if k else 0.0, beta.ppf(0.975, k + 1, n - k) if k < n else 1.0)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 70, 139, 140])
def test_a_share_of_videos_alone_has_clopper_and_pearsons_interval(k):
    found = share_of((np.arange(140) < k).astype(float))
    assert found.value == pytest.approx(k / 140)
    assert found[1:3] == pytest.approx(clopper_pearson(k, 140), abs=2e-3)


def test_the_auc_interval_moves_down_with_each_mistake():
    y = np.repeat([0, 1], 100)
    for k, (lo, hi) in enumerate([(0.975, 1.0), (0.9455, 0.9998), (0.9296, 0.9976)]):
        s = y + np.linspace(0, 0.1, 200)
        s[:k] = 9
        found = auc_of(y, s)
        assert found.value == pytest.approx(1 - k / 100)
        assert found[1:3] == pytest.approx((lo, hi), abs=2e-3)


def test_a_misranked_pair_of_people_keeps_the_auc_interval_narrow():
    identity = [f"{i}" for i in range(140)]
    identity += [f"{i}+{i ^ 1}" for i in range(140) for _ in range(5)]
    y = np.repeat([0, 1], [140, 700])
    s = np.where(y == 1, 0.8, 0.2) + np.linspace(0, 0.01, 840)
    s[:2] = 0.99
    found = auc_of(y, s, find_people(identity))
    assert found.value == pytest.approx(1 - 2 / 140)
    assert 0.91 < found.lo < 0.93
    assert 0.999 < found.hi < 1
    perfect = auc_of(y, np.where(y == 1, 0.8, 0.2) + np.linspace(0, 0.01, 840), find_people(identity))
    assert perfect[:3] == (1, pytest.approx(beta.ppf(0.025, 70.5, 0.5)), 1)
    assert found.lo < perfect.lo


def test_the_interval_of_a_perfect_auc_depends_on_the_number_of_people():
    y = np.tile([0, 1], 48)
    found = auc_of(y, y, number_apart(np.repeat(np.arange(24), 4)))
    assert found[:3] == (1, pytest.approx(beta.ppf(0.025, 24.5, 0.5)), 1)
    assert auc_of(y, 1 - y, number_apart(np.repeat(np.arange(24), 4))).hi == pytest.approx(1 - found.lo)


SHAPES = st.integers(2, 12).flatmap(
    lambda g: st.tuples(st.lists(st.integers(1, 6), min_size=g, max_size=g), st.randoms())
)


@given(SHAPES)
def test_bounds_of_a_share_never_move_against_the_mistakes(shape):
    sizes, random = shape
    people = number_apart(np.repeat(np.arange(len(sizes)), sizes))
    order = list(range(sum(sizes)))
    random.shuffle(order)
    hits, before = np.zeros(len(order)), (-1.0, -1.0)
    for i in [None, *order]:
        if i is not None:
            hits[i] = 1
        found = share_of(hits, people)
        assert found.lo < found.hi
        assert found.lo >= before[0] - 1e-12
        assert found.hi >= before[1] - 1e-12
        before = found[1:3]


@given(SHAPES, st.sampled_from([0, 1]), st.integers(2, 30))
@example(([13] * 12, __import__("random").Random(0)), 0, 30)
def test_bounds_of_an_auc_never_move_against_the_mistakes(shape, which, others):
    """A mistake is a video that scores on the wrong side of the whole other class."""
    sizes, random = shape
    n = sum(sizes)
    people = number_apart(np.r_[np.repeat(np.arange(len(sizes)), sizes), 100 + np.arange(others)])
    y = np.repeat([which, 1 - which], [n, others])
    order, s, before = list(range(n)), y.astype(float), (2.0, 2.0)
    random.shuffle(order)
    for i in [None, *order]:
        if i is not None:
            s[i] = 2.0 if which == 0 else -1.0
        found = auc_of(y, s, people)
        assert found.lo < found.hi
        assert found.lo <= before[0] + 1e-12
        assert found.hi <= before[1] + 1e-12
        before = found[1:3]


IDENTITIES = st.lists(st.sampled_from(["", "a", "b", "a+b", "b+a", "a+c", "d+c", "e", "f+a"]), min_size=1, max_size=25)


@given(IDENTITIES, st.integers(0, 10**6))
def test_bad_tables_have_a_number_with_its_reason_or_none(identity, seed):
    rng = np.random.default_rng(seed)
    y, s = rng.integers(0, 2, len(identity)), rng.integers(0, 4, len(identity)) / 3
    of = videos(y, s, find_people(identity))
    found = measure_ranking(of)
    estimates = [estimate_ranking(m, of.people, of.classes, n=len(y)) for m in found.values()]
    estimates += [estimate_share(measure_mean(of, s > 0.5), of.people, n=len(y))]
    estimates += [estimate_mean(measure_mean(of, (s - y) ** 2), of.people, n=len(y))]
    estimates += [estimate_difference(found["auc"].subtract(found["ap"]), of.people, n=len(y))]
    for e in estimates:
        assert e.note if e.lo is None else e.lo < e.hi and e.lo <= e.value <= e.hi, e
        assert e.value is None or np.isfinite(e.value)
        assert e.lo is None or np.isfinite([e.lo, e.hi]).all()


def test_what_cannot_be_known_says_why():
    y = np.array([0, 1] * 5)
    assert auc_of(np.ones(4, int), np.arange(4)) == (None, None, None, 4, "undefined (one class)")
    assert auc_of(y, y, find_people(["a+b"] * 10)) == (1.0, None, None, 10, TOO_FEW)
    assert auc_of(y, np.full(10, 0.7)) == (0.5, None, None, 10, ALIKE)
    same = Measured(0.0, np.zeros(10))
    assert estimate_difference(same, number_apart(np.arange(10)), n=10) == (0.0, None, None, 10, SAME)


def test_everybody_sharing_one_source_widens_the_interval():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    s = rng.normal(size=120) + 1.5 * y
    apart, shared = (
        auc_of(y, s, find_people([f"{i % 60}" for i in range(60)] + [f"{i}+{of(i)}" for i in range(60)]))
        for of in (lambda i: f"x{i}", lambda _: "x")
    )
    assert apart.hi - apart.lo < shared.hi - shared.lo


def test_a_mean_by_students_t():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 0.5, 400)
    of = videos(np.zeros(400, int), values)
    found = estimate_mean(measure_mean(of, values), of.people, n=400)
    error = values.std(ddof=0) / 20 * (400 / 399) ** 0.5 * t.ppf(0.975, 399)
    assert found[1:3] == pytest.approx((values.mean() - error, values.mean() + error), abs=1e-3)


def test_seeds_add_variance_that_videos_do_not_show():
    people = number_apart(np.arange(400))
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1e-3, 400)
    alike = [Measured(v, shared) for v in (0.80, 0.84, 0.88)]
    mean, parts = average_over_seeds(alike, people)
    assert mean.value == pytest.approx(0.84)
    assert parts == (pytest.approx((0.04**2 / 3, 0.04**2 / 3, 2)),)
    own = [Measured(0.8 + x.sum(), x) for x in rng.normal(0, 1e-3, (50, 400))]
    _, (part,) = average_over_seeds(own, people)  # The seeds differ only in their videos.
    assert part.variance < 0.5 * part.seen
    assert average_over_seeds(alike[:1], people) == (alike[0], ())


def test_degrees_of_freedom_are_between_those_of_seeds_and_videos():
    assert join_variances(0.04, 49, (), 0.0) == pytest.approx((0.2, 49))
    error, freedom = join_variances(0.0, 49, [Seeds(0.01, 0.01, 2)], 0.01)
    assert (error, freedom) == pytest.approx((0.1, 2))
    assert 2 < join_variances(0.01, 49, [Seeds(0.01, 0.01, 2)], 0.01).freedom < 49


def test_p_values_at_their_ends():
    people = number_apart(np.arange(20))
    assert p_value(Measured(0.0, np.zeros(20)), people) == 1.0
    assert p_value(Measured(0.4, np.zeros(20)), people) == 2.0**-19
    spread = np.tile([1.0, -1.0], 10) * 0.05 / np.sqrt(20 * 20 / 19)
    assert p_value(Measured(0.1, spread), people) == pytest.approx(2 * t.sf(2, 19))


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


@given(st.floats(0.001, 0.999), st.floats(0.05, 1e5), st.floats(1, 10), st.floats(1, 2), st.floats(1e-5, 0.025))
def test_a_larger_share_of_fewer_trials_has_a_higher_end(share, trials, more, larger, tail):
    """Why the ends of other shares needn't be computed."""
    shares = np.array([share, min(share * larger, 0.999)])
    low, high = bound_korn_graubard(shares, np.array([trials * more, trials]), tail)
    assert low <= high
