"""Tests of group differences: against exact tests, level and power; and intervals of gaps between few people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.group_comparisons import AttributeTests
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.attributes import cross_attributes
from crossfake.benchmark.stats.group_gaps import measure_gaps
from crossfake.benchmark.stats.group_rates import GroupRates, Scored, find_rates, tabulate_groups
from crossfake.benchmark.stats.group_tests import (
    compare_attributes,
    compare_groups,
    compare_rate,
    draw_halves,
    fisher_p,
)
from crossfake.benchmark.stats.intervals import estimate_ranking, estimate_share
from crossfake.benchmark.stats.method_rates import measure_method_groups, measure_methods
from crossfake.benchmark.stats.people import number_apart
from crossfake.benchmark.stats.shares import share_tail
from hypothesis import given
from hypothesis import strategies as st
from people_worlds import SOURCE, make_ffpp, shift_of
from scipy.stats import fisher_exact, kruskal, norm, permutation_test

FF_CELLS = [45, 40, 7, 6]
"""Real videos of the four largest groups of gender and race in FF++'s test split."""


def alarms_of(cells: list[int], rates: list[float], rng: np.random.Generator) -> Scored:
    """Real videos of different people, of which `rates` are classified as fake, and as many fakes, all detected."""
    groups = np.repeat([f"g{i}" for i in range(len(cells))], cells)
    n = len(groups)
    score = np.r_[(rng.random(n) < np.repeat(rates, cells)).astype(float), np.ones(n)]
    table = pd.DataFrame({"label": np.repeat([0, 1], n), "score": score, "group": np.r_[groups, groups].astype(object)})
    return Scored(table, np.arange(2 * n), number_apart(np.arange(2 * n)), 0.5)


def compare(scored: Scored) -> AttributeTests:
    grouping = cross_attributes(scored.table, ["group"])["group"]
    return compare_groups([scored], grouping, np.arange(len(grouping.names)))


def pairs_that_differ(found: AttributeTests, rate: str) -> list[tuple[str, str]]:
    return [p.groups for p in found.tests[rate].pairs if p.p_holm < 0.05]


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_fishers_p_equals_scipys(n0, n1, draw):
    k0, k1 = draw.draw(st.integers(0, n0)), draw.draw(st.integers(0, n1))
    expected = fisher_exact([[k0, n0 - k0], [k1, n1 - k1]])[1]
    assert fisher_p(k0, n0, k1, n1) == pytest.approx(expected, abs=1e-9)


def test_shares_of_small_groups_are_compared_exactly():
    table = pd.DataFrame({"label": [0] * 14 + [1] * 14, "score": [1.0] * 6 + [0.0] + [0.0] * 7 + [1.0] * 14})
    table["group"] = (["a"] * 7 + ["b"] * 7) * 2
    found = compare(Scored(table, np.arange(28), number_apart(np.arange(28)), 0.5))
    assert found.tests["fpr"].pairs[0].p == pytest.approx(fisher_exact([[6, 1], [0, 7]])[1])
    assert found.tests["fpr"].p < 0.01
    assert found.tests["tpr"].p == 1
    assert pairs_that_differ(found, "fpr") == [("a", "b")]


