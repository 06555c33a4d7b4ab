"""Names from files are displayed safely on any stream: without terminal codes or spreadsheet formulas."""

from __future__ import annotations

import io
import json
import math
import sys

import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.core.display import (
    escape,
    escape_json,
    escape_line,
    escape_texts,
    format_csv,
    make_streams_lenient,
    neutralise_formula,
    restore_formula,
)
from crossfake.benchmark.core.progress import Reporter


def test_names_are_shown_without_terminal_codes():
    assert escape("a\x1b[2J\u202eb\x07\ud800\n\té") == "a\\x1b[2J\\u202eb\\x07\\ud800\n\té"


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-a", "@SUM(1)", "\tx", "\rx"])
def test_formulas_become_text(cell):
    assert neutralise_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-0.5", "+1e-3", "a=b", "", -1, 0.5, math.nan, None])
def test_numbers_and_names_stay(cell):
    assert neutralise_formula(cell) is cell


def test_a_formula_is_restored():
    assert restore_formula(str(neutralise_formula("=x.mp4"))) == "=x.mp4"
    assert restore_formula("'quoted'") == "'quoted'"


def test_a_csv_has_no_formula_and_no_terminal_code():
    table = pd.DataFrame({"=a": ["+1+1", "-0.5", "b\x1b[2J", None], "n": [-1.5, 2.0, 3.0, math.nan]})
    assert format_csv(table).splitlines() == ["'=a,n", "'+1+1,-1.5", "-0.5,2.0", "b\\x1b[2J,3.0", ","]
    whole = pd.DataFrame({"a": pd.array([1, None], "Int64")})
    assert format_csv(whole.convert_dtypes()) == whole.to_csv(index=False)


def test_a_csv_of_plain_values_is_what_pandas_writes():
    held = {"a": [0.1, None, 1e-7, -3e300], "b": [1, 2, -3, 10**15], "c": [True, False, True, True]}
    held |= {"d": [None, 'say "x", y', "two\nlines", ""], "e": [None, 2, 0.5, True], "f": [None] * 4}
    for table in (pd.DataFrame(held), pd.DataFrame({"d": held["d"]}), pd.DataFrame({"a": []})):
        assert format_csv(table) == table.to_csv(index=False)


def test_texts_are_escaped_at_any_depth():
    content, escaped = {"a\x1b": [{"b": "\x9b"}, 1, None]}, {"a\\x1b": [{"b": "\\x9b"}, 1, None]}
    assert escape_texts(content) == escaped
    for ascii_only in (True, False):
        assert escape_texts(content, json.dumps(content, ensure_ascii=ascii_only)) == escaped


@pytest.mark.parametrize("text", [*'\x1b\x7f\x85\u202e\r\b\f\x00\\"\né\U0001f600'])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_quick_check_of_json_misses_nothing_that_is_escaped(text, ascii_only):
    content = [f"a{text}u"]
    assert escape_texts(content, json.dumps(content, ensure_ascii=ascii_only)) == escape_texts(content)


def test_json_stays_json():
    text = json.dumps({"a": "\x9b é"}, ensure_ascii=False)
    assert "\x9b" not in escape_json(text)
    assert json.loads(escape_json(text)) == {"a": "\x9b é"}


def test_an_error_is_one_line():
    assert escape_line("no file a\nb\x1b[1m") == "no file a\\nb\\x1b[1m"


def test_an_ascii_terminal_gets_what_it_can_show(monkeypatch):
    stream = io.TextIOWrapper(buffer := io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    make_streams_lenient()
    print("AUC¹ é \udce9")
    stream.flush()
    assert buffer.getvalue() == b"AUC\\xb9 \\xe9 \\udce9\n"


def test_run_output_and_logs_have_no_terminal_codes(tmp_path, capsys):
    reporter = Reporter()
    reporter.log = tmp_path / "log.txt"
    reporter.say("training a\x1b[2J")
    assert "\x1b" not in capsys.readouterr().out + reporter.log.read_text()


@pytest.mark.parametrize("name", ["x\x1b[2J", "x\ny", "x\u202ey"])
def test_names_in_tables_and_errors_are_escaped(tmp_path, capsys, name):
    rows = [{"video": f"v{i}", "frame": 0, "label": i % 2, "score": i / 40, "method": name} for i in range(40)]
    path = tmp_path / "scores.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert bench("score --draws 10", path) == 0
    assert bench("score", tmp_path / f"{name}.csv") == 2
    said = capsys.readouterr()
    assert not any(c in said.out + said.err for c in "\x1b\u202e")
    assert len(said.err.splitlines()) == 1 + said.err.count("bench: note")
