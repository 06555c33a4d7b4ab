"""Which cards may share a table or a row, and what is computed from several cards."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stages.sources import DataRoot
from crossfake.datasets.demo.world import DemoWorld
from crossfake.leaderboards.load import load_cards
from crossfake.leaderboards.protocols import describe_origin
from crossfake.leaderboards.rows import find_row, list_targets, make_tables

ALL = {"scored": 20, "official": 20, "dropped": []}


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"protocol": "demo tiny, seed 0"}, "demo tiny, seed 0; 32 frames per video"),
        ({"protocol": "demo default, seed 0, leak world, new donors"}, None),
        ({"frames": 8}, "real; 8 frames per video"),
        ({"limit": 5}, "real; 32 frames per video, PARTIAL: at most 5 real and 5 fake videos per split"),
        ({"selection": "test-oracle"}, "real; 32 frames per video; selected on the test set (test-oracle)"),
    ],
)
def test_other_protocols_never_share_a_table(changes, title, make):
    made = make_tables([make("dfdc"), make(auc=0.9, **changes)])
    real, other = sorted(made, key=lambda t: t.title != "real; 32 frames per video")
    assert real.title == "real; 32 frames per video"
    assert other.title == (title or f"{changes['protocol']}; 32 frames per video")
    assert (real.tests, other.tests) == (["dfdc"], ["celebdf"])


def of_methods(*names):
    return {name: {"video.auc": Estimate(0.7, 0.6, 0.8, 9), "n_fake": 4} for name in names}


def test_four_methods_and_five_never_share_a_table(make, make_failed):
    five, four = of_methods("a", "b", "c", "d", "e"), of_methods("a", "b", "c", "d")
    whole = [make("ff++:c23", methods=five), make("celebdf", methods=of_methods("x"))]
    part = [make(test, recipe_key="r4", methods=m) for test, m in (("ff++:c23", four), ("celebdf", of_methods("x")))]
    lacking = [make("celebdf", recipe_key="r0", methods=of_methods("x")), make_failed("ff++:c23", recipe_key="r0")]
    usual, other = make_tables([*part, *whole, *lacking])
    assert (usual.title, {r.key for r in usual.rows}) == ("real; 32 frames per video", {"rrr", "r0"})
    assert other.title == "real; 32 frames per video; ff++:c23 of 4 methods: a, b, c, d"
    ((row,),) = [other.rows]
    assert (row.key, set(row.results)) == ("r4", {"ff++:c23", "celebdf"})
    assert find_row([*part, *whole], "r4")[1].key == "r4"
    seeds = [make("ff++:c23", methods=five), make("ff++:c23", seed=1, train_key="s1", methods=four)]
    assert [[r.seeds for r in t.rows] for t in make_tables(seeds)] == [[(0,)], [(1,)]]


def test_tables_of_the_demo_world_say_synthetic(make):
    real, demo = make_tables([make(), make(protocol="demo tiny, seed 0", world="demo")])
    assert (real.is_synthetic, real.heading) == (False, real.title)
    assert (demo.is_synthetic, demo.heading) == (True, "Synthetic: demo tiny, seed 0; 32 frames per video")


def test_seeds_of_one_recipe_are_one_row_and_other_recipes_are_not(make):
    cards = [make(seed=1, train_key="ccc"), make(), make(recipe_key="other"), make(backend="jax", recipe_key="j")]
    (table,) = make_tables(cards)
    assert sorted((r.key, r.backend, r.seeds) for r in table.rows) == [
        ("j", "jax", (0,)),
        ("other", "torch", (0,)),
        ("rrr", "torch", (0, 1)),
    ]


def test_the_training_set_is_first_and_the_best_on_other_sets_is_on_top(make):
    b = make("celebdf", 0.8, name="b", recipe_key="b", coverage=ALL)
    (table,) = make_tables([make("celebdf", 0.6, coverage=ALL), make("ff++:c23", 0.99), b])
    assert table.tests == ["ff++:c23", "celebdf"]
    assert [(r.name, table.strength(r)) for r in table.rows] == [("b", 0.8), ("meso4", 0.6)]


def test_a_row_without_a_test_set_has_no_comparable_mean_and_is_below(make, make_failed):
    whole = [make("celebdf", 0.9, coverage=ALL), make("dfdc", 0.6, coverage=ALL)]
    lacking = [make("celebdf", 0.95, name="b", recipe_key="b"), make_failed("dfdc", name="b", recipe_key="b")]
    (table,) = make_tables([*lacking, *whole])
    assert [(r.name, table.strength(r)) for r in table.rows] == [("meso4", 0.75), ("b", None)]


def test_another_part_of_the_training_set_is_not_another_set(make):
    cards = [make(test, auc) for test, auc in (("ff++:c23:4m", 0.9), ("ff++:c40", 0.8), ("celebdf", 0.7))]
    (table,) = make_tables([*cards, make("ff++:c23", 0.95)])
    assert list_targets(table.rows, "ff++:c23") == ["celebdf", "ff++:c40"]


def test_the_drop_is_against_the_training_sets_own_test_split(make):
    ((row,),) = [t.rows for t in make_tables([make("ff++:c23", 0.95), make("celebdf", 0.75)])]
    drop = row.drop("celebdf")
    assert drop.value == pytest.approx(0.2)
    assert (drop.lo, drop.hi) == pytest.approx((0.2 - 0.05 * 2**0.5, 0.2 + 0.05 * 2**0.5))
    assert row.drop("ff++:c23") is None
    assert row.drop("dfdc") is None


def cell_of(auc, real, fake, **more):
    return {"video.auc": Estimate(auc, 0.1, 0.9, real + fake), "n_real": real, "n_fake": fake, **more}


def summarise(make, **groups):
    ((row,),) = [t.rows for t in make_tables([make(groups=groups)])]
    return row.results["celebdf"].groups


def test_the_worst_group_is_the_lowest_of_those_large_enough(make):
    cells = {"f-a": cell_of(0.6, 9, 30), "f-b": cell_of(0.5, 2, 3, left_out="few"), "m-a": cell_of(0.8, 9, 9)}
    found = summarise(make, intersection=cells, gender={"f": cell_of(0.4, 9, 9), "m": cell_of(0.5, 9, 9)})
    assert (found.attribute, found.group, found.qualified, found.groups) == ("intersection", "f-a", 2, 3)
    assert found.worst[:4] == (0.6, 0.1, 0.9, 9)  # n is the size of the smaller class.
    assert found.gap.value == 0.12


def test_a_single_group_is_never_the_worst_and_a_single_attribute_replaces_it(make):
    few, gender = {"f-a": cell_of(0.6, 9, 30), "m-a": cell_of(0.8, 2, 9, left_out="few")}, cell_of(0.7, 9, 30)
    found = summarise(make, intersection=few, race={"a": gender, "b": cell_of(0.6, 9, 9)}, gender={"f": gender})
    assert (found.attribute, found.group, found.qualified, found.groups) == ("race", "b", 2, 2)
    found = summarise(make, intersection=few, gender={"f": gender, "m": cell_of(0.6, 8, 9)}, race={})
    assert (found.attribute, found.group, found.worst.n) == ("gender", "m", 8)
    found = summarise(make, intersection=few, gender={"f": gender})
    assert found == ("intersection", 1, 2, "", None, None)
    assert summarise(make) is None


def test_a_row_is_found_by_the_start_of_its_key_or_of_a_run(make):
    cards = [make(), make(recipe_key="r12", train_key="t12")]
    assert find_row(cards, "rr")[1].key == "rrr"
    assert find_row(cards, "t1")[1].key == "r12"
    with pytest.raises(BenchError, match=r"'r' is the start of several rows: .*rrr.*Give one in full"):
        find_row(cards, "r")
    with pytest.raises(BenchError, match=r"no row 'rrx'\. Did you mean 'rrr'\?"):
        find_row(cards, "rrx")


def test_the_leak_worlds_new_donors_are_a_separate_protocol(tmp_path):
    world = DemoWorld(size="default", seed=3, world="leak")
    same, new, deeper = (
        DataRoot(tmp_path / part, world).protocol for part in (".", "new_donors", "new_donors/FaceForensics++")
    )
    assert same == "demo default, seed 3, leak world"
    assert new == deeper == "demo default, seed 3, leak world, new donors"
    assert DataRoot(tmp_path, world.model_copy(update={"world": "standard"})).protocol == "demo default, seed 3"


def test_the_drop_pairs_the_seeds_that_both_sets_have(make, make_failed):
    home = [make("ff++:c23", auc, seed=s, train_key=f"t{s}") for s, auc in enumerate((0.9, 0.8, 0.7))]
    away = [make("celebdf", auc, seed=s, train_key=f"t{s}") for s, auc in enumerate((0.6, 0.5))]
    lost = make_failed("celebdf", seed=2, train_key="t2")
    ((row,),) = [t.rows for t in make_tables([*home, *away, lost])]
    assert row.drop("celebdf").value == pytest.approx(0.3)  # With all three seeds of the source it would be 0.25.
    ((row,),) = [t.rows for t in make_tables([home[2], make_failed("ff++:c23", seed=0), away[0]])]
    assert row.drop("celebdf") is None


def test_a_row_knows_which_of_its_seeds_failed(make, make_failed):
    cards = [make(), make_failed(seed=1, train_key="ccc"), make_failed(seed=2, status="skipped", train_key="ddd")]
    ((row,),) = [t.rows for t in make_tables(cards)]
    assert [(c.cell.seed, c.status) for c in row.results["celebdf"].lost] == [(1, "failed"), (2, "skipped")]


def test_unscored_videos_count_even_without_predictions(make):
    scored = {"scored": 199, "official": 200, "dropped": []}
    (table,) = make_tables([make("celebdf", 0.9, coverage=scored), make("celebdf", 0.95, recipe_key="b", name="b")])
    pairs = (199 / 200) ** 2
    assert table.bounds["rrr", "celebdf"] == pytest.approx(
        (0.9 * pairs, 0.9 * pairs + 0.5 * (1 - pairs), 1 - 0.1 * pairs)
    )
    assert [(r.key, table.strength(r)) for r in table.rows] == [
        ("rrr", pytest.approx(0.9 * pairs + 0.5 * (1 - pairs))),
        ("b", pytest.approx(0.95 * 0.95**2)),  # 19 of 20 have scores, and every other pair counts as lost.
    ]


def test_a_method_that_could_not_be_scored_is_still_one_of_the_rows_methods(make):
    def tested(*methods, **changes):
        cells = {m: {"video.auc": Estimate(0.8, 0.7, 0.9, 20), "n_fake": 5} for m in methods}
        return make("ff++:c23", methods=cells, **changes)

    five = tested("Deepfakes", "NeuralTextures", "FaceShifter")
    dropped = {"video": "x", "reason": "no_face", "label": 1, "method": "FaceShifter"}
    lost = {"scored": 19, "official": 20, "dropped": [dropped]}
    (table,) = make_tables([five, tested("Deepfakes", "NeuralTextures", recipe_key="d", name="d", coverage=lost)])
    assert len(table.rows) == 2


def test_a_row_without_some_videos_is_in_a_separate_table(make):
    whole, less = make("celebdf"), make("celebdf", excluded=["a.mp4", "b.mp4"], test_key="less")
    assert [(t.title, len(t.rows)) for t in make_tables([less, whole])] == [
        ("real; 32 frames per video", 1),
        ("real; 32 frames per video; celebdf without 2 videos (list ba01e5)", 1),
    ]
    assert [t.title for t in make_tables([less])] == [
        "real; 32 frames per video; celebdf without 2 videos (list ba01e5)"
    ]
    other = make("celebdf", excluded=["c.mp4"])
    assert len(make_tables([whole, less, other])) == 3
    assert len(make_tables([less, make("celebdf", name="b", recipe_key="b", excluded=["a.mp4", "b.mp4"])])) == 1


def test_a_row_says_where_its_weights_come_from(make):
    ((row,),) = [t.rows for t in make_tables([make(train="unknown", weights="its own", selection="unknown")])]
    facts = dict(row.protocol)
    assert (row.name, row.train, facts["weights"], facts["training videos"]) == (
        "meso4",
        "unknown",
        "its own",
        "unknown",
    )
    assert facts["threshold from"] == "ff++:c23 val"
    assert row.drop("celebdf") is None
    card = make(contaminated=3, training_videos="abc", trained_without=1)
    assert describe_origin(card) == (
        "weights: trained here; trained on: ff++:c23; training videos: abc, without 1 video; selected on: source val; "
        "threshold from: ff++:c23 val (contaminated: trained on 3 of 20 videos)"
    )


def test_a_mean_without_interval_says_what_each_test_set_lacks(make):
    few = {"metrics": {"video.auc": Estimate(0.8, None, None, 4, "too few videos for an interval")}}
    told = {
        "no interval: too few videos of dfd": [make("celebdf"), make("dfd", **few)],
        "no interval: no predictions on celebdf, dfd": [make("celebdf"), make("dfd")],
    }
    for note, cards in told.items():
        (table,) = make_tables(cards)
        assert [standing.mean.note for standing in table.standings.values()] == [note]


def test_the_mean_over_one_test_set_has_that_sets_interval(runs):
    (table,) = make_tables(card for card in load_cards(runs) if card.status == "done")
    means = {
        row.key: (table.standings[row.key].mean, row.results["celebdf"].metrics["video.auc"]) for row in table.rows
    }
    assert len(means) == 2
    assert all(mean == auc for mean, auc in means.values())
