"""Pooling seeds into one row."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.predictions import read_predictions, write_predictions
from crossfake.benchmark.core.scorecard import Threshold
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.seed_pooling import AUC, merge_estimates, pool_seeds, subtract_estimates
from crossfake.leaderboards.load import read_card
from crossfake.leaderboards.rows import make_tables
from scipy.stats import t


def number(value, lo=None, hi=None, n=20):
    return Estimate(value, lo, hi, n)


def test_merging_combines_each_seeds_interval_with_the_spread_between_seeds():
    one, other = number(0.5, 0.4, 0.7, 9), number(0.54, 0.48, 0.62, 8)
    spread = t.ppf(0.975, 1) * 0.02  # two seeds 0.04 apart: a standard error of 0.02
    expected = number(0.52, 0.52 - np.hypot(0.08, spread), 0.52 + np.hypot(0.14, spread), 8)
    assert merge_estimates([one, other])[:4] == pytest.approx(expected[:4])
    assert merge_estimates([one])[:4] == pytest.approx(one[:4])
    assert merge_estimates([one, number(0.7)]).lo is None
    assert merge_estimates([one, number(None, n=0)]) == number(None, n=0)


def test_merged_ends_stay_within_what_is_possible():
    assert merge_estimates([number(0.05, 0, 0.1), number(0.4, 0.2, 0.6)]).lo == 0
    assert merge_estimates([number(0.6, 0.5, 0.7), number(0.95, 0.9, 1)]).hi == 1
    assert merge_estimates([number(0.05, -0.1, 0.1), number(0.4, 0.2, 0.6)], bounded=False).lo < 0
    assert merge_estimates([number(0.2, 0, 1.5), number(1.4, 0.3, 2.5)]).hi == 2.5  # a sum over groups


def test_a_difference_uses_each_side_of_the_intervals():
    a, b = Estimate(0.9, 0.8, 0.93, 50), Estimate(0.7, 0.66, 0.8, 30)
    assert subtract_estimates(a, b)[:4] == pytest.approx((0.2, 0.2 - 0.02**0.5, 0.2 + 0.05, 30))
    assert subtract_estimates(a, b._replace(lo=None)).lo is None
    assert subtract_estimates(a, b._replace(value=None)) is None
    assert subtract_estimates(None, b) is None


def test_a_difference_without_an_interval_keeps_the_reason():
    a, b = Estimate(0.9, 0.8, 0.93, 50), Estimate(0.7, None, None, 3, "few")
    found = subtract_estimates(a, b)
    assert (found.value, *found[1:]) == (pytest.approx(0.2), None, None, 3, "few")
    assert subtract_estimates(a, b._replace(note="")).note == ""


@pytest.fixture
def seeds(tmp_path, make, scored):
    """Two seeds of one detector on the same videos."""
    return write_seeds(tmp_path, make, scored)


def write_seeds(folder, make, scored):
    for seed in (0, 1):
        changes = {"seed": seed, "train_key": f"t{seed}", "recipe_key": "same"}
        scored(folder / str(seed), make("celebdf", **changes), seed)
    return [read_card(folder / str(seed) / "scorecard.json") for seed in (0, 1)]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory, make, scored):
    """Both seeds pooled; and the first one pooled with itself."""
    cards = write_seeds(tmp_path_factory.mktemp("seeds"), make, scored)
    return pool_seeds(cards), pool_seeds([cards[0], cards[0]])


def moved(card, path):
    return card.model_copy(update={"predictions": str(path)})


def test_every_metric_is_pooled_from_the_seeds_predictions(seeds, pooled):
    found, _ = pooled
    assert found.metrics.keys() == seeds[0].metrics.keys()
    for name, e in found.metrics.items():
        own = [c.metrics[name] for c in seeds]
        if e.value is None or e.lo is None:
            assert e.note == own[0].note, name
            continue
        # The worst group on average isn't the worst of either seed, and precision follows from the mean rates.
        if not name.rpartition(".")[2].startswith(("worst", "precision")):
            assert e.value == pytest.approx(np.mean([o.value for o in own])), name
        assert e.lo <= e.value <= e.hi, name
        assert e.n == own[0].n, name
    ((row,),) = [table.rows for table in make_tables(seeds)]
    assert (row.seeds, row.results["celebdf"].metrics) == ((0, 1), found.metrics)


def test_seeds_that_agree_are_no_more_certain_than_one(seeds, pooled):
    """A second copy of the same test set adds nothing, and each seed's accuracy uses its own threshold."""
    _, twins = pooled
    for name, e in seeds[0].metrics.items():
        assert twins.metrics[name][:3] == pytest.approx(e[:3]), name
    assert twins.groups["gender"].keys() == seeds[0].groups["gender"].keys()
    strict = seeds[0].model_copy(update={"threshold": Threshold(value=2.0, rule="no score is as high")})
    acc = pool_seeds([seeds[0], strict]).metrics["video.acc"].value
    share_of_reals = seeds[0].counts.real_videos / seeds[0].counts.videos
    assert acc == pytest.approx((seeds[0].video.acc.value + share_of_reals) / 2)


