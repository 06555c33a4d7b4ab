"""Which columns are attributes, how their groups are named, and which videos are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.stats.attributes import (
    attribute_columns,
    collect_remarks,
    cross_attributes,
    group_names,
    name_attributes,
    with_attributes,
)
from crossfake.benchmark.stats.scoring import check_predictions, compute_scorecard, pool_frames


def frames(gender: list[object], race: list[object]) -> pd.DataFrame:
    n = len(gender)
    return pd.DataFrame(
        {
            "video": [f"{i}.mp4" for i in range(n)],
            "frame": 0,
            "label": np.arange(n) % 2,
            "score": np.arange(n) % 2 * 0.8,
            "gender": gender,
            "race": race,
        }
    )


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_empty_cells_mean_not_annotated_however_they_were_read(missing):
    table = frames(["m"] * 10 + ["f"] * 10 + [missing] * 4, ["a"] * 20 + [missing, "b", missing, "b"])
    card = compute_scorecard(table, threshold=None, draws=0)
    assert {g: c.video.n_real + c.video.n_fake for g, c in card.groups["gender"].items()} == {"f": 10, "m": 10}
    assert set(card.groups["intersection"]) == {"f-a", "m-a"}
    assert card.metrics["video.fairness.gender.auc_gap"].value == 0


def test_a_column_without_any_annotation_is_not_an_attribute():
    card = compute_scorecard(frames([np.nan] * 6, [None] * 6), threshold=None, draws=0)
    assert card.groups == {}


def test_groups_written_as_numbers_are_names():
    card = compute_scorecard(frames([1, 2] * 6, [1.0, np.nan] * 6), threshold=None, draws=0)
    assert set(card.groups["gender"]) == {"1", "2"}
    assert set(card.groups["race"]) == {"1"}


def test_any_column_of_few_values_is_an_attribute():
    table = frames(["m", "f"] * 15, ["a"] * 30).assign(age=["old"] * 15 + ["young"] * 15, number=range(30), logit=0.0)
    assert attribute_columns(table) == ["gender", "race", "age"]
    card = compute_scorecard(table, threshold=None, draws=0)
    assert list(card.groups) == ["gender", "race", "age", "intersection", "gender+age", "race+age"]
    assert set(card.groups["intersection"]) == {"f-a", "m-a"}
    assert "f-old" in card.groups["gender+age"]


def test_group_strings_of_the_literature_are_split():
    table = frames(["m"] * 4, ["a"] * 4).drop(columns=["gender", "race"])
    table["intersection"] = ["male,asian", "nomale,white", "nonmale,others", None]
    found = with_attributes(table)
    assert found["gender"].tolist() == ["male", "nonmale", "nonmale", ""]
    assert found["race"].tolist() == ["asian", "white", "others", ""]
    with pytest.raises(BenchError, match=r"t.csv: an intersection \('male'\) that is not of .*, in rows 2, 4\. Fix"):
        with_attributes(table.assign(intersection=["male,asian", "male", "male,white", "male"]), "t.csv")


def test_undefined_is_not_a_group_and_is_reported():
    table = frames(["m", "undefined"] * 8, ["a"] * 15 + [np.nan])
    card = compute_scorecard(table, threshold=None, draws=0)
    assert set(card.groups["gender"]) == {"m"}
    assert card.counts.frames == 16
    assert card.remarks[1:-1] == [
        "gender is unknown in 8 of 16 rows, row 2 the first: these count only in the overall metrics",
        "race is 'a' in every annotated row (rows 1 to 16): there is no gap to measure",
        "race is unknown in 1 of 16 rows, row 16 the first: these count only in the overall metrics",
    ]


def test_logits_are_used_for_the_literatures_metrics_at_frame_level():
    table = frames(["m", "m", "f", "f"] * 6, ["a"] * 24)
    table["logit"] = np.where(table["gender"] == "m", 4.0 * table["label"] - 2, 1.0)
    card = compute_scorecard(table, threshold=None, draws=0)
    assert card.metrics["frame.fairness.gender.f_fpr_range"].value == 1
    assert card.metrics["video.fairness.gender.f_fpr_range"].value == 0


def test_a_method_left_empty_is_still_a_fake_video():
    table = frames(["m"] * 6, ["a"] * 6).assign(method=["real", "A", "real", np.nan, "real", "A"])
    assert {m: c.n_fake for m, c in compute_scorecard(table, threshold=None, draws=0).methods.items()} == {
        "": 1,
        "A": 2,
    }


def test_a_row_without_a_video_is_refused():
    table = frames(["m"] * 4, ["a"] * 4)
    table.loc[2, "video"] = np.nan
    with pytest.raises(BenchError, match=r"t\.csv: no video in row 3\."):
        check_predictions(table, "t.csv")


def test_pooling_keeps_the_table_it_was_given():
    table = frames(["m", np.nan], ["a", "a"])
    before = table.copy()
    assert pool_frames(table)["gender"].tolist() == ["m", ""]
    pd.testing.assert_frame_equal(table, before)


def test_the_intersection_needs_every_attribute():
    table = frames(["m", "", "f", "f"], ["a", "a", "", "b"])
    names, codes = cross_attributes(table, ["gender", "race"])["intersection"]
    assert (names, codes.tolist()) == (["f-b", "m-a"], [1, -1, -1, 0])
    assert list(cross_attributes(table.assign(race=""), ["gender", "race"])) == ["gender"]
    assert list(cross_attributes(table[["label", "score"]], ["gender", "race"])) == []


def test_other_columns_may_vary_within_a_video_and_are_reported():
    table = frames(["m", "f"] * 15, ["a"] * 30).assign(
        video=[f"{i // 2}.mp4" for i in range(30)], label=[0, 0, 1, 1] * 7 + [0] * 2
    )
    table = table.assign(frame=[0, 1] * 15, gender=["m", "m", "f", "f"] * 7 + ["m"] * 2, mood=[0, 1] * 15, fold=3)
    assert attribute_columns(table) == ["gender", "race"]
    check_predictions(table, "t.csv")
    assert "column mood is not used: it varies within a video" in collect_remarks(table)
    with pytest.raises(BenchError, match=r"a gender that differs from the video's other frames in row 2\."):
        check_predictions(table.assign(gender=["m", "f"] + ["m"] * 28), "t.csv")


@pytest.mark.parametrize("value", [[1.0, 2.0], {"x": 1}, np.zeros(3)])
def test_columns_of_lists_are_not_used(value):
    table = frames(["m", "f"] * 4, ["a"] * 8).assign(embedding=[value] * 8)
    check_predictions(table, "t.parquet")
    assert "column embedding is not used: it holds lists" in compute_scorecard(table, threshold=None, draws=0).remarks
    with pytest.raises(BenchError, match=r"t\.parquet has lists in its column frame: "):
        check_predictions(table.assign(frame=[value] * 8), "t.parquet")


def test_an_intersection_fills_in_what_is_missing():
    table = frames(["male", "", "nonmale", "male"], ["asian"] * 4).drop(columns="race")
    table["intersection"] = ["male,asian", "nomale,white", "nonmale,others", ""]
    found = with_attributes(table)
    assert found["gender"].tolist() == ["male", "nonmale", "nonmale", "male"]
    assert found["race"].tolist() == ["asian", "white", "others", ""]
    assert "intersection" not in found


@pytest.mark.parametrize(
    ("gender", "wrong"),
    [
        (["male", "female", "male", "female"], None),
        ([1, -1, 1, -1], None),
        (["male", "male", "male", "female"], "in row 2"),
        (["female", "male", "female", "male"], "in rows 1, 2, 3, 4"),
        ([1, 1, 1, -1], "in row 2"),
    ],
)
def test_an_intersection_is_checked_against_gender(gender, wrong):
    table = frames(gender, ["asian"] * 4).assign(intersection=["male,asian", "nonmale,asian"] * 2)
    if wrong is None:
        assert len(set(with_attributes(table)["gender"])) == 2
    else:
        with pytest.raises(BenchError, match=f"t.csv: an intersection that contradicts gender, {wrong}"):
            with_attributes(table, "t.csv")


def test_zero_next_to_yes_and_no_is_undefined():
    assert group_names(pd.Series([1, -1, 0, np.nan])).tolist() == ["1", "-1", "", ""]
    assert group_names(pd.Series([1, 0])).tolist() == ["1", "0"]


def test_one_group_in_two_spellings_is_refused():
    assert set(with_attributes(frames(["male ", "male", "female", ""], ["a"] * 4))["gender"]) == {"male", "female", ""}
    with pytest.raises(BenchError, match=r"t.csv: gender is written both 'male' and 'MALE'\. Use one spelling"):
        with_attributes(frames(["male", "MALE"], ["a"] * 2), "t.csv")


def test_a_threshold_fixed_on_scores_is_for_scores_and_half_for_logits():
    table = frames(["m", "m", "f", "f"] * 6, ["a"] * 24)
    table["logit"] = np.where(table["gender"] == "m", 4.0 * table["label"] - 2, 1.0)
    found = compute_scorecard(table, threshold=0.4, draws=0).metrics
    assert found["frame.acc"].value == 1
    assert found["frame.fairness.gender.f_fpr_range"].value == 0
    assert found["frame.fairness_at_half.gender.f_fpr_range"].value == 1
    assert found["video.fairness_at_half.gender.f_fpr_range"].value == 0


def test_where_predictions_name_their_attributes_nothing_is_guessed():
    table = frames(["m", "f"] * 6, ["a"] * 12).assign(camera=["x", "y"] * 6)
    assert attribute_columns(table) == ["gender", "race", "camera"]
    table.attrs = {"attributes": ["race", "gender"]}
    assert attribute_columns(table) == ["gender", "race"]
    card = compute_scorecard(table, threshold=None, draws=0)
    assert "camera" not in card.groups
    assert "column camera is not used: the predictions don't name it among people's attributes" in card.remarks
    table.attrs = {"attributes": []}
    assert compute_scorecard(table, threshold=None, draws=0).groups == {}


def test_an_intersection_names_gender_and_race():
    table = frames(["m", "f"] * 6, ["a"] * 12).assign(intersection=["male,asian", "nonmale,asian"] * 6)
    table = table.drop(columns=["gender", "race"])
    guessed = compute_scorecard(table, threshold=None, draws=0).groups
    assert name_attributes(["intersection", "age", "split"]) == ["age", "gender", "race"]
    table.attrs = {"attributes": name_attributes(["intersection"])}
    assert compute_scorecard(table, threshold=None, draws=0).groups == guessed != {}
