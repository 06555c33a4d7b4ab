"""Per-group tables and gaps: numbers by hand, small groups named, unannotated videos left out of what they lack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.benchmark.groups import MIN_PER_CLASS, attributes_of, gaps, group_tables
from crossfake.benchmark.score import check_predictions, scorecard, to_videos


def people(*rows: tuple[str, str, int, list[float]]) -> pd.DataFrame:
    """Each row: gender, race, label, scores."""
    return pd.DataFrame([{"gender": g, "race": r, "label": y, "score": s} for g, r, y, scores in rows for s in scores])


EASY, HARD = [0.1] * 5, [0.9] * 5


@pytest.fixture
def two() -> pd.DataFrame:
    """Men are told apart perfectly; of the women one real in five scores as high as the fakes, the others lower."""
    return people(("m", "a", 0, EASY), ("m", "a", 1, HARD), ("f", "a", 0, [0.9, *EASY[:4]]), ("f", "a", 1, HARD))


def test_rates_and_auc_of_each_group(two):
    table = group_tables(two, ["gender"], 0.5, draws=0)["gender"]
    assert table["m"]["video.auc"].value == 1
    assert table["f"]["video.auc"].value == pytest.approx(0.9)  # 5 of 25 pairs are ties.
    assert (table["m"]["video.fpr"].value, table["m"]["video.fpr"].n) == (0, 5)
    assert table["f"]["video.fpr"].value == pytest.approx(0.2)
    assert table["f"]["video.tpr"].value == 1
    assert table["f"]["video.auc"].n == 10


def test_gaps_are_largest_minus_smallest_with_the_smallest_cell_as_n(two):
    table = pd.concat([two, people(("m", "a", 1, [0.9]))])
    result = gaps(table, ["gender"], 0.5, draws=50)
    auc, fpr = (result[f"video.fairness.gender.{what}_gap"] for what in ("auc", "fpr"))
    assert auc.value == pytest.approx(0.1)
    assert fpr.value == pytest.approx(0.2)
    assert auc.n == fpr.n == 5
    assert auc.lo <= auc.value <= auc.hi


def test_the_threshold_is_the_operating_point_of_the_rates(two):
    for threshold, fpr, tpr in ((0.05, 1, 1), (0.5, 0.2, 1), (0.9, 0, 0)):
        women = group_tables(two, ["gender"], threshold, draws=0)["gender"]["f"]
        assert (women["video.fpr"].value, women["video.tpr"].value) == pytest.approx((fpr, tpr))


def test_small_and_one_class_groups_are_named_and_enter_no_gap(two):
    table = pd.concat([two, people(("x", "a", 0, [0.9] * 4), ("x", "a", 1, [0.1] * 9), ("y", "a", 1, [0.5] * 20))])
    groups = group_tables(table, ["gender"], 0.5, draws=0)["gender"]
    assert list(groups) == ["f", "m", "x", "y"]
    assert groups["x"]["left_out"] == f"fewer than {MIN_PER_CLASS} videos of a class (real 4, fake 9)"
    assert groups["x"]["video.auc"].value == 0
    assert groups["y"]["video.auc"].value is None
    assert groups["y"]["video.fpr"].note == "no such videos"
    assert gaps(table, ["gender"], 0.5, draws=0) == gaps(two, ["gender"], 0.5, draws=0)


def test_one_group_alone_has_no_gap_and_says_so(two):
    for what in gaps(two[two["gender"] == "m"], ["gender"], 0.5, draws=0).values():
        assert (what.value, what.n) == (None, 0)
        assert what.note == "fewer than two groups with 5 videos of each class"


def test_the_intersection_needs_every_attribute():
    table = people(("m", "a", 0, [0.1]), ("", "a", 0, [0.1]), ("f", "", 1, [0.1]), ("f", "b", 1, [0.2]))
    columns = attributes_of(table, ["gender", "race"])
    assert columns["intersection"].tolist() == ["m-a", "", "", "f-b"]
    assert list(attributes_of(table.assign(race=""), ["gender", "race"])) == ["gender"]
    assert list(attributes_of(table[["label", "score"]], ["gender", "race"])) == []


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
def test_cells_left_empty_mean_not_annotated_however_they_were_read(missing):
    table = frames(["m"] * 10 + ["f"] * 10 + [missing] * 4, ["a"] * 20 + [missing, "b", missing, "b"])
    card = scorecard(table, threshold=None, draws=0)
    assert {g: c["n_real"] + c["n_fake"] for g, c in card["groups"]["gender"].items()} == {"f": 10, "m": 10}
    assert set(card["groups"]["intersection"]) == {"f-a", "m-a"}
    assert card["metrics"]["video.fairness.gender.auc_gap"].value == 0


def test_a_column_without_a_single_annotation_is_no_attribute():
    card = scorecard(frames([np.nan] * 6, [None] * 6), threshold=None, draws=0)
    assert card["groups"] == {}


def test_groups_written_as_numbers_are_names():
    card = scorecard(frames([1, 2] * 6, [1.0, np.nan] * 6), threshold=None, draws=0)
    assert set(card["groups"]["gender"]) == {"1", "2"}


def test_a_method_left_empty_is_still_a_fake_video():
    table = frames(["m"] * 6, ["a"] * 6).assign(method=["real", "A", "real", np.nan, "real", "A"])
    assert {m: c["n_fake"] for m, c in scorecard(table, threshold=None, draws=0)["methods"].items()} == {"": 1, "A": 2}


def test_a_row_without_a_video_is_refused():
    table = frames(["m"] * 4, ["a"] * 4)
    table.loc[2, "video"] = np.nan
    with pytest.raises(BenchError, match=r"t\.csv: no video in 1 rows \(first: 3\)"):
        check_predictions(table, "t.csv")


def test_pooling_keeps_the_table_it_was_given():
    table = frames(["m", np.nan], ["a", "a"])
    before = table.copy()
    assert to_videos(table)["gender"].tolist() == ["m", ""]
    pd.testing.assert_frame_equal(table, before)
