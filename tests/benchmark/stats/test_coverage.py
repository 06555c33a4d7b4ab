"""Simulated test sets with a known AUC check the promises of the statistics: coverage and false positives.

python -m pytest tests/benchmark/stats/test_coverage.py -n0 -m slow -s    # prints the tables of docs/statistics.md
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.calibration import measure_calibration
from crossfake.benchmark.stats.influence import Measured, Samples, measure_mean
from crossfake.benchmark.stats.intervals import (
    average_over_seeds,
    estimate_mean,
    estimate_ranking,
    estimate_share,
    p_value,
)
from crossfake.benchmark.stats.metrics import make_roc_curve
from crossfake.benchmark.stats.rankings import measure_ranking
from crossfake.benchmark.stats.seed_pooling import subtract_estimates
from people_worlds import SOURCE, STRUCTURES, Array, Structure, shift_of
from scipy.stats import norm

WORLDS, TESTS = 2000, 5000
EIGHT = [
    ("FF++", SOURCE, 0.9),
    ("FF++", SOURCE, 0.98),
    ("FF++", SOURCE, 0.995),
    ("Celeb-DF", "target", 0.9),
    ("Celeb-DF", SOURCE, 0.9),
    ("Celeb-DF", SOURCE, 0.75),
    ("DFD", "target", 0.9),
    ("DFD", SOURCE, 0.9),
]
FALSE_ALARM = float(norm.ppf(0.9))
"""The threshold that classifies a tenth of the real videos as fake."""


@cache
def structure_of(name: str) -> Structure:
    return STRUCTURES[name]()


class Covered(NamedTuple):
    """How often the interval covered the truth, its mean width, and how often there was an interval."""

    share: float
    width: float
    given: float


def cover(found: list[Estimate], truth: float) -> Covered:
    known = [e for e in found if e.lo is not None]
    held = np.mean([e.lo <= truth <= e.hi for e in known])
    return Covered(float(held), float(np.mean([e.hi - e.lo for e in known])), len(known) / len(found))


def truths(auc: float, fakes: float) -> dict[str, float]:
    """Return the metrics of infinitely many videos, of which this share is fake."""
    shift = shift_of(auc)
    at = np.linspace(-6, 10, 20_001)[::-1]
    tpr, fpr = norm.sf(at - shift), norm.sf(at)
    precision = fakes * tpr / np.maximum(fakes * tpr + (1 - fakes) * fpr, 1e-300)
    return {
        "auc": auc,
        "ap": float(np.sum(np.diff(tpr) * (precision[1:] + precision[:-1]) / 2)),
        "eer": float(norm.cdf(-shift / 2)),
        "tpr_at_fpr1": float(norm.cdf(shift - norm.ppf(0.99))),
        "tpr_at_fpr5": float(norm.cdf(shift - norm.ppf(0.95))),
        "fpr": 0.1,
        "tpr": float(norm.sf(FALSE_ALARM - shift)),
        "acc": float((1 - fakes) * 0.9 + fakes * norm.sf(FALSE_ALARM - shift)),
    }


def measure_all(samples: Samples) -> dict[str, Estimate]:
    y, called = samples.labels, samples.scores >= FALSE_ALARM
    found = {
        name: estimate_ranking(m, samples.people, samples.classes, n=len(y))
        for name, m in measure_ranking(samples).items()
    }
    for name, values, chosen in (("fpr", called, y == 0), ("tpr", called, y == 1), ("acc", called == y, None)):
        found[name] = estimate_share(measure_mean(samples, values, chosen), samples.people, n=len(y))
    return found


def repeat(name: str, effects: str, auc: float, worlds: int) -> dict[str, Covered]:
    s = structure_of(name)
    people, rows, rng = s.people, np.arange(len(s.label)), np.random.default_rng(7)
    found: dict[str, list[Estimate]] = {}
    for score in s.draw_scores(rng, worlds, effects) + shift_of(auc) * s.label:
        for metric, e in measure_all(Samples(s.label, score, rows, people)).items():
            found.setdefault(metric, []).append(e)
    true = truths(auc, float(s.label.mean()))
    return {metric: cover(of, true[metric]) for metric, of in found.items() if any(e.lo is not None for e in of)}


def auc_of(s: Structure, score: Array) -> Measured:
    return measure_ranking(Samples(s.label, score, np.arange(len(s.label)), s.people), ["auc"])["auc"]


def draw_row(s: Structure, rng: np.random.Generator, easy: Array, seeds: int, auc: float, apart: float) -> list[Array]:
    """Draw a detector's scores for each seed; variance comes from the videos, the detector and the seed."""
    of_row = s.draw_scores(rng, 1)[0]
    if seeds == 1:
        return [0.6**0.5 * easy + 0.4**0.5 * of_row + shift_of(auc) * s.label]
    shifts = shift_of(auc) + apart * rng.normal(size=seeds)
    own = s.draw_scores(rng, seeds)
    return [0.5**0.5 * easy + 0.3**0.5 * of_row + 0.2**0.5 * o + d * s.label for o, d in zip(own, shifts, strict=True)]


