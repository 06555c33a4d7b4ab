"""`bench leaderboard`, `show`, `reproduce` and `submit` on the command line."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from shlex import join

import pytest
from command_line import bench, words

TOY = f"{Path(__file__).parents[1] / 'benchmark' / 'toy.py'}:Brightness"


@pytest.fixture(scope="module")
def toy_runs(tiny_world, tmp_path_factory) -> Path:
    """A run on the tiny demo world with a detector that needs no training."""
    runs = tmp_path_factory.mktemp("toy") / "runs"
    assert bench("run --train ff++ --test ff++,celebdf --workers 0", detector=TOY, data=tiny_world, runs=runs) == 0
    return runs


def key_of(runs: Path) -> str:
    return json.loads((runs / "leaderboard.json").read_text())["tables"][0]["rows"][0]["row"]


def test_a_run_ends_with_the_board_in_four_forms(toy_runs):
    assert sorted(p.name for p in toy_runs.glob("leaderboard.*")) == [
        f"leaderboard.{suffix}" for suffix in ("csv", "html", "json", "md")
    ]
    assert '<img src="data:image/jpeg;base64,' in (toy_runs / "leaderboard.html").read_text()


def test_leaderboard_writes_to_the_given_folder(toy_runs, tmp_path, capsys):
    assert bench("leaderboard --name demo", runs=toy_runs, out=tmp_path) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"demo.md", "demo.csv", "demo.json", "demo.html"}
    assert (tmp_path / "demo.md").read_text() in capsys.readouterr().out


def test_show_prints_every_number_of_a_run(toy_runs, capsys):
    card_path = next(toy_runs.rglob("test.celebdf*/scorecard.json"))
    card = json.loads(card_path.read_text())
    assert bench("show", card_path.parents[1]) == 0
    text = capsys.readouterr().out
    assert text.count("(any)  unknown -> ") == 2
    assert "female" not in text  # That group has too few videos for the summary.
    assert bench("show", card_path.parent, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["metrics"].keys() == card["metrics"].keys()
    assert bench("show", card["cell"]["train_key"], runs=toy_runs) == 0
    assert capsys.readouterr().out.count("(any)  unknown -> ") == 2
    assert bench("show --all", card_path.parent) == 0
    text = capsys.readouterr().out
    for name, e in card["metrics"].items():
        (line,) = [x for x in text.splitlines() if x.split()[:1] == [name]]
        assert e["value"] is None or f"{e['value']:.3f}" in line
    assert "female" in text
    assert "scored 5 of 5 videos" in " ".join(text.split())


def test_unreadable_scorecards_are_reported_with_what_is_wrong(tmp_path, capsys):
    (tmp_path / "scorecard.json").write_text("{")
    assert bench("leaderboard", runs=tmp_path) == 2
    assert "scorecard.json can't be read as JSON" in capsys.readouterr().err


def test_show_without_a_run_says_what_to_give(tmp_path, capsys):
    assert bench("show", tmp_path) == 2
    assert "no scorecards below" in capsys.readouterr().err
    (tmp_path / "predictions.parquet").write_bytes(b"\x90")
    assert bench("show", tmp_path / "predictions.parquet") == 2
    assert "predictions.parquet is not a scorecard" in (text := capsys.readouterr().err)
    assert "bench score" in text


def test_reproduce_gives_the_same_numbers(toy_runs, capsys):
    assert bench("reproduce --workers 0", key_of(toy_runs)[:6], runs=toy_runs) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|") and "identical" in line]
    assert [line.split("|")[1].strip() for line in lines] == ["celebdf", "ff++:c23"]
    assert all("| +0 " in line for line in lines)


def test_reproduce_exits_with_1_for_different_numbers(toy_runs, tmp_path, capsys):
    runs = Path(shutil.copytree(toy_runs, tmp_path / "runs"))
    path = next(runs.rglob("test.celebdf*/scorecard.json"))
    card = json.loads(path.read_text())
    card["metrics"]["video.auc"] = {"value": 0.01, "lo": 0.0, "hi": 0.02, "n": 5}
    path.write_text(json.dumps(card))
    assert bench("reproduce --workers 0", key_of(runs), runs=runs) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| celebdf ")]
    assert line.split("|")[-2].strip() == "different (the recorded AUC isn't what its predictions give)"


def test_reproduce_needs_a_row_and_a_command(toy_runs, tmp_path, capsys):
    assert bench("reproduce nothing", runs=toy_runs) == 2
    assert "no row 'nothing'" in capsys.readouterr().err
    runs = Path(shutil.copytree(toy_runs, tmp_path / "runs"))
    for command, problem in (
        ("bench train caddm --train ff++", "only bench run can be repeated"),
        ("bench run --detector meso4 --train ff++ --test celebdf", "its command runs meso4"),
        ("bench run --detector 'meso4", "command can't be read (No closing quotation)"),
    ):
        for path in runs.rglob("scorecard.json"):
            card = json.loads(path.read_text())
            card["provenance"]["command"] = command
            path.write_text(json.dumps(card))
        assert bench("reproduce", key_of(runs), runs=runs) == 2
        assert problem in capsys.readouterr().err


def rewrite_commands(toy_runs: Path, runs: Path, command: str) -> None:
    """Copy runs as if somebody else had made them and claimed that this command did."""
    shutil.copytree(toy_runs, runs, dirs_exist_ok=True)
    for path in runs.rglob("scorecard.json"):
        card = json.loads(path.read_text())
        card["provenance"]["command"] = command
        path.write_text(json.dumps(card))


def test_a_foreign_command_needs_confirmation(toy_runs, tiny_world, tmp_path, capsys, monkeypatch):
    options = f"--train ff++ --test ff++,celebdf --data {tiny_world}"
    rewrite_commands(toy_runs, tmp_path, f"bench run --detector caddm {options}")
    assert bench("reproduce", key_of(tmp_path), runs=tmp_path) == 2
    assert "its command runs caddm" in capsys.readouterr().err
    rewrite_commands(toy_runs, tmp_path, f"bench run --detector {TOY} {options} --batch-size 31")
    asked = join(words("reproduce --workers 0", key_of(tmp_path), runs=tmp_path, detector=TOY))
    assert bench(asked) == 2
    said = capsys.readouterr()
    assert f"command: bench run --detector {TOY}" in said.err
    assert "no terminal to ask. To run it: --yes" in said.err
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert bench(asked) == 2
    assert "nothing was run" in capsys.readouterr().err
    assert bench(f"{asked} --yes") == 0


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("--detector {evil}:Evil --train ff++ --test celebdf", "--detector FILE.py:CLASS"),
        ("--detector {module}:Evil --train ff++ --test celebdf", "--detector FILE.py:CLASS"),
        ("--detector meso4 --train ff++ --test {evil}:Evil", "--dataset"),
        ("--detector meso4 --train {evil}:Evil --test celebdf", "--dataset"),
    ],
)
def test_a_foreign_command_never_chooses_code(toy_runs, tmp_path, capsys, monkeypatch, words, advice):
    mark = tmp_path / "ran"
    (tmp_path / "evilmodule.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = "bench run " + words.format(evil=tmp_path / "evilmodule.py", module="evilmodule")
    rewrite_commands(toy_runs, tmp_path / "runs", command)
    assert bench("reproduce --yes", key_of(tmp_path / "runs"), runs=tmp_path / "runs") == 2
    text = capsys.readouterr().err
    assert "names code" in text
    assert advice in text
    assert not mark.exists()


def test_submit_and_check(toy_runs, tmp_path, capsys):
    run = next(toy_runs.rglob("provenance.json")).parent
    assert bench("submit", run, entries=tmp_path / "entries") == 0
    assert "next: bench leaderboard --check" in capsys.readouterr().out
    assert bench("leaderboard", check=tmp_path / "entries") == 0
    assert "entries: 2, problems: none" in capsys.readouterr().out
    path = next((tmp_path / "entries").rglob("*celebdf.json"))
    path.write_text(path.read_text().replace('"scored": 5', '"scored": 4'))
    assert bench("leaderboard", check=tmp_path / "entries") == 1
    assert "entries: 2, problems: 1" in capsys.readouterr().out
    assert bench("leaderboard", check=tmp_path / "none") == 2


def test_a_failed_training_skips_the_rows_other_cells(tiny_world, tmp_path, capsys):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "import numpy as np\n"
        "class Broken:\n"
        "    def score(self, frames):\n        return np.zeros(len(frames))\n"
        "    def training(self, *a):\n        raise RuntimeError('no memory')\n"
        "    def sampler(self):\n        return lambda sample, rng: {}\n"
        "    def state(self):\n        return {}\n"
        "    def load(self, source):\n        return self\n"
    )
    asked = "run --train ff++ --test ff++,celebdf --workers 0"
    assert bench(asked, detector=f"{plugin}:Broken", data=tiny_world, runs=tmp_path / "runs") == 1
    (row,) = json.loads((tmp_path / "runs/leaderboard.json").read_text())["tables"][0]["rows"]
    assert {t: r["status"] for t, r in row["results"].items()} == {"ff++:c23": "failed", "celebdf": "skipped"}
    text = (tmp_path / "runs/leaderboard.md").read_text()
    assert "| ERR " in text
    assert "| skipped " in text


def test_help_and_lists_do_not_load_the_board():
    import subprocess

    code = (
        "import sys; from crossfake.benchmark.cli.main import build_parser; build_parser()\n"
        "sys.exit(', '.join({'jinja2', 'cv2', 'pandas', 'rich'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
