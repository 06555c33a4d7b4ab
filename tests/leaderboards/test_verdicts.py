"""What the board says in words: which row is the best over all test sets, or which may be."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.core.scorecard import Coverage, Dropped
from crossfake.leaderboards.rows import make_tables
from crossfake.leaderboards.verdicts import make_verdicts
from pandas import DataFrame


@pytest.fixture
def row(make, tmp_path):
    """Return a card whose predictions part the classes by so much; the last `lost` fakes weren't scored."""

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


def verdicts(*cards):
    (table,) = make_tables(cards)
    return make_verdicts(table)


def test_one_is_the_best_or_several_may_be(row):
    where = "Trained on ff++:c23, by the mean AUC on celebdf: "
    assert verdicts(row("a", 3.0), row("bb", 0.3)) == [f"{where}a is the best, the other row is worse."]
    found = verdicts(row("c", 3.0), row("dd", 3.0), row("eee", 0.2))
    assert found in (
        [f"{where}c and dd can't be told apart, the other row is worse."],
        [f"{where}dd and c can't be told apart, the other row is worse."],
    )
    (said,) = verdicts(row("f", 2.0), row("gg", 2.0))
    assert said.endswith("is surely better than another.")


def test_a_row_without_a_part_of_the_videos_is_not_in_question(row):
    (said,) = verdicts(row("a", 1.0), row("bb", 1.1), row("cccc", 6.0, lost=20))
    assert said.endswith("Not in question, with less than 98 % of the videos: cccc.")


def test_why_there_are_no_ranks_is_said(row, make):
    assert verdicts(row("a", 1.0)) == []
    found = verdicts(row("b", 1.0), row("c", 1.0, test="dfdc"))
    assert found == [
        "Trained on ff++:c23: no ranks, as fewer than two rows can be compared on all of celebdf and dfdc."
    ]
