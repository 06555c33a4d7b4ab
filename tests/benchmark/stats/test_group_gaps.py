"""Group tables and gaps against numbers computed by hand; small groups are named, unannotated videos left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.stats.attributes import cross_attributes
from crossfake.benchmark.stats.fairness_metrics import compute_gaps, reference_metrics, sigmoid
from crossfake.benchmark.stats.group_gaps import GAPS, measure_groups
from crossfake.benchmark.stats.group_rates import Scored, threshold_at_fpr
from crossfake.benchmark.stats.influence import Samples
from crossfake.benchmark.stats.intervals import NO_DRAWS, TOO_FEW, estimate_ranking
from crossfake.benchmark.stats.people import number_apart
from crossfake.benchmark.stats.rankings import measure_ranking
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta


def people(*rows: tuple[str, str, int, list[float]]) -> pd.DataFrame:
    """Each row has gender, race, label and scores."""
    return pd.DataFrame([{"gender": g, "race": r, "label": y, "score": s} for g, r, y, scores in rows for s in scores])


def measured(table: pd.DataFrame, known: list[str], threshold: float = 0.5, draws: int = 0, level: str = "video"):
    return measure_groups(level, [scored(table, threshold=threshold)], known, draws)


def scored(table: pd.DataFrame, person: np.ndarray | None = None, threshold: float = 0.5) -> Scored:
    """Each row is a video of a different person, or of the given people."""
    rows = np.arange(len(table))
    return Scored(table, rows, number_apart(rows if person is None else person), threshold)


EASY, HARD = [0.1] * 5, [0.9] * 5


@pytest.fixture
def two() -> pd.DataFrame:
    """Men are classified perfectly; a fifth of the women's real videos score as high as their fakes."""
    return people(("m", "a", 0, EASY), ("m", "a", 1, HARD), ("f", "a", 0, [0.9, *EASY[:4]]), ("f", "a", 1, HARD))


def random_table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    return pd.DataFrame(
        {
            "gender": rng.choice(["m", "f"], n),
            "race": rng.choice(["a", "b", "w"], n),
            "label": label,
            "score": sigmoid(rng.normal(size=n) + 1.5 * label - 0.7),
        }
    )


def test_rates_and_auc_of_each_group(two):
    table = measured(two, ["gender"])[1]["gender"]
    assert table["m"].auc.value == 1
    assert table["f"].auc.value == pytest.approx(0.9)  # 5 of 25 pairs are ties.
    assert (table["m"].fpr.value, table["m"].fpr.n) == (0, 5)
    assert table["f"].fpr.value == pytest.approx(0.2)
    assert table["f"].tpr.value == 1
    assert table["f"].auc.n == 10


def test_gaps_have_the_smallest_cell_as_n(two):
    result, _ = measured(pd.concat([two, people(("m", "a", 1, [0.9]))], ignore_index=True), ["gender"], draws=50)
    auc, fpr = (result[f"video.fairness.gender.{what}"] for what in ("auc_gap", "f_fpr_range"))
    assert auc.value == pytest.approx(0.1)
    assert fpr.value == pytest.approx(0.2)
    assert auc.n == fpr.n == 5
    assert 0 <= auc.lo <= auc.value <= auc.hi <= 1


def test_the_worst_group_is_named(two):
    result, _ = measured(two, ["gender"])
    assert result["video.fairness.gender.worst_auc"][::4] == (pytest.approx(0.9), "f")
    assert result["video.fairness.gender.worst_fpr"][::4] == (pytest.approx(0.2), "f")


@pytest.mark.parametrize("level", ["video", "frame"])
def test_the_worst_of_several_groups_has_the_interval_of_its_own_row(level):
    result, groups = measured(random_table(200), ["gender", "race"], 0.4, draws=100, level=level)
    for attribute, cells in groups.items():
        for name, rate in (("worst_auc", "auc"), ("worst_fpr", "fpr"), ("worst_fpr_at_fpr5", "fpr_at_fpr5")):
            worst = result[f"{level}.fairness.{attribute}.{name}"]
            own = getattr(cells[worst.note], rate)
            assert worst[:4] == own[:4]
            ends = [getattr(cell, rate).value for cell in cells.values()]
            assert worst.value == (min(ends) if name == "worst_auc" else max(ends))