def test_few_people_with_several_videos_are_permuted_exhaustively():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(8), 3)
    score = rng.normal(size=24) + 1.5 * (person < 4)
    table = pd.DataFrame({"label": [0] * 24 + [1] * 8, "score": np.r_[score, np.full(8, 9.0)]})
    table["group"] = ["a"] * 12 + ["b"] * 12 + list("aaaabbbb")
    people = number_apart(np.r_[person, 8 + np.arange(8)])
    found = compare(Scored(table, np.arange(32), people, 0.5))
    rate = np.bincount(person, score >= 0.5)
    apart = permutation_test((rate[:4], rate[4:]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater")
    assert found.tests["fpr"].pairs[0].p == pytest.approx(apart.pvalue)


def test_very_many_people_need_no_permutations():
    rng = np.random.default_rng(0)
    scored = alarms_of([3000, 2500], [0.10, 0.13], rng)
    real = scored.table[scored.table["label"] == 0]
    expected = kruskal(*(real.loc[real["group"] == g, "score"] for g in ("g0", "g1"))).pvalue
    assert compare(scored).tests["fpr"].p == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("cells", [[150, 250], [100, 60, 240], [5, 400]])
@pytest.mark.parametrize("kinds", [3, 1000])
def test_every_way_to_draw_gives_the_p_of_permutations(cells, kinds):
    """Three kinds of people are drawn as tables, two groups as halves, several as permutations."""
    rng, groups = np.random.default_rng(kinds), np.repeat(np.arange(len(cells)), cells)
    values = np.minimum(rng.random(len(groups)) + 0.12 * (groups == 0), 1) * (kinds - 1)
    values = values.round() if kinds == 3 else values

    def measure(order):
        sums = np.add.reduceat(values[order] - values.mean(), np.cumsum([0, *cells[:-1]]), axis=-1)
        return (sums**2 / cells).sum(-1)

    orders = rng.permuted(np.tile(np.arange(len(groups)), (4000, 1)), axis=1)
    expected = np.mean(measure(orders) >= measure(np.arange(len(groups))) - 1e-9)
    found = compare_rate(values - values.mean(), groups, np.full(len(groups), 2), list("abc")[: len(cells)])
    assert found.p == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 800) ** 0.5 + 0.002)


def test_halves_are_of_the_right_size_and_everybody_is_as_often_in_them():
    inside = draw_halves(300, 20)
    assert (inside.sum(1) == 20).all()
    together = inside.T.astype(float) @ inside
    apart = together[~np.eye(300, dtype=bool)]
    assert np.diag(together).std() == pytest.approx((1000 * 20 / 300 * 280 / 300) ** 0.5, rel=0.15)
    assert apart.mean() == pytest.approx(1000 * 20 * 19 / 300 / 299)
    assert apart.std() == pytest.approx(apart.mean() ** 0.5, rel=0.05)  # As of independent counts.


def test_copies_of_videos_add_no_evidence():
    rng = np.random.default_rng(1)
    alone = alarms_of([30, 30], [0.1, 0.4], rng)
    copies = pd.concat([alone.table] * 5, ignore_index=True)
    people = number_apart(np.tile(np.arange(120), 5))
    many = compare(Scored(copies, np.arange(600), people, 0.5))
    assert many.tests["fpr"].p == pytest.approx(compare(alone).tests["fpr"].p, abs=0.01)


def test_a_gap_too_small_to_detect_is_reported():
    found = compare(alarms_of([45, 40], [0.1, 0.1], np.random.default_rng(0)))
    assert 0.2 < found.smallest_gap["fpr"] < 0.32
    few = compare(alarms_of([5, 5], [0.2, 0.2], np.random.default_rng(0)))
    assert few.smallest_gap["fpr"] is None or few.smallest_gap["fpr"] > 0.6


def test_only_groups_that_are_large_enough_are_compared():
    scored = alarms_of([9, 9, 3], [0.5] * 3, np.random.default_rng(0))
    assert compare_attributes([scored], ["group"])["group"].groups == ["g0", "g1"]
    assert compare_attributes([alarms_of([9, 3], [0.5] * 2, np.random.default_rng(0))], ["group"]) == {}


def test_methods_of_groups_are_scored_against_the_groups_reals():
    scored = alarms_of([10, 8], [0.0, 0.5], np.random.default_rng(0))
    scored.table["method"] = np.where(scored.table["label"] == 0, "real", np.where(np.arange(36) % 2, "A", "B"))
    cells = measure_method_groups([scored], ["group"])["group"]
    assert {g: {m: c.n_fake for m, c in of.items()} for g, of in cells.items()} == {
        "g0": {"A": 5, "B": 5},
        "g1": {"A": 4, "B": 4},
    }
    assert cells["g0"]["A"].auc.value == 1
    assert cells["g1"]["A"].auc.value < 1
    assert cells["g1"]["A"].tpr.value == 1
    whole = measure_methods([scored])["A"]
    assert (whole.n_fake, whole.auc.n) == (9, 27)
    assert whole.tpr.lo > cells["g1"]["A"].tpr.lo


