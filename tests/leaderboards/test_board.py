"""The four files of a board as other programs read them."""

from __future__ import annotations

import json
import re

import crossfake
import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.leaderboards import board
from crossfake.leaderboards.formats import format_estimate


def test_the_four_files_have_the_requested_names(tmp_path, make):
    paths = board.write([make()], tmp_path, "demo")
    assert [p.name for p in paths] == ["demo.md", "demo.csv", "demo.json", "demo.html"]
    assert all(p.stat().st_size > 100 for p in paths)


def test_the_csv_has_plain_numbers_and_one_row_per_card(tmp_path, make, make_failed):
    path = board.write([make(), make_failed("dfd"), make("dfdc", limit=3)], tmp_path / "out")[1]
    table = pd.read_csv(path)
    assert table["test"].tolist() == ["celebdf", "dfd", "dfdc"]
    assert table["status"].tolist() == ["done", "failed", "done"]
    assert table.loc[0, ["video.auc", "video.auc.lo", "video.auc.hi", "video.auc.n"]].tolist() == pytest.approx(
        [0.75, 0.7, 0.8, 20]
    )
    assert table.loc[0, "video.fairness.intersection.auc_gap.n"] == 9
    assert table.loc[0, ["videos_scored", "videos_official", "params", "flops"]].tolist() == [19, 20, 28e3, 2.5e9]
    assert "videos_several_people" in table
    assert table.loc[1, "error"] == "out of luck"
    assert pd.isna(table.loc[1, "video.auc"])
    assert pd.isna(table.loc[0, "limit"])
    assert table.loc[2, "limit"] == 3
    assert table.loc[0, "command"] == "bench run --detector meso4"


def test_the_json_has_what_the_tables_show(tmp_path, make, make_failed, make_speed):
    path = board.write([make("ff++:c23", 0.9), make(), make_failed("dfd")], tmp_path, speeds=[make_speed()])[2]
    content = json.loads(path.read_text())
    (table,) = content["tables"]
    (row,) = table["rows"]
    assert (content["kind"], table["protocol"], table["tests"]) == (
        "leaderboard",
        "real; 32 frames per video",
        ["ff++:c23", "celebdf", "dfd"],
    )
    assert (row["row"], row["seeds"], row["speeds"][0]["images_per_s"]) == ("rrr", [0], 100.0)
    assert row["results"]["celebdf"]["drop"]["value"] == pytest.approx(0.15)
    assert row["results"]["celebdf"]["metrics"]["video.auc"] == pytest.approx(
        {"value": 0.75, "lo": 0.7, "hi": 0.8, "n": 20}
    )
    assert row["results"]["dfd"] == {
        "status": "failed",
        "metrics": {},
        "groups": {},
        "group_tests": {},
        "method_groups": {},
        "drop": None,
        "worst_group": None,
        "coverage": [],
        "contaminated": [],
        "excluded": [],
        "best": False,
        "auc_of_all": None,
        "lost": [{"seed": 0, "status": "failed", "error": "out of luck"}],
    }


def test_the_csv_has_the_operating_point(tmp_path, make, make_failed):
    threshold = {"value": 0.41, "rule": "largest TPR - FPR on the source val split"}
    cards = [make(threshold=threshold, temperature=1.25), make("dfdc"), make_failed("dfd")]
    table = pd.read_csv(board.write(cards, tmp_path)[1])
    assert table["threshold"].tolist() == pytest.approx([0.41, 0.5, np.nan], nan_ok=True)
    assert table["temperature"].tolist() == pytest.approx([1.25, np.nan, np.nan], nan_ok=True)


def test_the_json_says_which_row_a_published_number_is_compared_with(tmp_path, make):
    path = board.write([make(name="xception", detector="xception", train="ff++:c23:4m")], tmp_path)[2]
    found = [r for r in json.loads(path.read_text())["tables"][0]["reported"] if r["ours"]]
    assert found
    assert {(r["row"], r["name"]) for r in found} == {("rrr", "xception")}


def test_a_groups_number_has_the_same_interval_everywhere(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    cards = [card for card in board.load_cards(runs) if card.status == "done"]
    md, _, data, html = (path.read_text() for path in board.write(cards, tmp_path))
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    rows = {row["row"]: row for t in json.loads(data)["tables"] for row in t["rows"]}
    assert len(cards) == 4
    for card, line in zip(cards, table.to_dict("records"), strict=True):
        summary = rows[card.cell.recipe_key]["results"][card.cell.test]["worst_group"]
        assert (summary["attribute"], summary["qualified"], summary["groups"]) == ("intersection", 4, 4)
        own = card.groups["intersection"][summary["group"]].video.auc
        assert [summary["worst"][end] for end in ("value", "lo", "hi")] == list(own[:3])
        assert card.metrics["video.fairness.intersection.worst_auc"][:3] == own[:3]
        of_line = [line[f"video.fairness.intersection.worst_auc{end}"] for end in ("", ".lo", ".hi")]
        assert of_line == pytest.approx(list(own[:3]))
        assert bench("show --all", card.folder) == 0
        shown = format_estimate(own)
        assert shown in capsys.readouterr().out
        assert f"{summary['group']} {shown} (n 5; 4 of 4 groups)" in md
        compared = crossfake.compare(card.folder, card.folder, draws=50)[0][card.cell.test]
        assert compared.a == compared.b == card.video.auc
        assert re.sub(r"<[^>]*>", "", html).count(shown) >= 2  # In the row and in the group's own.