def test_the_worst_group_is_the_one_that_is_lowest_on_average(seeds, pooled):
    found, _ = pooled
    cells = found.groups["gender"]
    worst = min(cells, key=lambda g: cells[g].video.auc.value)
    for group, cell in cells.items():
        average = np.mean([c.groups["gender"][group].video.auc.value for c in seeds])
        assert cell.video.auc.value == pytest.approx(average)
    number = found.metrics["video.fairness.gender.worst_auc"]
    assert number.value == pytest.approx(cells[worst].video.auc.value)
    assert number.note.startswith(worst)


def test_without_predictions_the_intervals_are_joined(seeds):
    found = pool_seeds([moved(c, "gone.parquet") for c in seeds])
    assert found.metrics[AUC] == merge_estimates([c.metrics[AUC] for c in seeds])
    one, other = (c.groups["gender"]["m"] for c in seeds)
    assert found.groups["gender"]["m"].video.auc == merge_estimates([one.video.auc, other.video.auc])
    assert found.groups["gender"]["m"].video.n_real == one.video.n_real
    assert "video.fairness.gender.worst_auc" not in found.metrics


def test_a_seed_that_lost_most_videos_does_not_spoil_the_others(seeds):
    path = seeds[1].predictions_path
    table, metadata = read_predictions(path)
    write_predictions(path, table[table["video"].isin(table["video"].unique()[::3])], metadata)
    assert pool_seeds(seeds).metrics[AUC] == merge_estimates([c.metrics[AUC] for c in seeds])


def test_groups_are_compared_over_all_seeds_at_once(seeds, pooled):
    found, twins = pooled
    assert found.group_tests.keys() == seeds[0].group_tests.keys()
    assert found.group_tests
    for attribute, of in found.group_tests.items():
        assert of.groups == seeds[0].group_tests[attribute].groups
        assert of.tests.keys() == seeds[0].group_tests[attribute].tests.keys()
    for attribute, groups in found.method_groups.items():
        for group, cells in groups.items():
            for method, cell in cells.items():
                own = [c.method_groups[attribute][group][method] for c in seeds]
                assert cell.auc.value == pytest.approx(np.mean([o.auc.value for o in own]))
                assert cell.tpr.value == pytest.approx(np.mean([o.tpr.value for o in own]))
                assert cell.n_fake == own[0].n_fake
    assert (twins.group_tests, twins.method_groups) == (seeds[0].group_tests, seeds[0].method_groups)


def test_without_predictions_groups_of_methods_are_joined_and_not_tested(seeds):
    found = pool_seeds([moved(c, "gone.parquet") for c in seeds])
    assert found.group_tests == {}
    one, other = (c.method_groups["gender"]["m"] for c in seeds)
    for method, cell in found.method_groups["gender"]["m"].items():
        assert cell.auc == merge_estimates([one[method].auc, other[method].auc])


def test_seeds_of_different_videos_are_joined(seeds):
    path = seeds[1].predictions_path
    table, metadata = read_predictions(path)
    write_predictions(path, table.assign(video="elsewhere/" + table["video"], score=1 - table["score"]), metadata)
    assert pool_seeds(seeds).metrics[AUC] == merge_estimates([c.metrics[AUC] for c in seeds])


def test_one_seed_is_left_unchanged(seeds):
    (one,) = seeds[:1]
    assert pool_seeds([one]) == (one.metrics, one.groups, one.group_tests, one.method_groups)
    assert pool_seeds([]) == ({}, {}, {}, {})
