"""Thresholds carried over from the source dataset: how they are fixed, and their FPR and FNR on other datasets.

python -m pytest tests/benchmark/stats/test_carried.py -n0 -m slow -s    # prints the table of docs/statistics.md
"""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.carried import RATES, fix_thresholds, measure_carried
from crossfake.benchmark.stats.influence import Samples
from crossfake.benchmark.stats.people import find_people, number_apart
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm


def apart(label: np.ndarray, score: np.ndarray) -> Samples:
    return Samples(label, score, np.arange(len(label)), number_apart(np.arange(len(label))))


def source_of(reals: np.ndarray) -> Samples:
    return apart(np.append(np.zeros(len(reals), int), 1), np.append(reals, reals.max() + 1))


@given(st.integers(0, 10_000), st.integers(10, 400), st.integers(0, 3))
def test_a_threshold_calls_no_more_reals_fake_than_requested(seed, n, digits):
    reals = np.round(np.random.default_rng(seed).random(n), digits)  # Rounded, so that there are ties.
    found = fix_thresholds(source_of(reals))
    assert set(found) == {name for name, rate in RATES.items() if n * rate >= 1}
    for name, threshold in found.items():
        assert (reals >= threshold.value).mean() <= RATES[name]
        assert threshold.lo <= threshold.value
        assert threshold.hi is None or threshold.value <= threshold.hi
        assert threshold.reals == n


def test_it_is_the_lowest_such_threshold():
    reals = np.arange(100) / 100
    found = fix_thresholds(source_of(reals))
    assert [found[name].value for name in RATES] == pytest.approx([0.985, 0.945, 0.895])
    assert found["fpr1"].hi is None  # 1 % of 100 real videos may be none.
    assert found["fpr10"].lo < 0.86 < 0.93 < found["fpr10"].hi


def test_too_few_reals_are_reported():
    source, target = source_of(np.arange(60) / 60), apart(np.repeat([0, 1], 50), np.linspace(0, 1, 100))
    found = measure_carried(target, fix_thresholds(source), 60)
    assert found["fpr_at_source_fpr1"] == (
        *(None, None, None, 50),
        "left out: a rate of 1 % needs 100 reals on the source, and there are 60",
    )
    assert found["fpr_at_source_fpr5"].value is not None
    assert found["fnr_at_source_fpr10"].n == 50


def test_the_thresholds_own_error_widens_the_interval():
    rng = np.random.default_rng(0)
    target = apart(np.repeat([0, 1], 400), rng.normal(size=800) + np.repeat([0, 2], 400))
    few, many = (fix_thresholds(source_of(rng.normal(size=n))) for n in (40, 40_000))
    wide, narrow = (measure_carried(target, t, 40)["fpr_at_source_fpr10"] for t in (few, many))
    assert wide.hi - wide.lo > 1.5 * (narrow.hi - narrow.lo)


def test_one_class_and_no_false_alarm_give_a_number_or_a_reason():
    source = fix_thresholds(source_of(np.arange(100) / 100))
    fakes = measure_carried(apart(np.ones(30, int), np.linspace(0, 1, 30)), source, 100)
    assert fakes["fpr_at_source_fpr5"].value is None
    assert fakes["fpr_at_source_fpr5"].note
    low = measure_carried(apart(np.repeat([0, 1], 30), np.repeat([0.0, 1.0], 30)), source, 100)
    for name, e in low.items():
        assert e.value == 0, name
        assert 0 == e.lo < e.hi < 1 or name == "fnr_at_source_fpr1"


class Reals:
    """Real videos of people, who form pairs as in FaceForensics++; part of the variance comes from the person."""

    def __init__(self, people: int, videos: int, middle: float, width: float):
        self.person, self.middle, self.width = np.arange(videos) % people, middle, width
        self.people = find_people([f"p{p}" for p in self.person])

    def draw(self, rng: np.random.Generator) -> Samples:
        noise = 0.3**0.5 * rng.normal(size=self.person.max() + 1)[self.person]
        noise = noise + 0.7**0.5 * rng.normal(size=len(self.person))
        label = np.zeros(len(self.person), int)
        return Samples(label, self.middle + self.width * noise, np.arange(len(label)), self.people)


def cover(source: Reals, target: Reals, name: str, worlds: int) -> tuple[float, float]:
    """Return how often the interval covers the true FPR at the source's threshold, and how wide it is."""
    true = norm.sf((norm.isf(RATES[name]) - target.middle) / target.width)
    hits, width = 0, 0.0
    for k in range(worlds):
        rng = np.random.default_rng([5, k])
        fixed = fix_thresholds(source.draw(rng))
        e = measure_carried(target.draw(rng), fixed, len(source.person))[f"fpr_at_source_{name}"]
        hits += e.lo <= true <= e.hi
        width += (e.hi - e.lo) / worlds
    return hits / worlds, width


def test_the_interval_holds_the_rate_of_the_sources_own_threshold():
    share, _ = cover(Reals(70, 140, 0, 1), Reals(59, 178, 0.4, 1.2), "fpr5", worlds=60)
    assert share >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fpr1", "fpr5", "fpr10"])
@pytest.mark.parametrize(
    ("source", "target"),
    [((70, 140), (59, 178)), ((70, 140), (28, 363)), ((28, 363), (70, 140)), ((400, 400), (2500, 2500))],
    ids=str,
)
def test_coverage_is_95_percent(source, target, name):
    share, width = cover(Reals(*source, 0, 1), Reals(*target, 0.4, 1.2), name, worlds=2000)
    print(f"\n| {source[1]} reals of {source[0]} | {target[1]} of {target[0]} | {100 * RATES[name]:.0f} % ", end="")
    print(f"| {share:.1%} | {width:.3f} |")
    assert share >= 0.93
