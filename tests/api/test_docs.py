"""The code in docs/api.md runs unchanged, and its table lists everything that `crossfake` exports."""

from __future__ import annotations

import re
from pathlib import Path

import crossfake

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_code_runs(tiny_world, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == 3
    first = blocks[0][blocks[0].index("class Brightness") : blocks[0].index("results =")]
    (tmp_path / "brightness.py").write_text(first, encoding="utf-8")
    space: dict = {"__name__": "docs"}
    for block in blocks:
        exec(compile(block.replace("data=", "workers=0, data="), str(PAGE), "exec"), space)
    table = space["results"].table()
    assert set(table["detector"]) == {"local/brightness", "local/function"}
    assert list(table) == ["detector", "train", "test", "seed", "metric", "value", "lo", "hi", "n"]
    assert (tmp_path / "board" / "leaderboard.html").is_file()
    assert "0.888" in capsys.readouterr().out


def test_the_table_lists_every_function():
    listed = set(re.findall(r"`(\w+)\(", PAGE.read_text(encoding="utf-8").partition("## The functions")[2]))
    exported = {name for name in crossfake.__all__ if name[0].islower()}
    assert listed == exported


def test_every_function_is_documented():
    for name in crossfake.__all__:
        assert getattr(crossfake, name).__doc__, name
