"""Power and interval widths against scipy and simulations; the test keeps its level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.stats.influence import delong
from crossfake.benchmark.stats.power import (
    _fisher,
    auc_deviation,
    compute_expected_interval,
    count_groups,
    find_rejections,
    find_smallest_gaps,
    power,
    report,
    report_by_attribute,
    simulate_chance_gaps,
    smallest_auc_gap,
    smallest_gap,
)
from scipy.stats import binom, binomtest, fisher_exact, norm


def test_fisher_equals_scipys():
    table = _fisher(6, 9)
    for k0 in range(7):
        for k1 in range(10):
            assert table[k0, k1] == pytest.approx(fisher_exact([[k0, k1], [6 - k0, 9 - k1]])[1])


@pytest.mark.parametrize(("n0", "n1"), [(45, 40), (45, 7), (3, 3), (12, 30)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 28])
def test_the_test_keeps_its_level_and_rejects_all_that_fisher_does(n0, n1, alpha):
    region = find_rejections(n0, n1, alpha)
    assert region[_fisher(n0, n1) <= alpha].all()
    for rate in np.linspace(0.001, 0.999, 333):
        chance = binom.pmf(np.arange(n0 + 1), n0, rate) @ region @ binom.pmf(np.arange(n1 + 1), n1, rate)
        assert chance <= alpha * 1.01


def test_expected_interval_averages_the_exact_one():
    n, rate = 9, 0.3
    ends = [binomtest(k, n).proportion_ci(method="exact") for k in range(n + 1)]
    mean = [float(np.average(e, weights=binom.pmf(np.arange(n + 1), n, rate))) for e in zip(*ends, strict=True)]
    assert compute_expected_interval(n, rate) == pytest.approx(mean)


def test_power_grows_with_gap_and_size_and_smallest_gap_is_where_it_passes():
    gap = smallest_gap(45, 0.1, 40, 0.8)
    assert power(45, 0.1, 40, 0.1 + gap) >= 0.8 > power(45, 0.1, 40, 0.1 + gap - 0.001)
    assert smallest_gap(200, 0.1, 200, 0.8) < gap < smallest_gap(45, 0.1, 7, 0.8)
    assert smallest_gap(45, 0.1, 40, 0.8, alpha=0.05 / 28) > gap
    assert smallest_gap(45, 0.1, 1, 0.8) is None


def test_power_matches_simulated_repetitions():
    rng = np.random.default_rng(0)
    found = find_rejections(45, 40)[rng.binomial(45, 0.1, 20000), rng.binomial(40, 0.35, 20000)].mean()
    assert found == pytest.approx(power(45, 0.1, 40, 0.35), abs=0.01)


@pytest.mark.parametrize(("n", "off"), [(300, 0.006), (3000, 0.002)])
def test_large_samples_agree_with_the_normal_formula(n, off):
    p0 = 0.1
    gap = smallest_gap(n, p0, n, 0.8)
    p1 = p0 + gap
    middle = (p0 + p1) / 2
    needed = norm.ppf(0.975) * np.sqrt(2 * middle * (1 - middle) / n)
    needed += norm.ppf(0.8) * np.sqrt((p0 * (1 - p0) + p1 * (1 - p1)) / n)
    assert gap == pytest.approx(needed, abs=off)


def measured_auc(rng: np.random.Generator, auc: float, reals: int, fakes: int) -> tuple[float, float]:
    """Return an AUC and its variance by DeLong."""
    label = np.repeat([0, 1], [reals, fakes])
    score = rng.normal(size=len(label)) + label * norm.ppf(auc) * np.sqrt(2)
    found, covariance = delong(label, score)
    return float(found[0]), float(covariance[0, 0])


@pytest.mark.slow
def test_deviation_of_an_auc_matches_simulated_repetitions():
    rng = np.random.default_rng(0)
    found = np.array([measured_auc(rng, 0.9, 40, 60)[0] for _ in range(2000)])
    assert found.std() == pytest.approx(auc_deviation(0.9, 40, 60), rel=0.05)
    assert auc_deviation(0.5, 8, 5) == pytest.approx(np.sqrt((8 + 5 + 1) / (12 * 8 * 5)))  # Mann and Whitney's formula


@pytest.mark.slow
def test_the_smallest_auc_gap_is_detected_at_about_the_requested_power():
    rng = np.random.default_rng(0)
    gap = smallest_auc_gap(0.9, (45, 66), (40, 54), 0.8)
    shown = 0
    for _ in range(1000):
        (a, u), (b, v) = measured_auc(rng, 0.9, 45, 66), measured_auc(rng, 0.9 - gap, 40, 54)
        shown += abs(a - b) > 1.96 * np.sqrt(u + v)
    assert shown / 1000 == pytest.approx(0.8, abs=0.06)


def videos(*groups: tuple[str, int, int, int]) -> pd.DataFrame:
    """Each group has a name, real videos, clips, and fakes per clip."""
    rows = [{"label": 0, "group": g, "clip": str(i)} for g, n, _, _ in groups for i in range(n)]
    rows += [
        {"label": 1, "group": g, "clip": f"{i}_"} for g, _, c, each in groups for i in range(c) for _ in range(each)
    ]
    return pd.DataFrame(rows)


def test_cells_count_clips_once_and_come_largest_first():
    table = count_groups(videos(("few", 3, 2, 5), ("many", 9, 4, 5), ("fakes only", 0, 1, 1)))
    assert table.values.tolist() == [["many", 9, 20, 4], ["few", 3, 10, 2], ["fakes only", 0, 1, 1]]


def test_report_compares_with_the_largest_group():
    found = report(count_groups(videos(("a", 60, 60, 2), ("b", 40, 40, 2), ("c", 3, 9, 1))), 0.1, 0.9, 0.8)
    first, second, third = found["groups"]
    assert "fpr_gap" not in first
    assert second["fpr_gap"] == smallest_gap(60, 0.1, 40, 0.8)
    assert second["auc_gap"] == smallest_auc_gap(0.9, (60, 60), (40, 40), 0.8)
    assert third["auc_width"] is None
    assert third["fpr_interval"][1] > 0.7
    assert found["pairs"] == 3
    assert found["best"]["one pair"]["fpr_gap"] == second["fpr_gap"] < found["best"]["any pair"]["fpr_gap"]
    assert found["best"]["one pair"]["auc_gap"] == smallest_auc_gap(0.9, (40, 40), (60, 60), 0.8) < second["auc_gap"]


def test_regions_of_two_groups_are_the_same_in_both_orders():
    assert (find_rejections(12, 30) == find_rejections(30, 12).T).all()


@pytest.mark.parametrize(("fpr", "up", "down"), [(0, 0.134, 0.171), (0.1, 0.260, 0.261), (0.2, 0.297, 0.291)])
def test_the_smallest_gap_is_that_of_whichever_group_is_the_worse(fpr, up, down):
    """The expected gaps come from a scan of 600 common rates with scipy's fisher_exact."""
    assert (smallest_gap(45, fpr, 40, 0.8), smallest_gap(40, fpr, 45, 0.8)) == (up, down)
    table = count_groups(videos(("women", 45, 66, 1), ("men", 40, 54, 1)))
    assert find_smallest_gaps(table, fpr, 0.9, 0.8)["one pair"]["fpr_gap"] == min(up, down)


