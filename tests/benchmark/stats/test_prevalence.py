"""Metrics that don't depend on the share of fakes: equal for any share, and right for a given one.

python -m pytest tests/benchmark/stats/test_prevalence.py -n0 -m slow -s    # prints the table of docs/statistics.md
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.influence import Measured, Samples
from crossfake.benchmark.stats.intervals import NO_DRAWS
from crossfake.benchmark.stats.people import number_apart
from crossfake.benchmark.stats.prevalence import (
    PREVALENCES,
    count_flagged,
    estimate_precision,
    fit_prior,
    measure_average_precision,
    measure_balanced_calibration,
    measure_least_cost,
    measure_operating_point,
    measure_without_prevalence,
    remove_prior,
)
from crossfake.benchmark.stats.scoring import estimate_metric
from hypothesis import given, settings
from hypothesis import strategies as st
from people_worlds import STRUCTURES, Structure
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, balanced_accuracy_score


def apart(label: np.ndarray, score: np.ndarray) -> Samples:
    return Samples(label, score, np.arange(len(label)), number_apart(np.arange(len(label))))


def calibrated(reals: int, fakes: int, prior: float, seed: int = 0, strength: float = 2.0) -> Samples:
    """Scores calibrated for this share of fakes."""
    label = np.repeat([0, 1], [reals, fakes])
    x = np.random.default_rng(seed).normal(size=len(label)) + strength * label
    return apart(label, expit(strength * x - strength**2 / 2 + logit(prior)))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_repeating_the_fakes_changes_no_number(seed, times):
    one = calibrated(40, 30, 0.5, seed)
    more = apart(
        np.append(one.labels[:40], np.ones(30 * times, int)),
        np.append(one.scores[:40], np.tile(one.scores[40:], times)),
    )
    for measure in (
        lambda s: measure_operating_point(s, 0.5),
        lambda s: {"least_cost": measure_least_cost(s)},
        measure_average_precision,
        lambda s: {k: v for k, v in measure_balanced_calibration(s, 0.3, 0).items() if k != "ece_balanced"},
    ):
        first, second = measure(one), measure(more)
        for name, found in first.items():
            assert second[name].value == pytest.approx(found.value), name


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.2, 0.8))
def test_values_equal_scikit_learns(seed, threshold):
    samples = calibrated(40, 60, 0.5, seed)
    label, score = samples.labels, np.round(samples.scores, 2)
    samples = replace(samples, scores=score)
    rates = measure_operating_point(samples, threshold)
    assert rates["balanced_acc"].value == pytest.approx(balanced_accuracy_score(label, score >= threshold))
    assert rates["cost"].value == pytest.approx(1 - rates["balanced_acc"].value)
    for name, prevalence in PREVALENCES.items():
        weight = np.where(label == 1, prevalence / 60, (1 - prevalence) / 40)
        expected = average_precision_score(label, score, sample_weight=weight)
        assert measure_average_precision(samples)[f"ap_at_{name}"].value == pytest.approx(expected)


def measure_all(samples: Samples) -> dict[str, Measured]:
    found = measure_without_prevalence(samples, 0.5, 0.4, 0)
    return {name: m for name, m in found.items() if name not in ("ece_balanced", "least_cost") and "ap_at" not in name}


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_influences_match_leaving_a_video_out(seed):
    samples = calibrated(150, 200, 0.5, seed)
    whole = measure_all(samples)
    for out in (3, 340):
        kept = np.arange(350) != out
        less = measure_all(apart(samples.labels[kept], samples.scores[kept]))
        for name, found in whole.items():
            assert found.value - less[name].value == pytest.approx(found.influence[out], abs=2e-4), name
            assert found.influence.sum() == pytest.approx(0, abs=1e-9), name


@pytest.mark.parametrize("name", PREVALENCES)
def test_the_influence_on_average_precision_matches_a_small_change_of_weight(name):
    samples, step = calibrated(40, 60, 0.5), 1e-6
    found = measure_average_precision(samples)[f"ap_at_{name}"]
    for video in (3, 90, 99):
        weight = np.ones(100)
        weight[video] += step
        for label, share in ((0, 1 - PREVALENCES[name]), (1, PREVALENCES[name])):
            weight[samples.labels == label] *= share / weight[samples.labels == label].sum()
        more = average_precision_score(samples.labels, samples.scores, sample_weight=weight)
        assert (more - found.value) / step == pytest.approx(found.influence[video], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("prior", [0.05, 0.5, 5 / 6])
def test_the_prior_is_the_one_scores_are_made_for_whatever_the_split_has(prior):
    samples = calibrated(4000, 1000, prior)
    assert fit_prior(samples.labels, samples.scores) == pytest.approx(prior, abs=0.03)
    balanced = remove_prior(samples.scores, prior)
    assert fit_prior(samples.labels, balanced) == pytest.approx(0.5, abs=0.04)
    assert (np.diff(balanced[np.argsort(samples.scores)]) >= 0).all()


def test_a_calibrated_detector_has_no_error_and_an_uncalibrated_one_has():
    values, low = [], 0
    for seed in range(40):
        found = measure_balanced_calibration(calibrated(178, 340, 5 / 6, seed), 5 / 6, 200)["ece_balanced"]
        values.append(found.value)
        low += found.value - found.reach[0] <= 1e-12
    assert np.mean(values) < 0.03  # The ECE is .047 for this number of videos.
    assert low >= 35
    off = measure_balanced_calibration(calibrated(178, 340, 5 / 6), 0.5, 200)["ece_balanced"]
    assert off.value > 0.1
    assert off.value - off.reach[0] > 0


def test_cllr_is_1_for_uninformative_scores_and_near_0_for_confident_correct_ones():
    label = np.repeat([0, 1], 50)
    assert measure_balanced_calibration(apart(label, np.full(100, 0.3)), 0.3, 0)["cllr"].value == pytest.approx(1)
    sure = measure_balanced_calibration(apart(label, label * 1.0), 0.5, 0)["cllr"]
    assert sure.value < 1e-4
    assert measure_balanced_calibration(apart(label, 1.0 - label), 0.5, 0)["cllr"].value > 10
    assert set(measure_balanced_calibration(apart(label, label * 1.0), None, 0)) == {"balanced_brier"}


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.001, 0.1))
def test_precision_follows_from_both_rates(fpr, tpr, prevalence):
    rates = [Estimate(r, max(r - 0.05, 0), min(r + 0.05, 1), 100) for r in (fpr, tpr)]
    found = estimate_precision(*rates, prevalence)
    assert found.value == pytest.approx(prevalence * tpr / (prevalence * tpr + (1 - prevalence) * fpr))
    assert 0 <= found.lo < found.value < found.hi <= 1


def test_precision_without_false_alarms_is_only_as_certain_as_there_are_reals():
    none, half = Estimate(0.0, 0.0, 0.026, 140), Estimate(0.8, 0.75, 0.85, 700)
    found = estimate_precision(none, half, 0.01)
    assert (found.value, found.hi, found.n) == (1, 1, 840)
    assert found.lo == pytest.approx(0.01 * 0.75 / (0.01 * 0.75 + 0.99 * 0.026))
    assert count_flagged(found) == (1000, 226, 1000)
    nothing = estimate_precision(none, Estimate(0.0, 0.0, 0.01, 700), 0.01)
    assert (nothing.value, nothing.note) == (None, "undefined (nothing is called fake)")
    assert count_flagged(nothing) is None


def test_average_precision_with_few_fakes_is_as_certain_as_the_highest_reals():
    samples = calibrated(60, 60, 0.5)
    few, many = (measure_average_precision(s, 200) for s in (samples, calibrated(600, 600, 0.5)))
    wide, narrow = (
        {n: (e := estimate_metric(n, found[n], of, n=1)).hi - e.lo for n in found}
        for found, of in ((few, samples), (many, calibrated(600, 600, 0.5)))
    )
    assert 0 < wide["ap_at_prev50"] < wide["ap_at_prev10"] < wide["ap_at_prev1"] <= 1
    assert all(narrow[name] < width for name, width in wide.items())
    none = estimate_metric("ap_at_prev1", measure_average_precision(samples)["ap_at_prev1"], samples, n=120)
    assert (none.lo, none.note) == (None, NO_DRAWS)


def test_a_perfect_score_on_few_fakes_is_not_certain():
    """None of 50 reals scores high, but 7 % of all reals might; if 1 % is fake, most flagged videos would be real."""
    samples = apart(np.repeat([0, 1], 50), np.arange(100) / 100)
    found = measure_average_precision(samples, 500)["ap_at_prev1"]
    e = estimate_metric("ap_at_prev1", found, samples, n=100)
    assert (e.value, e.hi) == (1, 1)
    assert 0.05 < e.lo < 0.3


def test_one_class_leaves_all_undefined():
    for label in (np.zeros(20, int), np.ones(20, int)):
        samples = apart(label, np.linspace(0, 1, 20))
        found = measure_average_precision(samples) | measure_balanced_calibration(samples, 0.5, 50)
        found |= {
            "balanced_acc": measure_operating_point(samples, 0.5)["balanced_acc"],
            "least": measure_least_cost(samples),
        }
        for name, measured in found.items():
            assert np.isnan(measured.value), name


NAMES = (
    "balanced_acc",
    "ap_at_prev50",
    "ap_at_prev10",
    "ap_at_prev1",
    "precision_at_prev1",
    "balanced_brier",
    "cllr",
    "ece_balanced",
)


def cover(structure: Structure, strength: float, worlds: int) -> dict[str, tuple[float, float]]:
    """Return coverage and width of intervals for a detector calibrated at a share of 5 fakes in 6."""
    label, people, prior = structure.label, structure.people, 5 / 6

    def make(score: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return expit(strength * (score + strength * labels) - strength**2 / 2 + logit(prior))

    many = np.repeat([0, 1], 200_000)
    endless = apart(many, make(np.random.default_rng(1).normal(size=len(many)), many))
    rates = measure_operating_point(endless, 0.8)
    truth = {name: m.value for name, m in (rates | measure_average_precision(endless)).items()}
    truth |= {"balanced_brier": float(np.mean((endless.scores - many) ** 2)), "ece_balanced": 0.0}
    evidence = (1 - 2 * many) * logit(remove_prior(endless.scores, prior))
    truth["cllr"] = float(np.logaddexp(0, evidence).mean() / np.log(2))
    truth["precision_at_prev1"] = 0.01 * truth["tpr"] / (0.01 * truth["tpr"] + 0.99 * truth["fpr"])
    held: dict[str, list[tuple[bool, float]]] = {name: [] for name in NAMES}
    for score in structure.draw_scores(np.random.default_rng(0), worlds):
        samples = Samples(label, make(score, label), np.arange(len(label)), people)
        for name, e in estimate_all(samples, prior).items():
            held[name].append((e.lo <= truth[name] <= e.hi, e.hi - e.lo))
    return {name: tuple(np.mean(found, axis=0)) for name, found in held.items()}


def estimate_all(samples: Samples, prior: float) -> dict[str, Estimate]:
    found = measure_without_prevalence(samples, 0.8, prior, 300)
    wanted = (*(name for name in NAMES if name in found), "fpr", "tpr")
    e = {name: estimate_metric(name, found[name], samples, n=1) for name in wanted}
    e["precision_at_prev1"] = estimate_precision(e["fpr"], e["tpr"], 0.01)
    return {name: e[name] for name in NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["FF++", "Celeb-DF", "DFD"])
def test_coverage_is_95_percent(structure):
    found = cover(STRUCTURES[structure](), 1.8, worlds=2000)
    print(f"\n| {structure} | " + " | ".join(f"{share:.1%}, {width:.3f}" for share, width in found.values()) + " |")
    for name, (share, _) in found.items():
        assert share >= 0.93, name
