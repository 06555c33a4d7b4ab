"""The literature's metrics: within 1e-9 of its code's results, edge cases, and invariance to renaming groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.stats.fairness_metrics import (
    compute_gaps,
    parse_group,
    reference_metrics,
    sigmoid,
    training_metrics,
)
from hypothesis import given
from hypothesis import strategies as st

GOLDEN = json.loads((Path(__file__).parents[2] / "data/fairness/metrics.json").read_text())
GAPS = ("f_fpr_sum", "f_fpr_range", "f_meo", "f_dp", "f_oae", "f_eo", "auc_gap")


def pooled(groups: dict[str, Any], which: list[str]) -> tuple[list[int], np.ndarray, list[str]]:
    labels = [y for g in which for y in groups[g]["label"]]
    return (
        labels,
        sigmoid([z for g in which for z in groups[g]["logit"]]),
        [g for g in which for _ in groups[g]["label"]],
    )


def families(case: dict[str, Any]) -> list[dict[str, float]]:
    """Intersections first, then each attribute; AI-Face has ages in separate files."""
    crossed = [g for g in case["groups"] if "," in g]
    labels, scores, names = pooled(case["groups"], crossed)
    found = [reference_metrics(labels, scores, names)]
    found += [reference_metrics(labels, scores, [n.split(",")[place] for n in names]) for place in (0, 1)]
    if ages := [g for g in case["groups"] if "," not in g]:
        found.append(reference_metrics(*pooled(case["groups"], ages)))
    return found


def reported(found: list[dict[str, float]]) -> list[float]:
    """The list that the reference's function returns; the ranges of its second half are in percent."""
    overall = [found[0][k] for k in ("auc", "fpr", "tpr", "acc")]
    sums = [family[k] for family in found for k in ("f_fpr_sum", "f_eo")]
    ranges = [100 * family[k] for k in ("f_fpr_range", "auc_gap", "error_rate_gap", "f_oae") for family in found]
    return overall + sums + ranges


@pytest.mark.parametrize("name", [*GOLDEN["cases"], *GOLDEN["cases_aiface"]])
def test_every_number_equals_the_reference(name):
    case = {**GOLDEN["cases"], **GOLDEN["cases_aiface"]}[name]
    found = families(case)
    np.testing.assert_allclose(reported(found), case["result"]["return"], rtol=0, atol=1e-9)
    for key, title in (("f_dp", "F_DP"), ("f_meo", "F_meo")):
        line = next(text for text in case["result"]["stdout"] if text.strip().startswith(f"inter_{title}"))
        printed = [float(n) for n in line.rpartition(":")[2].split("|")]
        assert [100 * f[key] for f in found] == pytest.approx(printed, abs=5e-4)


@pytest.mark.parametrize("name", list(GOLDEN["train_metrics"]))
def test_training_metrics_of_the_reference(name):
    case = GOLDEN["train_metrics"][name]
    found = training_metrics(case["label"], case["prob"], case["intersec"])
    wanted = {k.removesuffix("_score"): v for k, v in case["result"].items()}
    assert found == pytest.approx(wanted, abs=1e-9)


def test_training_metrics_before_scikit_learn_1_6_leave_one_class_groups_out():
    case = GOLDEN["train_metrics"]["missing_2_6"]
    found = training_metrics(case["label"], case["prob"], case["intersec"], one_class_auc=False)
    assert found["cal_foae"] == pytest.approx(0.15)
    assert found["auc_gap"] == pytest.approx(case["result"]["auc_gap"])


def test_an_undefined_auc_in_the_first_group_spoils_the_training_gap():
    labels, scores, groups = [1, 1, 0, 1, 0, 1], [0.9, 0.2, 0.1, 0.9, 0.6, 0.5], [0, 0, 1, 1, 2, 2]
    assert np.isnan(training_metrics(labels, scores, groups)["auc_gap"])
    assert training_metrics(labels, scores, groups, one_class_auc=False)["auc_gap"] == 1
    assert training_metrics(labels, scores, [2, 2, 0, 0, 1, 1])["auc_gap"] == 1


def test_a_group_all_real_and_all_called_real_counts_nowhere_in_accuracy():
    labels, scores, groups = [0, 0, 0, 1, 0, 1], [0.1, 0.2, 0.9, 0.9, 0.1, 0.9], [0, 0, 1, 1, 2, 2]
    assert training_metrics(labels, scores, groups)["cal_foae"] == pytest.approx(0.5)


def test_missing_codes_add_the_overall_rates():
    labels, scores, groups = [0, 1, 0, 1], [0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1]
    few, many = (training_metrics(labels, scores, groups, count=n) for n in (2, 6))
    assert (few["cal_ffpr"], few["cal_feo"]) == (1, 2)
    assert (many["cal_ffpr"], many["cal_feo"]) == (1, 2 + 4 * (0.5 + 0.5))


