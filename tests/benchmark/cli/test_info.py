"""`bench info`, `bench published` and `bench completion` list what is available, and start fast."""

from __future__ import annotations

import json

import pytest
from command_line import bench, read_mistake

MINE = """
class Mine:
    def __init__(self, depth: int = 3): ...
    def score(self, frames): ...
"""


def test_a_detectors_card_options_recipe_and_published_numbers(capsys):
    pytest.importorskip("torch")
    assert bench("info caddm") == 0
    told = capsys.readouterr().out
    for part in (
        "Implicit Identity Leakage",
        "licence: original: Apache-2.0",
        "backends: jax, torch",
        "options.input_size",
    ):
        assert part in told
    assert "lr: 0.00036" in told
    assert any("CADDM (EfficientNet-b4)" in line and "0.939" in line for line in told.splitlines())


def test_a_users_class_and_json(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    assert bench("info", f"{tmp_path / 'mine.py'}:Mine", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "local/mine"
    assert told["options"] == [["depth", "int", "3"]]
    assert told["published"] == []


def test_a_datasets_card(capsys):
    assert bench("info celeb-df") == 0
    told = capsys.readouterr().out
    assert told.startswith("celebdf: Celeb-DF v2\n")
    assert "options" not in told


def test_published_numbers_have_sources_and_years(capsys):
    assert bench("published caddm") == 0
    told = capsys.readouterr().out
    assert "- CADDM: megvii-research/CADDM README.md" in told
    assert bench("published --json xception") == 2
    assert "doesn't end in .json" in read_mistake(capsys)
    assert bench("published Xception --json") == 0
    lines = json.loads(capsys.readouterr().out)
    assert {line["detector"].lower() for line in lines} == {"xception"}
    assert {line["year"] for line in lines if line["source"] == "DeepfakeBench"} == {"2023"}
    assert bench("published celebdf") == 0
    assert "DeepfakeBench" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "says"),
    [("info cadm", "Did you mean 'caddm'?"), ("published sbii", "Did you mean 'sbi'?"), ("completion fish", "invalid")],
)
def test_unknown_names_are_a_one_line_error(line, says, capsys):
    assert bench(line) == 2
    assert says in read_mistake(capsys)


def test_completion_knows_verbs_and_options(capsys):
    assert bench("completion bash") == 0
    told = capsys.readouterr().out
    assert "--dry-run" in told
    assert "published" in told


def test_bench_alone_prints_help(capsys):
    assert bench("") == 0
    assert "usage: bench" in capsys.readouterr().out