def test_the_intervals_of_more_groups_are_wider_since_all_hold_at_once():
    table = random_table(240).assign(six=np.arange(240) // 2 % 6, two=np.arange(240) // 2 % 6 % 3 // 2)
    few, many = (
        measured(table.assign(a=table[a].map(lambda g: f"g{g}")), ["a"], 0.4, draws=400)[1]["a"] for a in ("two", "six")
    )
    assert (len(few), len(many)) == (2, 6)
    assert (few["g1"].n_real, many["g2"].n_real) == (40, 20)
    same = table.assign(a=np.where(table["six"] == 0, "g0", "rest"))
    alone = measured(same, ["a"], 0.4, draws=400)[1]["a"]["g0"].fpr
    among = many["g0"].fpr
    assert alone.value == among.value
    assert alone.hi - alone.lo < among.hi - among.lo


@given(
    st.lists(
        st.tuples(st.sampled_from("fm"), st.sampled_from("ab"), st.integers(0, 1), st.integers(0, 3)),
        min_size=1,
        max_size=24,
    )
)
def test_no_interval_has_zero_width_and_none_is_missing_without_a_reason(samples):
    gender, race, label, score = zip(*samples, strict=True)
    table = pd.DataFrame({"gender": gender, "race": race, "label": label, "score": np.array(score) / 3})
    for level in ("video", "frame"):
        result, groups = measured(table, ["gender", "race"], draws=40, level=level)
        cells = [cell for by_group in groups.values() for cell in by_group.values()]
        rates = [getattr(cell, rate) for cell in cells for rate in ("auc", "fpr", "tpr", "fpr_at_fpr5")]
        for e in (*result.values(), *rates):
            assert e.note if e.lo is None else e.lo < e.hi, e


def test_groups_of_one_person_have_a_gap_and_no_interval():
    """One person says nothing about other people of the group."""
    table = people(
        ("m", "a", 0, [0.1, 0.4]), ("m", "a", 1, [0.3, 0.8]), ("f", "a", 0, [0.3, 0.9]), ("f", "a", 1, [0.2, 0.6])
    )
    person = np.repeat([0, 1], 4)
    found, groups = measure_groups("frame", [scored(table, person)], ["gender"], 200)
    assert found["frame.fairness.gender.auc_gap"] == (0.5, None, None, 2, TOO_FEW)
    assert groups["gender"]["f"].auc == (0.25, None, None, 4, TOO_FEW)


@pytest.mark.parametrize(("threshold", "rates"), [(0.05, (1, 1)), (0.5, (0.2, 1)), (0.9, (0.2, 1)), (0.95, (0, 0))])
def test_a_score_at_the_threshold_is_called_fake(two, threshold, rates):
    women = measured(two, ["gender"], threshold)[1]["gender"]["f"]
    assert (women.fpr.value, women.tpr.value) == pytest.approx(rates)


@pytest.mark.parametrize("level", ["video", "frame"])
def test_gaps_equal_those_of_the_plain_functions(level):
    table = random_table(400)
    result, _ = measured(table, ["gender", "race"], 0.4, level=level)
    for attribute, (_, names) in cross_attributes(table, ["gender", "race"]).items():
        expected = reference_metrics(table["label"], table["score"], names, 0.4)
        for name in ("f_fpr_sum", "f_fpr_range", "f_meo", "f_dp", "f_oae", "f_eo", "auc_gap"):
            assert result[f"{level}.fairness.{attribute}.{name}"].value == pytest.approx(expected[name], abs=1e-12)
        half = reference_metrics(table["label"], table["score"], names, 0.5)
        assert result[f"{level}.fairness_at_half.{attribute}.f_eo"].value == pytest.approx(half["f_eo"], abs=1e-12)


def test_fpr_of_groups_at_five_percent_overall():
    table = random_table(600)
    cells = measured(table, ["gender"])[1]["gender"]
    reals = table[table["label"] == 0]
    threshold = reals["score"].sort_values(ascending=False).iloc[int(0.05 * len(reals)) - 1]
    for gender, cell in cells.items():
        of_group = reals.loc[reals["gender"] == gender, "score"]
        assert cell.fpr_at_fpr5.value == pytest.approx((of_group >= threshold).mean())


def test_the_threshold_of_a_rate_never_exceeds_it_even_with_ties():
    assert threshold_at_fpr([0] * 20, np.arange(20), 0.05) == np.nextafter(18, np.inf)
    tied = threshold_at_fpr([0] * 20, [1.0] * 20, 0.05)
    assert tied > 1
    assert threshold_at_fpr([1], [0.3], 0.05) == np.inf


def test_small_and_one_class_groups_are_named_and_enter_no_gap(two):
    more = people(("x", "a", 0, [0.9] * 4), ("x", "a", 1, [0.1] * 9), ("y", "a", 1, [0.5] * 20))
    result, groups = measured(pd.concat([two, more], ignore_index=True), ["gender"])
    assert list(groups["gender"]) == ["f", "m", "x", "y"]
    assert groups["gender"]["x"].left_out == "fewer than 5 videos of a class (real 4, fake 9)"
    assert groups["gender"]["x"].auc.value == 0
    assert groups["gender"]["y"].auc.value is None
    assert groups["gender"]["y"].fpr.note == "no such videos"
    gap = result["video.fairness.gender.auc_gap"]
    assert gap.value == measured(two, ["gender"])[0]["video.fairness.gender.auc_gap"].value
    assert gap.note == f"{NO_DRAWS}; left out: x (real 4, fake 9), y (real 0, fake 20)"


def test_at_frame_level_only_one_class_groups_are_left_out_as_in_the_literature(two):
    more = people(("x", "a", 0, [0.9]), ("x", "a", 1, [0.1]), ("y", "a", 1, [0.5] * 20))
    result, groups = measured(pd.concat([two, more], ignore_index=True), ["gender"], level="frame")
    assert groups["gender"]["y"].left_out == "one class only (real 0, fake 20)"
    assert not groups["gender"]["x"].left_out
    assert result["frame.fairness.gender.auc_gap"].value == 1


def test_a_single_group_has_no_gap_and_says_so(two):
    for what in measured(two[two["gender"] == "m"], ["gender"])[0].values():
        assert (what.value, what.n) == (None, 0)
        assert what.note in [f"fewer than two groups with {n} videos of each class" for n in (5, 20)]


def test_one_group_at_frame_level_has_what_the_literature_has(two):
    more = people(("x", "a", 1, [0.1] * 3))
    table = pd.concat([two[two["gender"] == "m"], more], ignore_index=True)
    found = measured(table, ["gender"], level="frame")[0]
    theirs = reference_metrics(table["label"], table["score"], table["gender"])
    for name in GAPS:
        assert found[f"frame.fairness.gender.{name}"].value == pytest.approx(theirs[name], abs=1e-12)
    assert found["frame.fairness.gender.f_eo"].value > 0
    gap = found["frame.fairness.gender.f_fpr_sum"]
    assert (gap.lo, gap.n) == (None, min(theirs_n(table)))
    assert gap.note == "fewer than two groups with both classes; left out: x (real 0, fake 3)"
    assert found["frame.fairness.gender.worst_auc"].value is None


def theirs_n(table: pd.DataFrame) -> list[int]:
    return [int(((table["gender"] == "m") & (table["label"] == k)).sum()) for k in (0, 1)]


def test_cells_count_samples_of_their_own_level(two):
    frame = measured(two, ["gender"], level="frame")[1]["gender"]["m"]
    assert [frame.n_real, frame.n_fake] == theirs_n(two)


def test_frames_of_one_video_count_once():
    table = random_table(60)
    whole, apart = pd.concat([table] * 8, ignore_index=True), number_apart(np.arange(60))
    alone = measure_groups("frame", [Scored(table, np.arange(60), apart, 0.4)], ["gender"], 300)
    copied = measure_groups("frame", [Scored(whole, np.tile(np.arange(60), 8), apart, 0.4)], ["gender"], 300)
    for name, one in ((name, e) for name, e in alone[0].items() if ".worst" not in name):
        assert copied[0][name].value == pytest.approx(one.value)
        near = 0.1 if name.endswith("f_eo") else 0.05  # The tails of t differ for 60 and 480 videos.
        assert (copied[0][name].lo, copied[0][name].hi) == pytest.approx((one.lo, one.hi), abs=near), name
        assert copied[0][name].n == 8 * one.n


def test_a_rate_of_zero_is_not_certain():
    table = people(("m", "a", 0, EASY * 4), ("m", "a", 1, HARD * 4), ("f", "a", 0, EASY), ("f", "a", 1, HARD))
    result, groups = measured(table, ["gender"], draws=4000)
    few, many = (groups["gender"][g].fpr for g in ("f", "m"))
    assert few.value == few.lo == many.value == 0
    tail = (1 + 0.95**0.5) / 2  # Both groups' intervals hold simultaneously.
    assert few.hi == pytest.approx(beta.ppf(tail, 1, 5))  # Clopper and Pearson's interval for 0 of 5
    assert many.hi == pytest.approx(beta.ppf(tail, 1, 20))
    gap = result["video.fairness.gender.f_fpr_range"]
    assert gap.value == gap.lo == 0
    assert gap.hi > 0.2
    assert groups["gender"]["f"].auc.lo < 0.7


def coverage(rates: list[float], sizes: list[int], metric: str, runs: int, draws: int) -> tuple[float, float]:
    """Return how often the interval covers the true gap, and how often it lies above it."""
    rng = np.random.default_rng(0)
    names = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    table = pd.DataFrame({"a": np.concatenate([names, names]), "label": np.repeat([0, 1], sum(sizes))})
    share = np.array(sizes) / sum(sizes)
    exact = {k: np.array([*rates, share @ rates]) for k in ("fpr", "pr", "acc")} | {"tpr": np.ones(len(sizes) + 1)}
    truth, held, above = float(compute_gaps(exact)[metric]), 0, 0
    for _ in range(runs):
        reals = rng.random(sum(sizes)) < np.repeat(rates, sizes)
        table["score"] = np.concatenate([reals, np.ones(sum(sizes))])
        e = measured(table, ["a"], draws=draws)[0][f"video.fairness.a.{metric}"]
        held += e.lo <= truth + 1e-9 and truth <= e.hi + 1e-9
        above += e.lo > truth + 1e-9
    return held / runs, above / runs


def coverage_over_seeds(seeds: int, runs: int, draws: int) -> float:
    """Return how often the interval of pooled seeds covers the mean gap of all possible seeds.

    The gap of a seed's own false positive rates is 0.15 on average, with a standard deviation of 0.05 between seeds.
    """
    rng = np.random.default_rng(0)
    names, label = np.tile(np.repeat(["a", "b"], 100), 2), np.repeat([0, 1], 200)
    held = 0
    for _ in range(runs):
        samples = []
        hard = rng.random(200)  # Every seed finds the same videos hard.
        for gap in rng.normal(0.15, 0.05, seeds):
            score = np.concatenate([hard < np.repeat([0.2, 0.2 + gap], 100), np.ones(200)])
            samples.append(scored(pd.DataFrame({"a": names, "label": label, "score": score})))
        e = measure_groups("video", samples, ["a"], draws)[0]["video.fairness.a.f_fpr_range"]
        held += e.lo <= 0.15 <= e.hi
    return held / runs


def test_the_gap_of_several_seeds_is_in_its_interval():
    assert coverage_over_seeds(3, runs=30, draws=100) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_of_gaps_cover_over_seeds(seeds):
    share = coverage_over_seeds(seeds, runs=1000, draws=300)
    print(f"\ncoverage of a gap: {seeds} seeds: {share:.1%}")
    assert share >= 0.935


def test_an_attribute_counts_where_all_seeds_have_the_same_groups(two):
    seeds = [scored(t) for t in (two, two.assign(gender="m"))]
    metrics, groups = measure_groups("video", seeds, ["gender", "race"], 0)
    assert set(groups) == {"race"}
    assert not [name for name in metrics if ".gender." in name]


def test_seeds_that_differ_widen_a_gap():
    table = random_table(200)
    other, name = table.assign(score=1 - table["score"]), "video.fairness.gender.f_fpr_range"

    def of(*seeds: pd.DataFrame):
        return measure_groups("video", [scored(t, threshold=0.4) for t in seeds], ["gender"], 200)[0][name]

    alone, twins, both = of(table), of(table, table), of(table, other)
    assert twins[:3] == pytest.approx(alone[:3])
    assert both.value == pytest.approx((alone.value + of(other).value) / 2)
    assert both.hi > alone.hi + abs(alone.value - of(other).value) / 2


def test_numbers_derived_from_perfect_rates_are_no_more_certain_than_the_rates():
    table = people(("m", "a", 0, EASY), ("m", "a", 1, HARD), ("f", "a", 0, EASY), ("f", "a", 1, HARD))
    result, _ = measured(table, ["gender"], draws=400)
    for name in ("f_dp", "f_oae", "f_fpr_range"):
        assert result[f"video.fairness.gender.{name}"].lo == 0
        assert result[f"video.fairness.gender.{name}"].hi > 0.1, name


def test_a_groups_interval_does_not_depend_on_other_groups():
    same = [("m", "a", 0, EASY * 4), ("m", "a", 1, HARD * 4), ("f", "a", 1, HARD)]
    cells = [
        measured(people(*same, ("f", "a", 0, reals)), ["gender"], draws=200)[1]["gender"]["m"]
        for reals in (EASY, [0.9, *EASY[:4]])
    ]
    assert cells[0].fpr == cells[1].fpr


def test_people_with_reals_and_fakes_are_counted_once():
    table = random_table(48).assign(gender="m")
    people_of = np.arange(48) // 4
    cell = measure_groups("video", [scored(table, people_of, 0.4)], ["gender"], 0)[1]["gender"]["m"].auc
    apart = number_apart(people_of)
    samples = Samples(table["label"].to_numpy(), table["score"].to_numpy(), np.arange(48), apart)
    assert cell == estimate_ranking(measure_ranking(samples, ["auc"])["auc"], apart, samples.classes, n=48)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["f_fpr_range", "f_fpr_sum"])
