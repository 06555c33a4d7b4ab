"""A board is rewritten exactly if it would change."""

from __future__ import annotations

import os

import pytest
from crossfake.leaderboards.written import find_fingerprint, list_outputs
from crossfake.scoring import leaderboard, refresh_leaderboard


@pytest.fixture
def board(make, save, tmp_path):
    save(tmp_path / "a/scorecard.json", make())
    save(tmp_path / "b/scorecard.json", {"kind": "scorecard"})
    return refresh_leaderboard(tmp_path)


def times(paths):
    return [path.stat().st_mtime_ns for path in paths]


def test_without_changes_the_board_is_kept_and_the_same_problems_are_reported(board, tmp_path):
    before = times(board[0])
    assert refresh_leaderboard(tmp_path) == board
    assert "b/scorecard.json" in board[1][0]
    assert times(board[0]) == before
    leaderboard(tmp_path)  # An explicit command always writes it.
    assert times(board[0]) != before


@pytest.mark.parametrize("change", ["another card", "a changed one", "one less", "a speed", "no page", "a broken note"])
def test_any_change_rewrites_the_board(board, make, make_speed, save, tmp_path, change):
    before = times(board[0])
    if change == "another card":
        save(tmp_path / "c/scorecard.json", make("dfdc"))
    elif change == "a changed one":
        os.utime(tmp_path / "a/scorecard.json", ns=(1, 1))
    elif change == "one less":
        (tmp_path / "b/scorecard.json").unlink()
    elif change == "a speed":
        make_speed().write(tmp_path)
    elif change == "no page":
        board[0][3].unlink()
    else:
        (tmp_path / ".leaderboard.written.json").write_text("[")
    refresh_leaderboard(tmp_path)
    assert times(board[0])[0] != before[0]


def test_code_and_files_count_as_changes_and_the_board_itself_does_not(board, tmp_path, monkeypatch):
    first = find_fingerprint(tmp_path, "leaderboard")
    assert find_fingerprint(tmp_path, "other") != first  # For a board of another name, this one's files are foreign.
    list_outputs(tmp_path, "leaderboard")[0].write_text("edited")
    assert find_fingerprint(tmp_path, "leaderboard") == first
    root = tmp_path.parent / f"{tmp_path.name}-code"
    for name in ("leaderboards", "benchmark/core", "benchmark/stats"):
        (root / name).mkdir(parents=True)
    monkeypatch.setattr("crossfake.leaderboards.written.ROOT", root)
    assert find_fingerprint(tmp_path, "leaderboard") != first


def test_a_board_written_elsewhere_leaves_no_note(board, tmp_path):
    leaderboard(tmp_path, tmp_path / "out", "demo")
    assert len(list((tmp_path / "out").iterdir())) == 4
