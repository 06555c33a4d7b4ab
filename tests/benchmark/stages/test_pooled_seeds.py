"""Seeds are pooled once; the stored result is used only for the same cards and predictions."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.predictions import read_predictions, write_predictions
from crossfake.benchmark.core.scorecard import Threshold
from crossfake.benchmark.core.storage import WriteError, cache_home
from crossfake.benchmark.stages import pooled_seeds
from crossfake.benchmark.stages.pooled_seeds import FOLDER, read_pooled
from crossfake.benchmark.stats.seed_pooling import pool_seeds
from crossfake.leaderboards.load import read_card


@pytest.fixture
def seeds(tmp_path, make, scored, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return write_seeds(tmp_path, make, scored)


def write_seeds(folder, make, scored):
    for seed in (0, 1):
        scored(folder / str(seed), make("celebdf", seed=seed, train_key=f"t{seed}", recipe_key="same"), seed)
    return [read_card(folder / str(seed) / "scorecard.json") for seed in (0, 1)]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory, make, scored):
    """The result of pooling `seeds`."""
    return pool_seeds(write_seeds(tmp_path_factory.mktemp("seeds"), make, scored))


@pytest.fixture
def pooling(pooled, monkeypatch):
    """Replace pooling by a counter that costs nothing."""
    calls = []
    monkeypatch.setattr(pooled_seeds, "pool_seeds", lambda cards: (calls.append(cards), pooled)[1])
    return calls


def list_files():
    return sorted((cache_home() / FOLDER).glob("*.json"))


def test_pooled_numbers_are_read_back_to_the_last_digit(seeds, pooled, monkeypatch):
    assert read_pooled(seeds) == pooled
    monkeypatch.setattr(pooled_seeds, "pool_seeds", lambda cards: pytest.fail("pooled again"))
    assert read_pooled(seeds) == pooled


def test_other_cards_predictions_or_code_are_pooled_again(seeds, pooling, monkeypatch):
    read_pooled(seeds)
    strict = seeds[0].model_copy(update={"threshold": Threshold(value=2.0, rule="no score is as high")})
    read_pooled([strict, seeds[1]])
    table, metadata = read_predictions(seeds[0].predictions_path)
    write_predictions(seeds[0].predictions_path, table.assign(score=1 - table["score"]), metadata)
    read_pooled(seeds)
    monkeypatch.setattr(pooled_seeds, "_hash_code", lambda: "other")
    for _ in range(2):
        read_pooled(seeds)
    assert pooling == [seeds, [strict, seeds[1]], seeds, seeds]
    assert len(list_files()) == 4


@pytest.mark.parametrize("content", ["{", "[1]", '{"metrics": {}}', '{"metrics": {"video.auc": 3}}'])
def test_a_damaged_file_is_remade_with_a_message(seeds, pooled, pooling, capsys, content):
    read_pooled(seeds)
    (path,) = list_files()
    path.write_text(content)
    assert read_pooled(seeds) == pooled
    assert pooling == [seeds, seeds]
    assert str(path) in capsys.readouterr().err
    assert read_pooled(seeds) == pooled
    assert pooling == [seeds, seeds]
    assert capsys.readouterr().err == ""


def test_one_seed_or_missing_predictions_leave_no_file(seeds):
    assert read_pooled(seeds[:1]).metrics == seeds[0].metrics
    seeds[1].predictions_path.unlink()
    assert read_pooled(seeds) == pool_seeds(seeds)
    assert list_files() == []


def test_a_cache_that_cannot_be_written_only_costs_time(seeds, pooled, pooling, monkeypatch):
    def refuse(path, content):
        raise WriteError(28, "No space left on device", str(path))

    monkeypatch.setattr(pooled_seeds, "write_json", refuse)
    assert read_pooled(seeds) == pooled
    assert read_pooled(seeds) == pooled
    assert pooling == [seeds, seeds]
