"""The command line: fast help, and a one-line error with exit code 2 for every mistake before any work starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.predictions import read_predictions

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
RUN = f"run --detector {quote(TOY)} --train ff++ --test celebdf"


def mistake(capsys: pytest.CaptureFixture[str], line: str, *more: object, **options: object) -> str:
    """Run a command, expect exit code 2, and return the one-line error."""
    assert bench(line, *more, **options) == 2
    return read_mistake(capsys)


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "run",
        "data",
        "data demo",
        "data check",
        "data prepare",
        "data import",
        "train",
        "predict",
        "score",
        "fairness",
        "fairness power",
        "fairness videos",
        "fairness export",
        "probe",
        "check",
        "leaderboard",
        "list",
        "info",
        "published",
        "completion",
    ],
)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as end:
        bench(f"{verb} --help")
    assert end.value.code == 0
    assert "usage: bench" in capsys.readouterr().out


def test_help_and_list_import_neither_torch_nor_jax():
    code = (
        "import sys\nfrom crossfake.benchmark.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'jax', 'pandas', 'cv2', 'pydantic', 'numpy'} & set(sys.modules)\nassert not heavy, heavy"
    )
    for line in ("--help", "run --help", "list", "list --json"):
        done = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_version(capsys):
    with pytest.raises(SystemExit):
        bench("--version")
    assert capsys.readouterr().out.startswith("crossfake 0.")


def test_list_json_is_for_tools(capsys):
    assert bench("list detectors --json") == 0
    names = {d["name"] for d in json.loads(capsys.readouterr().out)}
    assert {"caddm", "xception", "efficientnet-b4", "resnet34", "meso4", "timm"} <= names
    assert bench("list datasets --json") == 0
    names = {d["name"] for d in json.loads(capsys.readouterr().out)}
    assert names >= {"ff++", "dfd", "celebdf", "celebdf-v1", "dfdc", "dfdcp", "folder", "deepfakebench"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum", "Did you mean 'run'?"),
        ("run", "required: --detector, --train, --test"),
        (f"{RUN} --frobnicate", "unrecognized arguments: --frobnicate"),
        (f"{RUN} --dri-run", "Did you mean '--dry-run'?"),
        ("run --detector cadm --train ff++ --test dfd", "Did you mean 'caddm'?"),
        ("run --detector '' --train ff++ --test dfd", "--detector is empty"),
        (f"{RUN} --train ff+", "Did you mean 'ff++'?"),
        (f"{RUN} --test dfd,celebfd", "Did you mean 'celebdf'?"),
        (f"{RUN} --train ff++:c32", "has no compression 'c32'"),
        (f"{RUN} --backend torhc", "no backend named 'torhc'. Did you mean 'torch'?"),
        ("run --detector timm:resnet18 --train ff++ --test dfd --backend jax", "no backend 'jax'"),
        (f"{RUN} --engine inlin", "Did you mean 'inline'?"),
        (f"{RUN} --set train.epoch=3", "Did you mean 'train.epochs'?"),
        (f"{RUN} --config none.yaml", "no config file none.yaml"),
        (f"{RUN} --config caddm_referense", "Did you mean 'caddm_reference'?"),
        (f"{RUN} --seed one", "not a list of seeds"),
        (f"{RUN} --limit 0", "not an integer of at least 1"),
        (f"{RUN} --data /nowhere", "no folder /nowhere (from --data)"),
        (f"{RUN} --data demo:tny", "Did you mean 'tiny'?"),
        (f"{RUN} --data demo:tiny:x", "the seed 'x' is not a number"),
        (f"{RUN} --detector meso4 --checkpoint none.safetensors --data demo:tiny", "no checkpoint none"),
        ("run --detector meso4 --train dfd --test ff++", "dfd has no train split"),
        ("run --detector ./none.py:X --train ff++ --test dfd", "no file none.py"),
        (RUN.replace("Brightness", "Brihgtness"), "Did you mean 'Brightness'?"),
        ("data demo --size huge", "no size named 'huge'"),
        ("data demo --world leek", "Did you mean 'leak'?"),
        ("data", "say which: demo, check, prepare or import"),
        ("data prepare ff++ --split tset", "Did you mean 'test'?"),
        ("score none.csv", "no predictions none.csv"),
        ("leaderboard --runs /nowhere", "no scorecards below /nowhere"),
        ("predict --test dfd", "no detector named. Give --checkpoint FILE"),
    ],
)
def test_mistakes_are_one_line_errors(line, message, capsys):
    assert message in mistake(capsys, line)


def test_a_root_without_the_dataset_says_what_it_looked_for(tiny_world, tmp_path, capsys):
    shutil.copytree(tiny_world / "FaceForensics++", tmp_path / "FaceForensics++")
    line = mistake(capsys, RUN, data=tmp_path)
    for word in ("Celeb-DF", "looked for", "found FaceForensics++", "https://"):
        assert word in line


def test_one_class_is_refused_before_any_work(tiny_world, tmp_path, capsys):
    shutil.copytree(tiny_world, tmp_path / "world")
    listing = tmp_path / "world" / "Celeb-DF-v2" / "List_of_testing_videos.txt"
    listing.write_text("".join(line for line in listing.read_text().splitlines(True) if line.startswith("1 ")))
    line = mistake(capsys, RUN, data=tmp_path / "world", runs=tmp_path / "runs")
    assert "0 fake videos in its test split" in line
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_of_another_architecture_is_refused(tiny_world, tmp_path, capsys):
    pytest.importorskip("torch")
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    save(create("meso4", input_size=32), tmp_path / "meso.safetensors", {"detector": "meso4"})
    given = {"data": tiny_world, "checkpoint": tmp_path / "meso.safetensors"}
    asked = "run --detector resnet34 --train ff++ --test dfd --set options.pretrained=false"
    line = mistake(capsys, asked, **given)
    assert "is a checkpoint of meso4, not of resnet34. Use --detector meso4" in line
    line = mistake(capsys, "run --detector meso4 --train ff++ --test dfd --set options.input_size=64", **given)
    assert "fc1.weight, (16, 16) instead of (16, 64)" in line


def test_a_wrong_option_is_refused(tiny_world, capsys):
    pytest.importorskip("torch")
    line = mistake(capsys, "run --detector meso4 --train ff++ --test dfd --set options.imput_size=64", data=tiny_world)
    assert "Did you mean 'input_size'?" in line


def test_checkpoints_are_never_mislabelled(tiny_world, tmp_path, capsys):
    pytest.importorskip("torch")
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    path = tmp_path / "meso.safetensors"
    made_from = {"detector": "meso4", "options": {"input_size": 32}}
    asked = "run --detector meso4 --test dfd"
    given = {"checkpoint": path, "data": tiny_world}
    save(create("meso4", input_size=32), path, {**made_from, "trained_on": {"dataset": "ff++:c23", "world": "demo"}})
    line = mistake(capsys, f"{asked} --train celebdf", **given)
    assert "was trained on ff++:c23. Use --train ff++:c23" in line
    assert "so several seeds would give the same result" in mistake(capsys, f"{asked} --train ff++ --seed 0,1", **given)
    shutil.copytree(tiny_world / "FaceForensics++", tmp_path / "real" / "FaceForensics++")
    line = mistake(capsys, f"{asked} --train ff++", checkpoint=path, data=tmp_path / "real")
    assert "was trained on the demo world" in line


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("class X(:", "X", "can't be imported: SyntaxError"),
        ("import nowhere_at_all", "X", "can't be imported: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("class X:\n    def __init__(self, depth): ...\n    def score(self, f): ...", "X", "'depth'"),
        ("class X: ...", "X", "has no method score(frames)"),
    ],
)
def test_mistakes_in_a_users_file(code, name, message, tiny_world, tmp_path, capsys):
    (tmp_path / "own.py").write_text(code)
    asked = "run --train ff++ --test dfd --dry-run"
    assert message in mistake(capsys, asked, detector=f"{tmp_path / 'own.py'}:{name}", data=tiny_world)


def test_a_file_without_its_class_and_a_missing_package(capsys):
    line = mistake(capsys, "run --detector ./mine.py --train ff++ --test dfd")
    assert "name the class in it too, as ./mine.py:ClassName" in line
    assert "no module 'nosuch'" in mistake(capsys, "run --detector nosuch.mod:Thing --train ff++ --test dfd")


def test_unwritable_places_are_one_line_errors(tiny_world, tmp_path, capsys):
    (tmp_path / "afile").write_text("")
    assert "afile" in mistake(capsys, f"{RUN} --workers 0", data=tiny_world, runs=tmp_path / "afile")


def test_predict_needs_weights_and_a_split_with_videos(tiny_world, capsys):
    pytest.importorskip("torch")
    asked = "predict --detector meso4 --test dfd"
    assert "meso4 needs weights: --checkpoint FILE" in mistake(capsys, asked, data=tiny_world)
    assert "has no videos in its val split" in mistake(capsys, f"{asked} --split val", data=tiny_world)


def test_aliases_are_one_detector_and_one_dataset(tiny_world, capsys):
    asked = "run --train ff++ --test ff++,ffpp,ff++:c23 --dry-run"
    assert bench(asked, detector=f"{TOY},{TOY}", data=tiny_world) == 0
    assert capsys.readouterr().out.count("| to do") == 1


def test_an_edited_detector_reuses_no_scores_of_the_killed_one(tiny_world, tmp_path, monkeypatch):
    mine = tmp_path / "mine.py"
    code = (
        "import numpy as np\n"
        "class Mine:\n"
        "    calls = 0\n"
        "    def score(self, frames):\n"
        "        Mine.calls += 1\n"
        "        if Mine.calls > {calls}: raise KeyboardInterrupt\n"
        "        return np.full(len(frames), {score})\n"
    )
    asked = "predict --test dfdc --workers 0 --set faces.frames=4 --batch-size 4"
    given = {"detector": f"{mine}:Mine", "data": tiny_world, "out": tmp_path}
    monkeypatch.setattr("crossfake.benchmark.core.predictions.KEEP_EVERY", 0.0)
    mine.write_text(code.format(calls=2, score=0.25))
    assert bench(asked, **given) == 130
    assert len(list(tmp_path.glob(".*.unfinished.parquet"))) == 1
    mine.write_text(code.format(calls=99, score=0.75))
    assert bench(asked, **given) == 0
    (path,) = tmp_path.glob("*__dfdc.parquet")
    assert set(read_predictions(path)[0]["score"]) == {0.75}
    assert not list(tmp_path.glob(".*.unfinished.parquet"))


def test_a_shipped_recipe_is_found_by_its_name():
    from crossfake.benchmark.core.settings import load_settings

    named = load_settings("caddm", demo=False, config=Path("caddm_reference"))
    assert named == load_settings("caddm", demo=False, config=Path("configs/caddm_reference.yaml"))


def test_quiet_and_verbose(tmp_path, capsys):
    assert bench("data demo --size tinny --verbose") == 2
    assert "Traceback" in capsys.readouterr().err
    assert bench("score --quiet --verbose x.csv") == 2
    assert "not allowed with" in read_mistake(capsys)


def test_checking_no_entries_succeeds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bench("leaderboard --check") == 0
    assert "no entries" in capsys.readouterr().out
    assert bench("leaderboard --check elsewhere") == 2


def test_missing_weights_are_reported_before_the_detector_is_built(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("crossfake.benchmark.stages.detectors.create_from", lambda *_: pytest.fail("built"))
    (tmp_path / "x.jpg").write_bytes(b"")
    assert "caddm needs weights: --checkpoint FILE" in mistake(capsys, "predict --detector caddm", tmp_path / "x.jpg")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_command_says_so_in_one_line_and_leaves_nothing_half_written(
    number, code, tiny_world, tmp_path, capsys
):
    mine = tmp_path / "mine.py"
    mine.write_text(f"import os\nclass Mine:\n    def score(self, frames):\n        os.kill({os.getpid()}, {number})\n")
    before = signal.getsignal(number)
    given = {"detector": f"{mine}:Mine", "data": tiny_world, "out": tmp_path}
    assert bench("predict --test dfdc --workers 0 --set faces.frames=4", **given) == code
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "bench: stopped; finished work is kept, and the same command continues from there"
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {mine.name}
    assert signal.getsignal(number) is before


def test_after_nohup_a_closed_terminal_stops_nothing(tmp_path):
    code = """
import os, signal, sys
from crossfake.benchmark.cli import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with main._stop_on_signals():
    os.kill(os.getpid(), signal.SIGHUP)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
