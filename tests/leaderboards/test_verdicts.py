"""The board's verdicts: which row to choose, how reliable that is, for whom it fails, and how fast it is."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.core.scorecard import Coverage, Dropped
from crossfake.benchmark.core.types import Estimate
from crossfake.leaderboards.rows import make_tables
from crossfake.leaderboards.verdicts import Verdict, make_verdicts
from pandas import DataFrame


@pytest.fixture
def row(make, tmp_path):
    """Return a card whose scores separate the classes by `strength`; the last `lost` fakes weren't scored."""

    def write(name: str, strength: float, test: str = "celebdf", lost: int = 0):
        label = np.repeat([0, 1], [60, 60])
        score = np.random.default_rng(0).normal(size=120) + np.random.default_rng([len(name), 1]).normal(size=120) * 0.2
        videos = [f"{k}/{i:03}" for i, k in enumerate(label)]
        frames = DataFrame({"video": videos, "frame": 0, "label": label, "score": score + strength * label})
        path = tmp_path / name / test / "predictions.parquet"
        path.parent.mkdir(parents=True)
        write_predictions(path, frames.head(120 - lost), PredictionsMetadata())
        dropped = [Dropped(video=v, reason="no_face", label=1) for v in videos[120 - lost :]]
        coverage = Coverage(official=120, scored=120 - lost, dropped=dropped)
        card = make(test, name=name, recipe_key=name, train_key=name, coverage=coverage)
        return card.place(path.with_name("scorecard.json"))

    return write


def verdict(*cards) -> Verdict:
    (table,) = make_tables(cards)
    (said,) = make_verdicts(table)
    return said


def test_one_row_is_the_best_or_several_may_be(row):
    alone = verdict(row("a", 3.0), row("bb", 0.3))
    assert alone.headline == "a is the best of 2"
    assert alone.choose.startswith("a has a mean AUC of 0.98")
    assert alone.choose.endswith(" on celebdf, which it wasn't trained on. The other row is worse.")
    tied = verdict(row("c", 3.0), row("dd", 3.0), row("eee", 0.2))
    assert tied.headline in ("c and dd tie for first", "dd and c tie for first")
    assert tied.choose.endswith("These 2 don't differ significantly. The other row is worse.")
    assert "eee" not in tied.choose
    equal = verdict(row("f", 2.0), row("gg", 2.0))
    assert equal.headline.endswith("don't differ significantly")
    assert "worse" not in equal.choose


def test_many_ties_are_described_as_none_standing_out(row):
    said = verdict(*(row("x" * i, 1.0) for i in range(1, 7)))
    assert said.headline == "No detector stands out: 6 of 6 don't differ significantly from the best"
    assert said.choose.count(";") == 3  # Four are named.
    assert said.choose.endswith(". The best 6 don't differ significantly.")


def test_a_row_without_some_videos_cannot_be_the_best(row):
    said = verdict(row("a", 1.0), row("bb", 1.1), row("cccc", 6.0, lost=20))
    assert said.choose.endswith("Not considered (less than 98 % of the videos scored): cccc.")
    assert "cccc" not in said.headline


def test_the_verdict_says_why_there_are_no_ranks(row, make_failed):
    assert verdict(row("a", 1.0)).headline == "a is the only row"
    said = verdict(row("b", 1.0), row("c", 1.0, test="dfdc"))
    assert said.headline == "No ranks"
    assert said.choose == "No ranks: fewer than two rows can be compared on all of celebdf and dfdc."
    (table,) = make_tables([make_failed()])
    assert make_verdicts(table) == []


def test_a_row_tested_only_on_its_training_set_claims_nothing_about_others(make):
    said = verdict(make("ff++:c23", 0.9))
    assert "on ff++:c23, its own training set" in said.choose
    assert said.trust == "Tests on ff++:c23 alone say nothing about other datasets."


