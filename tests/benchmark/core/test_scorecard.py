"""Scorecards and failures are written and read through one model, whatever their schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.migrations import SCHEMA_VERSION
from crossfake.benchmark.core.scorecard import (
    UNKNOWN,
    CellDescription,
    Coverage,
    Curves,
    Dropped,
    Failure,
    GroupCell,
    Histogram,
    LevelCell,
    MethodCell,
    ScoreCard,
    Scoring,
    Threshold,
    Throughput,
    find_missing,
    read_card,
)
from crossfake.benchmark.core.types import Estimate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CARDS = Path(__file__).parents[2] / "data" / "scorecards"
NAMES, COUNTS = st.text(min_size=1, max_size=8), st.integers(0, 10**6)
SHARES = st.floats(0, 1)
ESTIMATES = st.builds(Estimate, st.none() | SHARES, st.none() | SHARES, st.none() | SHARES, COUNTS, st.text(max_size=9))
POINTS = st.lists(st.tuples(SHARES, SHARES), max_size=4)
LEVEL_CELLS = st.builds(
    LevelCell, n_real=COUNTS, n_fake=COUNTS, auc=ESTIMATES, fpr=ESTIMATES, tpr=ESTIMATES, left_out=st.just("") | NAMES
)
GROUP_CELLS = st.builds(GroupCell, video=LEVEL_CELLS, frame=LEVEL_CELLS)
SHARE_LISTS = st.lists(SHARES, max_size=3)
CURVES = st.builds(Curves, roc=POINTS, histogram=st.builds(Histogram, real=SHARE_LISTS, fake=SHARE_LISTS))
SCORECARDS = st.builds(
    ScoreCard,
    schema_version=st.just(SCHEMA_VERSION),
    kind=st.just("scorecard"),
    status=st.just("done"),
    cell=st.builds(CellDescription, detector=NAMES, seed=COUNTS, options=st.dictionaries(NAMES, SHARES | NAMES)),
    metrics=st.dictionaries(NAMES, ESTIMATES, max_size=4),
    methods=st.dictionaries(NAMES, st.builds(MethodCell, auc=ESTIMATES, n_fake=COUNTS), max_size=3),
    groups=st.dictionaries(NAMES, st.dictionaries(NAMES, GROUP_CELLS, max_size=2), max_size=2),
    curves=CURVES,
    threshold=st.builds(Threshold, value=SHARES, rule=NAMES),
    temperature=st.none() | SHARES,
    coverage=st.builds(
        Coverage, official=COUNTS, scored=COUNTS, dropped=st.lists(st.builds(Dropped, video=NAMES, reason=NAMES))
    ),
    throughput=st.none() | st.builds(Throughput, images=COUNTS, score_images_per_s=st.none() | SHARES),
    artifacts=st.dictionaries(NAMES, st.lists(POINTS, max_size=2), max_size=2),
    score=st.builds(Scoring, draws=COUNTS),
)


@given(SCORECARDS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_card_is_read_as_written(card):
    content = json.loads(json.dumps(card.to_json(), allow_nan=False))
    again = ScoreCard.model_validate(content)
    assert again == card
    assert again.to_json() == content


@pytest.mark.parametrize("path", sorted(CARDS.glob("v*.json")), ids=lambda p: p.stem)
def test_a_card_of_every_schema_is_read(path):
    card = read_card(path)
    assert isinstance(card, ScoreCard)
    assert find_missing(card) == ""
    assert (card.schema_version, card.written_version) == (SCHEMA_VERSION, int(path.stem[1:]))
    assert not card.is_current
    assert (card.video.auc.value, card.video.auc.n) == (0.84375, 12)
    assert card.groups["gender"]["female"].video.left_out == "fewer than 5 videos of a class (real 2, fake 4)"
    assert card.groups["gender"]["female"].frame is None


def test_metrics_are_there_by_name_and_by_attribute(make):
    card = make(auc=0.75)
    assert card.video.auc is card.metrics["video.auc"]
    assert card.frame.auc.value == pytest.approx(0.65)
    assert card.video.brier == UNKNOWN
    assert card.video.brier.value is None


def test_levels_of_a_group_are_side_by_side_in_the_file():
    e = Estimate(0.5, 0.4, 0.6, 9)
    level = LevelCell(n_real=4, n_fake=5, auc=e, fpr=e, left_out="few")
    written = {"value": 0.5, "lo": 0.4, "hi": 0.6, "n": 9}
    flat = {"n_real": 4, "n_fake": 5, "video.auc": written, "video.fpr": written, "left_out": "few"}
    frame = {"frame.n_real": 4, "frame.n_fake": 5, "frame.auc": written, "frame.fpr": written, "frame.left_out": "few"}
    cell = GroupCell(video=level, frame=level)
    assert list(cell.to_json().items()) == list((flat | frame).items())
    assert GroupCell(video=level).to_json() == flat
    assert cell.describe_level("video") == flat
    assert "video.auc" not in cell.describe_level("frame")


def test_groups_of_an_unused_level_are_not_written(make):
    e = Estimate(0.5, 0.4, 0.6, 9)
    videos, frames = LevelCell(n_real=4, n_fake=5, auc=e), LevelCell(n_real=40, n_fake=50, auc=e)
    groups = {"gender": {"f": GroupCell(video=videos, frame=frames)}}
    card = make(groups=groups).model_copy(update={"level": "frame"})
    cell = card.to_json()["groups"]["gender"]["f"]
    assert (cell["n_real"], cell["n_fake"]) == (40, 50)
    assert set(cell) == {"n_real", "n_fake", "frame.auc"}


def test_unknown_keys_are_kept_and_nothing_is_written_that_was_not_set(make):
    content = make().to_json() | {"later": {"a": [1, None]}}
    content["groups"] = {"gender": {"f": {"n_real": 1, "n_fake": 2, "video.auc": content["metrics"]["video.auc"]}}}
    content["groups"]["gender"]["f"]["weight"] = 0.5
    again = ScoreCard.model_validate(content).to_json()
    assert again == content
    assert "temperature" not in again
    assert "validation" not in again


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"groups": {"gender": {"f": {"n_real": 1, "n_fake": 2}}}}, "groups.gender.f.video.auc: field required"),
        ({"curves": {"roc": [[0.0]]}}, r"curves.roc.0.1: field required"),
        ({"counts": {"videos": "many"}}, "counts.videos: input should be a valid integer"),
        ({"status": "failed"}, "status: input should be 'done'"),
    ],
)
def test_a_flaw_is_reported_with_its_place(change, flaw, make, save, tmp_path):
    path = save(tmp_path / "scorecard.json", make().to_json() | change)
    with pytest.raises(BenchError, match=rf"^{path}: {flaw}.*Remove it and rerun") as error:
        read_card(path)
    assert "\n" not in str(error.value)


def test_missing_fields_of_a_runs_card_are_reported(make):
    card = make()
    assert find_missing(card) == ""
    partly = card.model_copy(update={"cell": CellDescription(detector="meso4", name="meso4")}).without({"score"})
    assert find_missing(partly) == "cell.backend: field required (and 14 more flaws)"


def test_a_failure_is_read_back(make_failed, save, tmp_path):
    failure = make_failed("dfd", status="skipped")
    again = read_card(save(tmp_path / "failure.json", failure))
    assert isinstance(again, Failure)
    assert again.to_json() == failure.to_json()
    assert (again.folder, again.status) == (tmp_path, "skipped")
