"""Reading a folder of runs: what counts, what newer runs replaced, what is broken."""

from __future__ import annotations

import json
import os

import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.leaderboards.collect import collect


def test_cards_are_found_at_any_depth_and_nothing_else(tmp_path, make, make_failed, save):
    save(tmp_path / "demo/meso4/run/test.a/scorecard.json", make("a"))
    save(tmp_path / "demo/meso4/run/test.b/failure.json", make_failed("b"))
    save(tmp_path / "entries/real/meso4/ff++-c23__c.json", {**make("c"), "predictions": "ff++-c23__c.parquet"})
    save(tmp_path / "theirs/scorecard.json", {"accuracy": 0.9})
    save(tmp_path / "predicted/scorecard.json", {**make(), "cell": {}})
    cards = collect(tmp_path)
    assert [(c["cell"]["test"], c["status"]) for c in cards] == [("a", "done"), ("b", "failed"), ("c", "done")]
    assert cards[0]["path"] == str(tmp_path / "demo/meso4/run/test.a")
    assert cards[2]["predictions"] == str(tmp_path / "entries/real/meso4/ff++-c23__c.parquet")
    assert collect(tmp_path / "none") == []


def test_a_failure_beside_a_scorecard_does_not_hide_it(tmp_path, make, make_failed, save):
    save(tmp_path / "test.a/scorecard.json", make("a"))
    save(tmp_path / "test.a/failure.json", make_failed("a"))
    assert [c["status"] for c in collect(tmp_path)] == ["done"]


def test_a_broken_card_is_named_in_one_line(tmp_path):
    (tmp_path / "scorecard.json").write_text('{"half')
    with pytest.raises(BenchError, match=r"scorecard\.json is not JSON .*Remove it and rerun") as error:
        collect(tmp_path)
    assert "\n" not in str(error.value)


def test_a_foreign_card_is_named(tmp_path):
    (tmp_path / "scorecard.json").write_text(
        json.dumps({"schema_version": 2, "kind": "scorecard", "cell": {"name": "x"}})
    )
    with pytest.raises(BenchError, match="has no backend, frames, limit"):
        collect(tmp_path)


def test_a_failure_that_a_newer_run_mended_is_left_out(tmp_path, make, make_failed, save):
    old = save(tmp_path / "a/failure.json", make_failed(train_key="old"))
    new = save(tmp_path / "b/scorecard.json", make(train_key="new"))
    os.utime(old, (1000, 1000))
    os.utime(new, (2000, 2000))
    assert [c["status"] for c in collect(tmp_path)] == ["done"]
    os.utime(old, (3000, 3000))
    assert [c["status"] for c in collect(tmp_path)] == ["done", "failed"]


def test_of_two_scorecards_of_the_same_weights_the_newer_counts(tmp_path, make, save):
    for name, auc, when in (("a", 0.9, 1000), ("b", 0.6, 2000)):
        path = save(tmp_path / name / "scorecard.json", make(auc=auc, test_key=name))
        os.utime(path, (when, when))
    assert [c["metrics"]["video.auc"]["value"] for c in collect(tmp_path)] == [0.6]
