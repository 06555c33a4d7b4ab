"""The board in the repository: README shows what `make board` wrote."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "leaderboards" / "demo.md"
START, END = "<!-- from leaderboards/demo.md -->", "<!-- end -->"


@pytest.fixture(scope="module")
def board() -> str:
    if not BOARD.is_file():
        pytest.skip("leaderboards/demo.md is not there yet: make board")
    return BOARD.read_text(encoding="utf-8")


def test_readme_shows_lines_of_the_board_unchanged(board):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count(START) == readme.count(END) == 1
    shown = [line for line in readme.split(START)[1].split(END)[0].splitlines() if line.strip()]
    assert len(shown) > 3, "a header, a rule and rows"
    assert not [line for line in shown if line not in board.splitlines()]


def test_the_board_has_every_detector_of_make_board_on_every_set(board):
    asked = re.search(r"^BOARD := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    overview = board.split("### ")[0]
    names = {line.split("|")[1].split(".")[0].strip() for line in overview.splitlines() if line.startswith("| ")}
    assert asked
    assert names - {"detector"} == set(asked[1].split(","))
    assert {"ff++:c23", "celebdf", "dfd:c23", "dfdc"} <= set(re.findall(r"^### (\S+)$", board, re.MULTILINE))
    assert "ERR |" not in overview
    assert "unknown" not in overview, "a speed"


def test_the_page_holds_the_same_numbers(board):
    page = unescape((BOARD.with_suffix(".html")).read_text(encoding="utf-8"))
    page = re.sub(r"<[^>]*>", "", page)
    found = re.findall(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", board)
    assert len(found) > 20
    assert not [number for number in found if number not in page]