def test_the_drop_and_the_threshold_come_with_their_uncertainty(make):
    def measured(test: str, auc: float, half: float, rate: tuple[float, float, float]):
        metrics = {
            "video.auc": Estimate(auc, auc - half, auc + half, 20),
            "video.fpr_at_source_fpr5": Estimate(*rate, 20),
        }
        return make(test, metrics=metrics)

    home = measured("ff++:c23", 0.9, 0.02, (0.05, 0.01, 0.1))
    sure = verdict(home, measured("celebdf", 0.7, 0.02, (0.3, 0.2, 0.4)), measured("dfdc", 0.6, 0.02, (0.5, 0.4, 0.6)))
    assert sure.trust == (
        "Away from ff++:c23, AUC falls by 0.20 to 0.30. "
        "The threshold that flags 5 % of ff++:c23's real videos flags 50 % of dfdc's."
    )
    open_end = verdict(home, measured("celebdf", 0.8, 0.2, (0.3, 0.01, 0.6)))
    assert open_end.trust == (
        "Away from ff++:c23, AUC doesn't fall significantly (0.10). "
        "The threshold that flags 5 % of ff++:c23's real videos flags 30 % of celebdf's; "
        "with this few videos the true rate may still be 5 %."
    )
    some = verdict(home, measured("celebdf", 0.7, 0.02, (0.3, 0.2, 0.4)), measured("dfdc", 0.8, 0.2, (0.2, 0.1, 0.4)))
    assert some.trust.startswith("Away from ff++:c23, AUC falls by 0.10 to 0.20; 1 of 2 drops is significant. ")
    assert verdict(make()).trust == "The drop away from ff++:c23 isn't known."


def test_rows_of_unknown_training_are_not_said_to_be_tested_on_unseen_data(make):
    said = verdict(make(train="unknown"))
    assert said.choose.endswith(" on celebdf.")
    assert said.trust == "The training data isn't known, so there is no drop to compare with."


def test_the_worst_group_says_of_how_many_and_whether_the_gap_may_be_chance(make):
    gap = "video.fairness.intersection.auc_gap"
    said = verdict(make()).fails_for
    assert said.startswith("The group f-a has the lowest AUC on celebdf (0.70; 2 of 3 groups count). ")
    assert said.endswith("With 9 videos in the smallest cell, the gap may be chance.")
    rows = [make(name=name, recipe_key=name) for name in "abc"]
    assert "has the lowest AUC on celebdf in both rows (" in verdict(*rows[:2]).fails_for
    assert "has the lowest AUC on celebdf in all 3 rows (" in verdict(*rows).fails_for
    metrics = make().metrics | {gap: Estimate(0.12, 0.02, 0.3, 9)}
    assert verdict(make(metrics=metrics)).fails_for.endswith("The gap between groups is significant.")
    without = {name: e for name, e in make().metrics.items() if name != gap}
    assert verdict(make(metrics=without)).fails_for.endswith(" (0.70; 2 of 3 groups count).")
    assert verdict(make(groups={})).fails_for == "Gender and race aren't annotated."
    few = {"gender": {"f": make().groups["intersection"]["f-b"]}}
    assert verdict(make(groups=few)).fails_for == (
        "Groups can't be compared: fewer than two (of 1) have enough videos on celebdf."
    )


def test_the_fastest_candidate_is_named_with_where_it_was_measured(make, make_speed):
    def say(*speeds) -> str:
        cards = [make(), make(name="b", detector="xception", recipe_key="b", auc=0.7)]
        (said,) = make_verdicts(*make_tables(cards, speeds))
        return said.speed

    own, other = make_speed(100.0), make_speed(250.0, detector="xception")
    assert say(own, other) == "b: 250 images per second, 2.5 times as many as meso4 (AMD EPYC, fp32, 2 threads)."
    elsewhere = make_speed(9000.0, detector="xception", device="NVIDIA H200", precision="tf32", threads=0)
    assert say(own, elsewhere) == "meso4: 100 images per second (AMD EPYC, fp32, 2 threads)."
    busy = make_speed(250.0, detector="xception", load={"own": 1.0, "others": 0.9, "cores": 2})
    assert say(own, busy).endswith(". Other work slowed some of them down.")
    assert say(busy).endswith(". Other work slowed it down.")
    assert say() == "Speed wasn't measured. To measure it: bench speed."