def difference_of_equals(name: str, seeds: int, auc: float, worlds: int, apart: float = 0.25) -> float:
    """Return how often two equally good detectors differ with p < 0.05."""
    s, rng, hits = structure_of(name), np.random.default_rng(11), 0
    people, rows = s.people, np.arange(len(s.label))
    for easy in s.draw_scores(rng, worlds):
        sides = []
        for _ in range(2):
            scores = draw_row(s, rng, easy, seeds, auc, apart)
            of = [measure_ranking(Samples(s.label, x, rows, people), ["auc"])["auc"] for x in scores]
            sides.append(average_over_seeds(of, people))
        (a, of_a), (b, of_b) = sides
        hits += p_value(a.subtract(b), people, [*of_a, *of_b]) < 0.05
    return hits / worlds


def over_seeds(name: str, seeds: int, auc: float, worlds: int, apart: float = 0.25) -> tuple[Covered, Covered]:
    """Average seeds with different true AUCs on the same videos: their AUCs, and their TPRs at one threshold."""
    s, rng = structure_of(name), np.random.default_rng(13)
    people, rows, shift = s.people, np.arange(len(s.label)), shift_of(auc)
    aucs, tprs = [], []
    for easy in s.draw_scores(rng, worlds):
        samples = [Samples(s.label, x, rows, people) for x in draw_row(s, rng, easy, seeds, auc, apart)]
        mean, parts = average_over_seeds([measure_ranking(x, ["auc"])["auc"] for x in samples], people)
        aucs.append(estimate_ranking(mean, people, samples[0].classes, n=len(rows), parts=parts))
        hits = [measure_mean(x, x.scores >= FALSE_ALARM, x.labels == 1) for x in samples]
        mean, parts = average_over_seeds(hits, people)
        tprs.append(estimate_share(mean, people, n=len(rows), parts=parts))
    true = norm.cdf(shift / np.sqrt(2 + apart**2)), norm.cdf((shift - FALSE_ALARM) / np.sqrt(1 + apart**2))
    return cover(aucs, float(true[0])), cover(tprs, float(true[1]))


def drop(worlds: int) -> Covered:
    """Measure how much the AUC of one seed drops from FF++ to Celeb-DF."""
    rng, sides = np.random.default_rng(17), []
    for name, auc in (("FF++", 0.99), ("Celeb-DF", 0.8)):
        s, people = structure_of(name), structure_of(name).people
        samples = [
            Samples(s.label, x, np.arange(len(x)), people) for x in s.draw_scores(rng, worlds) + shift_of(auc) * s.label
        ]
        sides.append(
            [estimate_ranking(measure_ranking(x, ["auc"])["auc"], people, x.classes, n=len(s.label)) for x in samples]
        )
    return cover([subtract_estimates(a, b) for a, b in zip(*sides, strict=True)], 0.99 - 0.8)


def calibration(worlds: int, videos: int = 518, sharp: float = 0.5) -> dict[str, Covered]:
    """Score perfectly calibrated detectors: their calibration error is 0, and the scores imply the Brier score."""
    rng, s = np.random.default_rng(0), structure_of("Celeb-DF")
    people, found = s.people, {"ece": [], "brier": []}
    for _ in range(worlds):
        p = rng.beta(sharp, sharp, videos)
        samples = Samples((rng.random(videos) < p).astype(int), p, np.arange(videos), people)
        for name, m in measure_calibration(samples, 300).items():
            found[name].append(estimate_mean(m, people, n=videos))
    variance = 0.25 / (2 * sharp + 1)  # of Beta(sharp, sharp)
    return {"ece": cover(found["ece"], 0.0), "brier": cover(found["brier"], 0.25 - variance)}