@pytest.mark.parametrize("cells", [[20, 20], [5, 29]])
def test_seeds_are_permuted_between_groups_together(cells):
    """If one seed is wrong about one group and another seed about the other, neither group is worse on average.

    With groups of 5 and 29, the sums of two seeds' influences differ by rounding.
    """
    first, second = (alarms_of(cells, rates, np.random.default_rng(0)) for rates in ([1.0, 0.0], [0.0, 1.0]))
    alone, both = (compare_attributes(seeds, ["group"])["group"].tests for seeds in ([first], [first, second]))
    assert alone["fpr"].p < 0.01
    assert alone["fpr"].pairs[0].p_holm < 0.01
    assert (both["fpr"].p, both["odds"].p, both["fpr"].pairs[0].p_holm) == (1, 1, 1)


def test_rates_of_methods_are_averaged_over_seeds():
    seeds = [alarms_of([12, 12], rates, np.random.default_rng(0)) for rates in ([0.0, 1.0], [0.0, 0.0])]
    for one in seeds:
        one.table["method"] = np.where(one.table["label"] == 0, "real", "A")
    one, both = (measure_method_groups(of, ["group"])["group"] for of in (seeds[:1], seeds))
    assert (one["g1"]["A"].auc.value, both["g1"]["A"].auc.value) == (0.5, 0.75)
    assert both["g1"]["A"].auc.lo < 0.3  # Two seeds this far apart say little.
    assert both["g0"]["A"].auc == one["g0"]["A"].auc


def level_of(cells: list[int], rates: list[float], worlds: int, seeds: int = 1) -> dict[str, float]:
    """Return how often the omnibus test or any pair finds a difference in FPR; seeds agree on half of the videos."""
    rng, groups, found = np.random.default_rng(0), np.repeat(np.arange(len(cells)), cells), []
    names = [f"g{i}" for i in range(len(cells))]
    for _ in range(worlds):
        drawn = rng.random((seeds, len(groups)))
        drawn[1:] = np.where(rng.random((seeds - 1, len(groups))) < 0.5, drawn[0], drawn[1:])
        alarms = (drawn < np.repeat(rates, cells)).mean(0)
        tested = compare_rate(alarms - alarms.mean(), groups, np.ones(len(groups)), names)
        found.append((tested.p < 0.05, any(p.p_holm < 0.05 for p in tested.pairs)))
    return dict(zip(("omnibus", "pairs"), np.mean(found, axis=0).tolist(), strict=True))


def test_a_worse_group_is_detected_among_small_ones():
    found = level_of(FF_CELLS, [0.1, 0.4, 0.1, 0.1], worlds=100)
    assert found["omnibus"] >= 0.75


AUCS = [
    ([78, 60], [0.95, 0.95]),
    ([78, 60], [0.97, 0.88]),
    (FF_CELLS, [0.95] * 4),
    (FF_CELLS, [0.97, 0.82, 0.92, 0.92]),
    (FF_CELLS, [0.99] * 4),
    (FF_CELLS, [0.97, 0.97, 0.97, 0.8]),
    ([45, 40], [0.97, 0.82]),
]
RATES = [
    (FF_CELLS, [0.1] * 4),
    (FF_CELLS, [0.1, 0.4, 0.1, 0.1]),
    ([45, 40], [0.1, 0.4]),
    ([78, 60], [0.1, 0.1]),
    ([78, 60], [0.1, 0.3]),
    (FF_CELLS, [0.02] * 4),
    (FF_CELLS, [0.1, 0.1, 0.1, 0.5]),
    ([6] * 8, [0.02] * 8),
]


