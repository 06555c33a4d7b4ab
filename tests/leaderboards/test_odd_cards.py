"""Invalid cards and damaged predictions are reported by name, and the board shows all others."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path

import pytest
from command_line import bench

ODD = [5, -1, 1e308, 10**30, True, None, "", "x", "\x1b[2J", [], [[]], ["x"], [[0, 0, 1]], {}, {"a": {"b": 1}}]
ODD += [{"value": 0.5, "lo": None, "hi": 0.7, "n": 3}, {"value": None, "lo": 0.1, "hi": 0.2, "n": 0}]


@pytest.fixture
def board(runs, tmp_path) -> Path:
    """A folder with two valid runs, one of which the test may damage."""
    shutil.copytree(runs / "0/test.0", tmp_path / "sound/test.x")
    shutil.copytree(runs / "0/test.1", tmp_path / "odd/test.x")
    return tmp_path


def spoil(card: dict, rng: random.Random) -> dict:
    """Delete, replace or copy a value at any place of a card."""
    card = copy.deepcopy(card)
    holder, key = card, rng.choice(list(card))
    while holder[key] and isinstance(holder[key], dict | list) and rng.random() < 0.7:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if rng.random() < 0.3:
        del holder[key]
    elif rng.random() < 0.3 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    return card


@pytest.mark.parametrize(("seed", "count"), [(0, 12), pytest.param(1, 100, marks=pytest.mark.slow)])
def test_no_odd_card_breaks_the_board(board, capsys, seed, count):
    rng, path = random.Random(seed), board / "odd/test.x/scorecard.json"
    (board / "odd/test.x/predictions.parquet").unlink()
    sound = json.loads(path.read_text())
    for _ in range(count):
        path.write_text(json.dumps(spoil(sound, rng)))
        code = bench("leaderboard", runs=board)
        shown = capsys.readouterr()
        assert code == 0 or f"left out: {path}" in shown.err
        assert "meso4" in shown.out
        assert bench("show", board / "odd") in (0, 2)


@pytest.mark.parametrize(
    ("place", "value", "flaw"),
    [
        (("curves", "roc"), [[0, 0, 1]], "curves.roc.0"),
        (("curves", "roc"), 5, "curves.roc"),
        (("curves", "histogram"), 1, "curves.histogram"),
        (("curves", "reliability"), [[0.1]], "curves.reliability.0"),
        (("groups",), {"gender": {"male": {}}}, "groups.gender.male"),
        (("methods",), {"Swap": 1}, "methods.Swap"),
    ],
)
def test_the_place_of_a_flaw_is_reported(board, capsys, place, value, flaw):
    path = board / "odd/test.x/scorecard.json"
    card = json.loads(path.read_text())
    holder = card
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    path.write_text(json.dumps(card))
    assert bench("leaderboard", runs=board) == 1
    assert f"left out: {path}: {flaw}" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_a_board_is_made_without_predictions_that_cannot_be_read(board, capsys, content):
    path = board / "odd/test.x/predictions.parquet"
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    assert bench("leaderboard", runs=board) == 0
    assert f"left out: {path} can't be read as a table" in capsys.readouterr().err
    assert (board / "leaderboard.html").is_file()