def tell(what: str, found: Covered) -> None:
    print(f"| {what} | {found.share:.1%} | {found.width:.4f} |" + (f" {found.given:.0%}" if found.given < 1 else ""))


def test_the_interval_holds_the_truth():
    found = repeat("Celeb-DF", SOURCE, 0.9, worlds=60)
    assert 0.88 <= found["auc"].share <= 1
    assert 0.065 < found["auc"].width < 0.076


def test_two_equal_detectors_rarely_differ():
    assert difference_of_equals("Celeb-DF", 1, 0.9, worlds=60) <= 0.12


def test_seeds_are_part_of_the_interval():
    found, _ = over_seeds("FF++", 3, 0.9, worlds=25)
    assert 0.8 <= found.share <= 1
    assert found.width > 0.06  # the width for one seed


MOST = {"FF++0.9": 0.0578, "FF++0.98": 0.0231, "FF++0.995": 0.0095, "Celeb-DFtarget": 0.0665, "DFDtarget": 0.0462}
"""The largest mean width of AUC intervals if no source is shared (docs/statistics.md)."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "effects", "auc"), EIGHT)
def test_intervals_hold_the_truth_where_people_are_shared(name, effects, auc):
    found = repeat(name, effects, auc, WORLDS)
    print()
    for metric, of in found.items():
        tell(f"{name} | {effects} | {auc} | {metric}", of)
    assert 0.93 <= found["auc"].share <= 0.975
    assert found["auc"].width <= MOST.get(f"{name}{auc}", MOST.get(f"{name}{effects}", 1.05 * 0.112))
    assert min(of.share for of in found.values()) >= 0.93


@pytest.mark.slow
def test_without_known_people_the_interval_is_too_narrow_and_a_note_says_so():
    found = repeat("DFDC", SOURCE, 0.9, 500)["auc"]
    print()
    tell("DFDC, nobody known | source | 0.9 | auc", found)
    assert found.share < 0.93


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("name", "auc"), [("FF++", 0.9), ("Celeb-DF", 0.9), ("Celeb-DF", 0.8), ("DFD", 0.9)])
def test_equal_detectors_differ_in_one_of_twenty_worlds(name, auc, seeds):
    share = difference_of_equals(name, seeds, auc, TESTS)
    print(f"\n| {name} | {auc} | {seeds} seeds | {share:.1%} |")
    assert 0.04 <= share <= 0.065


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("name", "apart"), [("FF++", 0.08), ("FF++", 0.25), ("FF++", 0.6), ("Celeb-DF", 0.25)])
def test_coverage_over_seeds(name, apart, seeds):
    of_auc, of_tpr = over_seeds(name, seeds, 0.9, WORLDS, apart)
    print()
    tell(f"{name} | {seeds} seeds | {apart} apart | AUC", of_auc)
    tell(f"{name} | {seeds} seeds | {apart} apart | TPR", of_tpr)
    assert 0.93 <= of_auc.share <= 0.985
    assert of_tpr.share >= 0.93


@pytest.mark.slow
def test_coverage_of_the_drop_with_one_seed():
    found = drop(WORLDS)
    print()
    tell("drop from FF++ to Celeb-DF", found)
    assert 0.93 <= found.share <= 0.975


@pytest.mark.slow
def test_intervals_cover_calibration_errors_of_zero():
    found = calibration(WORLDS)
    print()
    for name, of in found.items():
        tell(f"calibrated, 518 videos | {name}", of)
    assert found["ece"].share >= 0.93
    assert 0.93 <= found["brier"].share <= 0.975


def test_the_true_values_match_very_many_videos():
    rng, n = np.random.default_rng(0), 400_000
    y = (np.arange(n) % 3 > 0).astype(int)
    curve = make_roc_curve(y, rng.normal(size=n) + shift_of(0.9) * y)
    for name, found in (("ap", curve.average_precision()), ("eer", curve.equal_error_rate()), ("auc", curve.auc())):
        assert truths(0.9, 2 / 3)[name] == pytest.approx(float(found), abs=3e-3)