def estimate_worst(group: GroupRates, metric: str, count: int) -> Estimate:
    rate, n, tail = group.rates["at"][metric], sum(group.size), share_tail(count)
    if metric == "auc":
        return estimate_ranking(rate, group.people, group.classes, n=n, tail=tail)
    return estimate_share(rate, group.people, n=n, tail=tail)


def cover_gaps(cells: list[int], rates: list[float], metric: str, worlds: int) -> dict[str, tuple[float, float]]:
    """Return how often the intervals of a gap and of the worst group's rate cover the truth, and how wide they are.

    People of FF++'s test pairs are of these groups, or of none; their fakes are those of their clips.
    """
    s, rng = make_ffpp(), np.random.default_rng(3)
    owner = np.full(140, -1)
    owner[rng.permutation(140)[: sum(cells)]] = np.repeat(np.arange(len(cells)), cells)
    group = owner[s.target]
    names = np.where(group >= 0, np.char.add("g", group.astype(str)), "").astype(object)
    shifts = np.array([shift_of(r) for r in rates])[np.maximum(group, 0)]
    at, found = norm.isf(min(rates)), []
    lifts = (at - norm.isf(rates))[np.maximum(group, 0)]
    people, rows, kept = s.people, np.arange(len(names)), list(range(len(cells)))
    name, choose = ("auc_gap", np.argmin) if metric == "auc" else ("f_fpr_range", np.argmax)
    for score in s.draw_scores(rng, worlds, SOURCE):
        own = score + s.label * shifts if metric == "auc" else score + np.where(s.label == 1, 3.0, lifts)
        table = pd.DataFrame({"label": s.label, "score": own, "group": names})
        groups = tabulate_groups(Scored(table, rows, people, at), ["group"])["group"]
        gap = measure_gaps([name], [find_rates(groups, "at", 400)], kept, min(cells), "")[name]
        worst = int(choose([g.rates["at"][metric].value for g in groups]))
        rate = estimate_worst(groups[worst], metric, len(cells))
        widths = gap.hi - gap.lo, rate.hi - rate.lo
        found.append((gap.lo <= np.ptp(rates) <= gap.hi, rate.lo <= rates[worst] <= rate.hi, *widths))
    held, own_held, width, own_width = np.mean(found, axis=0)
    return {"gap": (float(held), float(width)), "worst": (float(own_held), float(own_width))}


def test_intervals_of_a_gap_cover_where_the_smallest_group_does_worse():
    assert cover_gaps(FF_CELLS, [0.97, 0.97, 0.97, 0.8], "auc", 15)["gap"][0] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "cells", "rates"), [*(("auc", *world) for world in AUCS), *(("fpr", *world) for world in RATES)]
)
def test_gap_intervals_cover_in_every_world(metric, cells, rates):
    found = cover_gaps(cells, rates, metric, 2000)
    told = " | ".join(f"{held:.1%} | {width:.3f}" for held, width in found.values())
    print(f"\n| {metric} | {', '.join(map(str, cells))} | {', '.join(map(str, rates))} | {told} |")
    assert found["gap"][0] >= 0.93
    assert found["worst"][0] >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("rates", [[0.1] * 4, [0.1, 0.4, 0.1, 0.1], [0.1, 0.1, 0.1, 0.5]])
def test_level_and_power_with_the_cells_of_ffpp(rates, seeds):
    found = level_of(FF_CELLS, rates, 5000 if len(set(rates)) == 1 else 2000, seeds)
    print(
        f"\n| {', '.join(map(str, rates))} | {seeds} seeds | "
        + " | ".join(f"{share:.1%}" for share in found.values())
        + " |"
    )
    if len(set(rates)) == 1:
        assert found["omnibus"] <= 0.065
        assert found["pairs"] <= 0.065
    if rates[1] == 0.4:
        assert found["omnibus"] >= 0.8