def test_gaps_by_hand():
    """FPR 1/2 and 0, TPR 1 and 1/2; overall FPR 1/4, TPR 3/4."""
    labels, scores, groups = [0, 0, 1, 1, 0, 0, 1, 1], [0.5, 0.1, 0.5, 0.8, 0.1, 0.2, 0.3, 0.9], [*"aaaabbbb"]
    found = reference_metrics(labels, scores, groups)
    expected = {
        "f_fpr_sum": 0.5,
        "f_fpr_range": 0.5,
        "f_meo": 0.5,
        "f_dp": 0.5,  # 3/4 and 1/4 are classified as fake
        "f_oae": 0,  # 3/4 and 3/4 are right
        "f_eo": 1,
        "auc_gap": 0.125,  # 7/8 (a tie) and 1
        "error_rate_gap": 0,
        "f_g": 0.25,
        "f_s": 0.5,
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected)


def test_one_class_groups_stay_in_what_is_overall():
    labels, scores, groups = [0, 1, 0, 1, 0, 0], [0.9, 0.9, 0.1, 0.9, 0.9, 0.9], [*"aabbcc"]
    found = reference_metrics(labels, scores, groups)
    assert found["f_fpr_range"] == 1
    assert found["fpr"] == 0.75
    assert found["f_fpr_sum"] == pytest.approx(abs(1 - 0.75) + 0.75)


def test_no_group_with_both_classes_is_reported():
    with pytest.raises(BenchError, match=r"no group has both real and fake samples \(2 groups, 3 samples\)"):
        reference_metrics([0, 0, 1], [0.1, 0.2, 0.3], ["a", "a", "b"])


def test_sigmoid_accepts_any_logit_without_a_warning():
    assert sigmoid([-1e6, -800, 0, 800]).tolist() == [0, 0, 0.5, 1]
    assert sigmoid(np.float32(1.5)) == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-15)


sample = st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.7, 1.0]), st.sampled_from("abc"))
tables = st.lists(sample, max_size=40).map(lambda rows: [(0, 0.1, "a"), (1, 0.9, "a"), *rows])


@given(tables, st.randoms())
def test_order_and_names_change_nothing(rows, random):
    before = reference_metrics(*zip(*rows, strict=True))
    random.shuffle(rows)
    renamed = [(y, s, {"a": "z", "b": "y", "c": "x"}[g]) for y, s, g in rows]
    assert reference_metrics(*zip(*renamed, strict=True)) == pytest.approx(before, abs=1e-12)


@given(tables)
def test_equal_groups_have_no_gap_and_doubling_changes_none(rows):
    labels, scores, groups = zip(*rows, strict=True)
    twins = reference_metrics(labels * 2, scores * 2, [*"a" * len(rows), *"b" * len(rows)])
    assert [twins[k] for k in GAPS] == pytest.approx([0] * 7, abs=1e-12)
    once, twice = (reference_metrics(labels * n, scores * n, groups * n) for n in (1, 2))
    assert twice == pytest.approx(once, abs=1e-12)


@given(tables)
def test_bounds_and_order_of_the_metrics(rows):
    found = reference_metrics(*zip(*rows, strict=True))
    assert all(found[k] >= 0 for k in GAPS)
    assert all(found[k] <= 1 for k in ("f_fpr_range", "f_meo", "f_dp", "f_oae", "auc_gap"))
    assert found["f_fpr_range"] <= found["f_meo"] + 1e-12
    assert found["f_fpr_sum"] <= found["f_eo"] + 1e-12
    if {g for _, _, g in rows} <= {"a", "b"}:
        assert found["f_fpr_range"] <= found["f_fpr_sum"] + 1e-12


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=10, max_size=10))
def test_gaps_are_seminorms(rows):
    """The intervals rely on this: gap(x) - gap(y) is at most gap(x - y)."""
    table = np.array(rows).reshape(2, 5, 5)
    x, y = ({k: t[i] for i, k in enumerate(("fpr", "tpr", "pr", "acc", "auc"))} for t in table)
    of_difference = compute_gaps({k: x[k] - y[k] for k in x})
    for name, value in compute_gaps(x).items():
        assert value - compute_gaps(y)[name] <= of_difference[name] + 1e-12


def test_group_strings_of_both_papers():
    assert parse_group("nomale,skintone1") == ("nonmale", "skintone1")
    assert parse_group("male, asian") == ("male", "asian")


@pytest.mark.parametrize("text", ["male,", ""])
def test_group_strings_that_mean_nothing_are_refused(text):
    with pytest.raises(BenchError, match=f"'{text}' is not a group such as male,asian"):
        parse_group(text)
