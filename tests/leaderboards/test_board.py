"""The leaderboard: what may share a table and what may not, failures apart from gaps, and files tools can read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.leaderboards import board


def number(value: float | None, lo: float | None = None, hi: float | None = None, n: int = 20, **note: str) -> dict:
    return {"value": value, "lo": lo, "hi": hi, "n": n, **note}


def card_of(test: str = "celebdf", auc: float = 0.75, **changes: Any) -> dict[str, Any]:
    cell = {
        "name": "meso4",
        "backend": "torch",
        "train": "ff++:c23",
        "test": test,
        "seed": 0,
        "limit": None,
        "frames": 32,
        "protocol": "real",
        "weights": "trained here",
        "train_key": "aaa",
        "test_key": "bbb",
    }
    metrics = changes.pop(
        "metrics", {"video.auc": number(auc, auc - 0.05, auc + 0.05), board.GAP: number(0.12, 0, 0.3, 9)}
    )
    card = {
        "kind": "scorecard",
        "status": "done",
        "cell": {**cell, **{k: changes.pop(k) for k in list(changes) if k in cell}},
        "metrics": metrics,
        "coverage": {"scored": 19, "official": 20, "dropped": []},
        "throughput": {"score_images_per_s": 100.4},
        "params": 28_000,
        "provenance": {"command": "bench run --detector meso4"},
        "path": "runs/x",
    }
    return {**card, **changes}


def failed(test: str = "celebdf", **changes: Any) -> dict[str, Any]:
    card = card_of(test, **changes)
    return {"kind": "failure", "status": "failed", "error": "out of luck", "cell": card["cell"], "path": "runs/y"}


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"protocol": "demo tiny, seed 0"}, "demo tiny, seed 0; 32 frames a video"),
        ({"frames": 8}, "real; 8 frames a video"),
        ({"limit": 5}, "real; 32 frames a video, PARTIAL: at most 5 real and 5 fake videos a split"),
    ],
)
def test_worlds_frame_counts_and_limits_never_share_a_table(changes, title):
    made = board.tables([card_of(), card_of("dfdc"), card_of(auc=0.9, **changes)])
    assert [len(rows) for _, _, rows in made] == [1, 1]
    by_title = {t: (header, rows) for t, header, rows in made}
    assert set(by_title) == {"real; 32 frames a video", title}
    header, rows = by_title[title]
    assert not any("dfdc" in column for column in header)
    assert rows[0][4] == "0.900 [0.850, 0.950]"


def test_a_row_is_a_trained_detector_and_a_column_group_a_test_set():
    cards = [card_of(), card_of("ff++:c23", 0.9), card_of(seed=1, train_key="ccc"), card_of(backend="jax")]
    ((_, header, rows),) = board.tables(cards)
    assert header[:4] == ["detector", "backend", "train", "seed"]
    tests = [column.split()[0] for column in header if column.endswith("[95 % CI]")]
    assert tests == ["ff++:c23", "celebdf"]  # The set trained on comes first.
    assert [row[:4] for row in rows] == [
        ["meso4", "jax", "ff++:c23", "0"],
        ["meso4", "torch", "ff++:c23", "0"],
        ["meso4", "torch", "ff++:c23", "1"],
    ]
    assert rows[1][4:] == [
        *("0.900 [0.850, 0.950]", "0.120 [0.000, 0.300] (n 9)", "19/20"),
        *("0.750 [0.700, 0.800]", "0.120 [0.000, 0.300] (n 9)", "19/20"),
        *("100", "0.03 M", "aaa"),
    ]


def test_a_failed_cell_says_err_and_one_that_was_not_run_is_empty():
    ((_, header, rows),) = board.tables([card_of(), failed("dfd"), card_of("dfdc", seed=1, train_key="ccc")])
    dfd, dfdc = (header.index(f"{t} video AUC [95 % CI]") for t in ("dfd", "dfdc"))
    assert rows[0][dfd : dfd + 3] == ["ERR"] * 3
    assert rows[0][dfdc : dfdc + 3] == [""] * 3
    assert rows[1][dfd : dfd + 3] == [""] * 3


def test_a_row_of_failures_alone_knows_neither_speed_nor_size():
    ((_, _, rows),) = board.tables([failed()])
    assert rows[0][-3:-1] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (number(0.12, 0.04, 0.31, 9), "0.120 [0.040, 0.310] (n 9)"),
        (number(0.12, n=5), "0.120 (n 5)"),
        (number(None, n=0, note="fewer than two groups with 5 videos of each class"), "too few"),
        (None, "not annotated"),
    ],
)
def test_a_gap_never_comes_without_its_n(estimate, text):
    assert board.gap(estimate) == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (number(0.9312, 0.89, 0.965), "0.931 [0.890, 0.965]"),
        (number(0.5), "0.500"),
        (number(0.0, 0.0, 0.0), "0.000 [0.000, 0.000]"),
        (number(None, note="undefined (one class)"), "undefined (one class)"),
        (number(None), "undefined"),
    ],
)
def test_an_estimate_comes_with_its_interval_or_says_why_not(estimate, text):
    assert board.estimate(estimate) == text


def test_markdown_lists_every_command_once_and_explains_itself():
    other = card_of(seed=1, train_key="ccc", provenance={"command": "bench run --seed 1"})
    text = board.markdown([card_of(), card_of("dfdc"), other, failed("dfd")])
    commands = [line for line in text.splitlines() if line.startswith("- ")]
    assert commands == ["- aaa: `bench run --detector meso4`", "- ccc: `bench run --seed 1`"]
    for word in ("## real; 32 frames a video", "95 % interval", "at least 5", "ERR: the cell failed"):
        assert word in text


def test_the_csv_has_plain_numbers_and_a_row_a_card(tmp_path):
    _, path = board.write([card_of(), failed("dfd"), card_of("dfdc", limit=3)], tmp_path / "out")
    table = pd.read_csv(path)
    assert table["test"].tolist() == ["celebdf", "dfd", "dfdc"]
    assert table["status"].tolist() == ["done", "failed", "done"]
    assert table.loc[0, ["video.auc", "video.auc.lo", "video.auc.hi", "video.auc.n"]].tolist() == pytest.approx(
        [0.75, 0.7, 0.8, 20]
    )
    assert table.loc[0, f"{board.GAP}.n"] == 9
    assert (table.loc[0, "videos_scored"], table.loc[0, "videos_official"]) == (19, 20)
    assert table.loc[1, "error"] == "out of luck"
    assert pd.isna(table.loc[1, "video.auc"])
    assert pd.isna(table.loc[0, "limit"])
    assert table.loc[2, "limit"] == 3
    assert table.loc[0, "command"] == "bench run --detector meso4"


def put(path: Path, card: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card))


def test_collect_finds_cards_at_any_depth_and_nothing_else(tmp_path):
    put(tmp_path / "demo/meso4/run/test.a/scorecard.json", card_of("a"))
    put(tmp_path / "demo/meso4/run/test.b/failure.json", failed("b"))
    put(tmp_path / "theirs/scorecard.json", {"accuracy": 0.9})
    put(tmp_path / "predicted/scorecard.json", {**card_of(), "cell": {}})
    cards = board.collect(tmp_path)
    assert [(c["cell"]["test"], c["status"]) for c in cards] == [("a", "done"), ("b", "failed")]
    assert cards[0]["path"] == str(tmp_path / "demo/meso4/run/test.a")
    assert board.collect(tmp_path / "none") == []


def test_a_failure_beside_a_scorecard_does_not_hide_it(tmp_path):
    put(tmp_path / "test.a/scorecard.json", card_of("a"))
    put(tmp_path / "test.a/failure.json", failed("a"))
    cards = board.collect(tmp_path)
    assert [c["status"] for c in cards] == ["done"]
    assert "ERR |" not in board.markdown(cards)


def test_a_broken_card_is_named_in_one_line(tmp_path):
    (tmp_path / "scorecard.json").write_text('{"half')
    with pytest.raises(BenchError, match=r"scorecard\.json is not JSON .*Remove it and rerun") as error:
        board.collect(tmp_path)
    assert "\n" not in str(error.value)


def test_given_weights_are_marked():
    ((_, _, rows),) = board.tables([card_of(weights="given checkpoint")])
    assert rows[0][0] == "meso4 (given checkpoint)"


def test_a_failure_that_a_newer_run_mended_is_left_out(tmp_path):
    old, new = tmp_path / "a" / "failure.json", tmp_path / "b" / "scorecard.json"
    for path, card, when in ((old, failed(train_key="old"), 1000), (new, card_of(train_key="new"), 2000)):
        path.parent.mkdir()
        path.write_text(json.dumps(card))
        os.utime(path, (when, when))
    assert [c["status"] for c in board.collect(tmp_path)] == ["done"]
    os.utime(old, (3000, 3000))
    assert [c["status"] for c in board.collect(tmp_path)] == ["done", "failed"]


def test_of_two_scorecards_of_the_same_weights_the_newer_counts(tmp_path):
    for name, auc, when in (("a", 0.9, 1000), ("b", 0.6, 2000)):
        path = tmp_path / name / "scorecard.json"
        path.parent.mkdir()
        path.write_text(json.dumps(card_of(auc=auc, test_key=name)))
        os.utime(path, (when, when))
    assert [c["metrics"]["video.auc"]["value"] for c in board.collect(tmp_path)] == [0.6]


def test_a_foreign_card_is_named(tmp_path):
    (tmp_path / "scorecard.json").write_text(json.dumps({"kind": "scorecard", "cell": {"name": "x"}}))
    with pytest.raises(BenchError, match="has no backend, frames, limit"):
        board.collect(tmp_path)
