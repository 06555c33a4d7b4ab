"""What rows with the same training set share, which drops are shown, and which test set is used for groups."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.leaderboards.overview import Overview, label_row, make_overviews
from crossfake.leaderboards.rows import make_tables


def overview(*cards) -> Overview:
    (table,) = make_tables(cards)
    (made,) = make_overviews(table)
    return made


def test_each_training_set_has_an_overview(make):
    (table,) = make_tables([make(), make(train="celebdf", test="dfdc", recipe_key="b")])
    made = make_overviews(table)
    assert [(o.train, [r.key for r in o.rows], o.tests) for o in made] == [
        ("celebdf", ["b"], ["dfdc"]),
        ("ff++:c23", ["rrr"], ["celebdf"]),
    ]


def test_columns_are_the_tests_in_the_mean_then_failed_ones_then_the_training_sets(make, make_failed):
    o = overview(make("ff++:c23", 0.9), make_failed("wilddf"), make("dfdc"), make("celebdf"))
    assert o.targets == ["celebdf", "dfdc"]
    assert o.tests == ["celebdf", "dfdc", "wilddf", "ff++:c23"]


def test_facts_are_shared_or_distinguish_rows(make):
    o = overview(make(), make(recipe_key="b", backend="jax", seed=1))
    assert o.varying == ["backend", "seeds"]
    assert o.shared == [("selected on", "source val")]


def test_the_drop_is_the_training_sets_auc_minus_the_mean_shown_next_to_it(make, make_failed):
    cards = [make("ff++:c23", 0.9), make("celebdf", 0.8), make("dfdc", 0.6)]
    o = overview(*cards)
    mean = o.table.standings["rrr"].mean
    drop = o.drop(o.rows[0])
    assert drop is not None
    assert drop.value == pytest.approx(0.9 - mean.value)
    assert overview(*cards[1:]).drop(overview(*cards[1:]).rows[0]) is None
    lost = overview(*cards, make_failed("dfdc", seed=1, train_key="t1"))
    assert lost.drop(lost.rows[0]) is None  # The seed that failed may have been the worse one.
    home = overview(cards[0])
    assert home.drop(home.rows[0]) is None


def test_groups_are_chosen_by_how_many_count_and_never_by_low_scores(make):
    groups = make().groups["intersection"]
    one = {"intersection": {g: c for g, c in groups.items() if g != "m-a"}}
    worse = {
        "intersection": {
            g: c.model_copy(update={"video": c.video.model_copy(update={"auc": Estimate(0.1, 0.05, 0.2, 9)})})
            for g, c in groups.items()
        }
    }
    assert overview(make("celebdf", groups=one), make("dfdc")).groups_test == "dfdc"
    assert overview(make("celebdf"), make("dfdc", groups=worse)).groups_test == "celebdf"
    assert overview(make("ff++:c23"), make("dfdc", groups=one)).groups_test == "dfdc"
    assert overview(make(groups={})).groups_test == ""
    assert overview(make("celebdf"), make("dfdc")).groups_counted == "2 of 3 groups"


def test_rows_of_the_same_name_are_distinguished_by_what_differs(make):
    (table,) = make_tables(
        [
            make(),
            make(recipe_key="b" * 10, backend="jax"),
            make(recipe_key="c" * 10),
            make(recipe_key="d", name="other"),
        ]
    )
    labels = {row.key[:1]: label_row(row, table.rows) for row in table.rows}
    assert labels == {"r": "meso4 torch rrr", "b": "meso4 jax", "c": "meso4 torch cccccc", "d": "other"}