def test_the_best_auc_pair_need_not_be_of_the_groups_with_most_reals():
    table = count_groups(videos(("many reals", 60, 5, 1), ("a", 40, 60, 1), ("b", 39, 60, 1)))
    shown = find_smallest_gaps(table, 0.1, 0.9, 0.8)["one pair"]["auc_gap"]
    assert shown == smallest_auc_gap(0.9, (39, 60), (40, 60), 0.8) < smallest_auc_gap(0.9, (60, 5), (40, 60), 0.8)


def test_all_pairs_are_tried_since_steps_of_counts_can_favour_the_smaller_group():
    """At an FPR of 0 and three tests at 5 % / 3, 8 videos against 48 show smaller gaps than 10 against 48 do."""
    table = count_groups(videos(("young", 48, 9, 1), ("middle", 10, 9, 1), ("senior", 8, 9, 1)))
    shown = find_smallest_gaps(table, 0, 0.9, 0.8)["any pair"]["fpr_gap"]
    assert shown == smallest_gap(48, 0, 8, 0.8, 0.05 / 3) < smallest_gap(48, 0, 10, 0.8, 0.05 / 3)


def test_each_attribute_alone_has_larger_groups_and_smaller_gaps():
    several = videos(("female-white", 45, 66, 1), ("male-white", 40, 54, 1), ("female-asian", 33, 0, 1))
    several = pd.concat([several, videos(("male-undefined", 20, 9, 1))])
    several[["gender", "race"]] = several["group"].str.split("-").tolist()
    found = report_by_attribute(several, ["gender", "race"], 0.1, 0.9, 0.8)
    assert [(g["group"], g["real"], g["clips"]) for g in found["gender"]["groups"]] == [
        ("female", 78, 66),
        ("male", 60, 54),
    ]
    gap = found["gender"]["best"]["one pair"]
    assert gap["fpr_gap"] == 0.188
    assert gap["auc_gap"] == smallest_auc_gap(0.9, (60, 54), (78, 66), 0.8)
    assert found["race"]["not_compared"] == [{"group": "undefined", "real": 20, "fake": 9, "clips": 9}]
    assert found["race"]["pairs"] == 1
    assert found["race"]["best"]["one pair"]["auc_gap"] is None


def test_one_known_group_has_nothing_to_show():
    alone = videos(("white", 9, 9, 1)).assign(race="white")
    assert report_by_attribute(alone, ["race"], 0.1, 0.9, 0.8)["race"]["best"] == {}


def test_small_groups_show_gaps_by_chance_alone():
    few, many = simulate_chance_gaps([1, 40], 0.1), simulate_chance_gaps([4000, 4000], 0.1)
    assert few["f_fpr_range"][0] == pytest.approx(0.9 * 0.1 + 0.1 * 0.9, abs=0.01)
    assert few["f_fpr_range"][1] > 0.8
    assert many["f_fpr_range"][0] == pytest.approx(2 / np.sqrt(np.pi) * np.sqrt(0.09 / 4000), rel=0.03)
    assert many["f_fpr_sum"] == pytest.approx(many["f_fpr_range"], rel=1e-9)
