"""What the statistics promise, on simulated people with a known AUC: coverage of intervals and false positives.

python -m pytest tests/benchmark/stats/test_coverage.py -n0 -m slow -s    # prints the tables of docs/statistics.md
"""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.bootstrap import (
    MetricDraws,
    Resamples,
    average_over_seeds,
    estimate_interval,
    measure_ranking,
    p_value,
)
from numpy.typing import NDArray
from scipy.stats import norm

ALIKE = 0.3
"""The part of the scores' variance within a class that is the person's."""


class World:
    """Videos of people with 1 to 10 videos each; a person has videos of both classes, or of one."""

    def __init__(self, seed: int, videos: int, auc: float, *, both: bool):
        self.rng = np.random.default_rng([seed, videos])
        size = np.minimum(self.rng.geometric(0.35, videos), 10)
        self.person = np.repeat(np.arange(videos), size)[:videos]
        one_class = self.rng.integers(0, 2, videos)[self.person]
        self.label = self.rng.integers(0, 2, videos) if both else one_class
        shared = self.rng.normal(size=videos)[self.person]
        own = self.rng.normal(size=videos)
        signal = norm.ppf(auc) * np.sqrt(2) * self.label
        self.score = signal + np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own

    def noisy(self, amount: float) -> NDArray[np.float64]:
        return self.score + amount * self.rng.normal(size=len(self.score))

    def resamples(self, draws: int) -> Resamples:
        return Resamples(self.person, draws)


def covered(videos: int, auc: float, *, both: bool, worlds: int, draws: int) -> float:
    hits = 0
    for seed in range(worlds):
        world = World(seed, videos, auc, both=both)
        resamples = world.resamples(draws)
        found = measure_ranking(world.label, world.score, resamples, ["auc"])["auc"]
        e = estimate_interval(*found, n=videos, clusters=resamples.count_clusters())
        hits += e.lo <= auc <= e.hi
    return hits / worlds


def false_positives(videos: int, auc: float, *, both: bool, worlds: int, draws: int) -> float:
    hits = 0
    for seed in range(worlds):
        world = World(seed, videos, auc, both=both)
        resamples = world.resamples(draws)
        a, b = (measure_ranking(world.label, world.noisy(0.7), resamples, ["auc"])["auc"] for _ in range(2))
        known = ~np.isnan(a.draws)
        difference = MetricDraws(a.value - b.value, (a.draws - b.draws)[known])
        hits += p_value(difference, resamples.count_clusters()) < 0.05
    return hits / worlds


def covered_over_seeds(videos: int, seeds: int, *, worlds: int, draws: int) -> float:
    """Train each seed to an AUC of its own around 0.85, and pool them on the same videos."""
    hits, middle, spread = 0, norm.ppf(0.85) * np.sqrt(2), 0.25
    true = norm.cdf(middle / np.sqrt(2 + spread**2))  # the mean of norm.cdf(x / sqrt 2) over seeds
    for k in range(worlds):
        world = World(k, videos, 0.5, both=True)
        resamples = world.resamples(draws)
        strengths = world.rng.normal(middle, spread, seeds)
        scores = [world.noisy(0) + strength * world.label for strength in strengths]
        pooled, parts = average_over_seeds([measure_ranking(world.label, s, resamples, ["auc"])["auc"] for s in scores])
        e = estimate_interval(*pooled, n=videos, clusters=resamples.count_clusters(), parts=parts)
        hits += e.lo <= true <= e.hi
    return hits / worlds


def test_the_interval_holds_the_truth():
    assert 0.90 <= covered(60, 0.9, both=True, worlds=150, draws=200) <= 0.99


def test_two_equal_detectors_seldom_differ():
    assert false_positives(60, 0.9, both=True, worlds=150, draws=200) <= 0.09


def test_seeds_are_part_of_the_interval():
    assert 0.89 <= covered_over_seeds(200, 3, worlds=100, draws=200) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("both", [True, False], ids=["people of both classes", "people of one class"])
@pytest.mark.parametrize("auc", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("videos", [60, 200, 1000])
def test_coverage_is_95_percent(videos, auc, both):
    share = covered(videos, auc, both=both, worlds=1000, draws=400)
    print(f"\ncoverage: {videos} videos, AUC {auc}, {'both classes' if both else 'one class'}: {share:.1%}")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("both", [True, False], ids=["people of both classes", "people of one class"])
@pytest.mark.parametrize("videos", [60, 200, 1000])
def test_false_positive_rate(videos, both):
    share = false_positives(videos, 0.9, both=both, worlds=1000, draws=400)
    print(f"\np < 0.05: {videos} videos, AUC 0.9, {'both classes' if both else 'one class'}: {share:.1%}")
    assert share <= 0.066  # 5 % and what chance adds to 1,000 worlds, once in a hundred times


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_coverage_over_seeds(seeds):
    share = covered_over_seeds(200, seeds, worlds=1000, draws=400)
    print(f"\ncoverage: 200 videos, {seeds} seeds: {share:.1%}")
    assert 0.92 <= share <= 0.985
