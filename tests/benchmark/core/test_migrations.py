"""Scorecards of every earlier schema can still be read; tests/data/scorecards has a real one of each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.migrations import MIGRATIONS, SCHEMA_VERSION, find_version
from crossfake.leaderboards import board

CARDS = Path(__file__).parents[2] / "data" / "scorecards"


def test_there_is_a_migration_and_a_card_of_every_earlier_version():
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))
    assert sorted(p.name for p in CARDS.glob("v*.json")) == [f"v{n}.json" for n in sorted(MIGRATIONS)]


@pytest.mark.parametrize("version", sorted(MIGRATIONS))
def test_an_old_card_is_shown_in_full(version, tmp_path):
    (tmp_path / "test.old").mkdir()
    shutil.copy(CARDS / f"v{version}.json", tmp_path / "test.old" / "scorecard.json")
    (card,) = board.load_cards(tmp_path)
    assert card.schema_version == SCHEMA_VERSION
    assert card.cell.recipe_key == card.cell.train_key == "90216cf963"
    assert "video.fairness.gender.f_fpr_range" in card.metrics
    md, csv, data, html = (p.read_text() for p in board.write([card], tmp_path / "out"))
    for text in (md, html):
        assert "meso4.small" in text
        assert "0.844" in text
    assert "0.84375" in csv
    assert json.loads(data)["tables"][0]["rows"][0]["results"]["ff++:c23"]["metrics"]["video.auc"]["value"] == 0.84375


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, None, "2"])
def test_a_later_schema_is_refused_by_name(version):
    with pytest.raises(BenchError, match=rf"card.json has schema version {version}; this crossfake reads 1 to"):
        find_version({"schema_version": version, "cell": {}}, "card.json")
