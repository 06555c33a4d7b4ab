"""Calibration metrics against their definitions, scikit-learn and a simulation with a known temperature."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats import calibration
from crossfake.benchmark.stats.influence import Measured, Samples
from crossfake.benchmark.stats.intervals import estimate_mean
from crossfake.benchmark.stats.people import number_apart
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

samples = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def columns(rows: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    y, s = (np.array(c, float) for c in zip(*rows, strict=True))
    return y, s


def world(n: int = 20_000, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn with probability sigmoid(logit / temperature), and scores that ignore the temperature."""
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 3, n)
    return (rng.random(n) < 1 / (1 + np.exp(-logit / temperature))).astype(int), 1 / (1 + np.exp(-logit))


def measured(y: np.ndarray, s: np.ndarray, person: np.ndarray | None = None, draws: int = 0) -> dict[str, Measured]:
    people = number_apart(np.arange(len(y)) if person is None else person)
    return calibration.measure_calibration(Samples(y, s, np.arange(len(y)), people), draws)


def of(y: np.ndarray, s: np.ndarray) -> dict[str, float]:
    return {name: found.value for name, found in measured(y, s).items()}


@given(samples)
def test_ece_and_brier_follow_their_definitions(rows):
    y, s = columns(rows)
    found = of(y, s)
    by_bin = [np.flatnonzero(calibration.assign_bins(s) == b) for b in range(calibration.BINS)]
    gaps = [len(i) / len(y) * abs(s[i].mean() - y[i].mean()) for i in by_bin if len(i)]
    assert found["ece"] == pytest.approx(sum(gaps), abs=1e-12)
    assert found["brier"] == pytest.approx(sum((p - t) ** 2 for t, p in rows) / len(rows), abs=1e-12)


@given(samples)
def test_the_reliability_curve_gives_the_calibration_error(rows):
    y, s = columns(rows)
    points = calibration.reliability_curve(y, s)
    assert sum(n for *_, n in points) == len(y)
    error = sum(n * abs(mean - share) for mean, share, n in points) / len(y)
    assert error == pytest.approx(of(y, s)["ece"], abs=1e-12)


def test_bins_hold_their_lower_edge_and_the_last_one_1():
    assert calibration.assign_bins([0, 0.0666, 1 / 15, 0.999, 1]).tolist() == [0, 0, 1, 14, 14]


def test_a_shown_bin_has_enough_videos_and_an_exact_interval():
    points, counts = [(0.1, 0.0), (0.5, 0.3), (0.7, 0.5), (0.9, 1.0)], [20, 10, 9, 40]
    found = calibration.estimate_bins(points, counts)
    assert [(mean, e.value, e.n) for mean, e in found] == [(0.1, 0.0, 20), (0.5, 0.3, 10), (0.9, 1.0, 40)]
    for _, e in found:
        exact = binomtest(round(e.value * e.n), e.n).proportion_ci(0.95, "exact")
        assert (e.lo, e.hi) == pytest.approx((exact.low, exact.high))
    assert calibration.estimate_bins(points, []) == []


def test_influences_match_a_slightly_heavier_sample():
    y, s = world(90)
    found, step = measured(y, s), 1e-6

    def weighted(w: np.ndarray) -> tuple[float, float]:
        sums = np.bincount(calibration.assign_bins(s), w * (s - y), calibration.BINS)
        return np.abs(sums).sum() / w.sum(), (w * (s - y) ** 2).sum() / w.sum()

    for i in (0, 17, 89):
        more = weighted(np.ones(90) + step * (np.arange(90) == i))
        for name, after in zip(("ece", "brier"), more, strict=True):
            assert found[name].influence[i] == pytest.approx((after - found[name].value) / step, abs=1e-6)


def test_the_calibration_error_of_a_calibrated_detector_may_be_zero():
    y, s = world(518)
    found = measured(y, s, draws=400)["ece"]
    assert found.value > 0.03
    assert found.value - found.reach[0] < 0.01
    sure = measured(y[:260], s[:260], draws=400)["ece"]
    assert estimate_mean(sure, number_apart(np.arange(260)), n=260).lo == 0
    assert 0 < found.reach[1] < 0.1
    y, s = world(20_000, temperature=2.5)
    below, above = measured(y, s, draws=400)["ece"].reach
    assert 0 < below < 0.02
    assert 0 < above < 0.02


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_true_temperature_is_found_and_corrects_the_scores(temperature):
    y, s = world(temperature=temperature)
    fitted = calibration.fit_temperature(y, s)
    assert fitted == pytest.approx(temperature, rel=0.05)
    assert of(y, calibration.apply_temperature(s, fitted))["ece"] < 0.012


@given(samples, st.floats(0.1, 10))
def test_a_temperature_keeps_the_order(rows, temperature):
    _, s = columns(rows)
    scaled = calibration.apply_temperature(s, temperature)
    assert (np.diff(scaled[np.argsort(s)]) >= 0).all()
    assert ((scaled >= 0.5) == (s >= 0.5)).all()


def test_perfectly_separated_classes_stop_at_the_smallest_temperature():
    assert calibration.fit_temperature([0, 0, 1, 1], [0.2, 0.4, 0.7, 0.9]) == pytest.approx(1 / 20, rel=0.01)


def test_scores_within_0_and_1_are_probabilities():
    assert calibration.are_probabilities([0, 0.5, 1])
    assert not calibration.are_probabilities([-0.1, 0.5])