@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.2] * 2, [60] * 2),
        ([0.1, 0.3], [60] * 2),
        ([0.1] * 8, [50] * 8),
        ([0.1] * 7 + [0.4], [50] * 8),
        (np.linspace(0.05, 0.5, 8).tolist(), [50] * 8),
        ([0.1, 0.12, 0.15, 0.2], [50, 30, 80, 20]),
    ],
)
def test_intervals_of_gaps_cover_wherever_the_truth_is(rates, sizes, metric):
    held, above = coverage(rates, sizes, metric, runs=1000, draws=300)
    assert held >= 0.93, (held, above)


@pytest.mark.slow
def test_small_cells_cover_nearly_as_well():
    held, _ = coverage([0.1] * 8, [7, 40, 5, 21, 11, 45, 5, 6], "f_fpr_range", runs=1000, draws=300)
    assert held >= 0.93


def test_an_interval_of_equal_groups_begins_at_zero_nearly_always():
    held, above = coverage([0.2] * 4, [30] * 4, "f_fpr_range", runs=60, draws=200)
    assert held == 1 - above  # It misses 0 exactly if it starts above 0.
    assert held >= 0.9


def test_very_many_videos_can_be_measured():
    table = random_table(70_000)
    gap = measured(table, ["gender"], draws=20)[0]["video.fairness.gender.f_fpr_range"]
    expected = reference_metrics(table["label"], table["score"], table["gender"])["f_fpr_range"]
    assert gap.value == pytest.approx(expected)
    assert gap.hi - gap.lo < 0.05
