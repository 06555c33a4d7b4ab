"""`bench run` on the tiny demo world: from videos to a leaderboard, reusable, resumable and reproducible."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from command_line import bench, bench_with_cache, words
from crossfake.benchmark.cli.main import main
from crossfake.benchmark.core import storage
from crossfake.benchmark.core.owners import get_owner
from crossfake.benchmark.core.scorecard import SCHEMA_VERSION
from crossfake.benchmark.core.storage import WriteError
from crossfake.datasets.demo.world import GENERATOR_VERSION

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
QUICK = "--set options.input_size=32 --set train.epochs=2 --set train.steps_per_epoch=6"
MESO = f"run --detector meso4 --train ff++ --test celebdf {QUICK} --set score.draws=50"


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def toy_runs(tiny_world, tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("toy")
    asked = "run --train ff++ --test ff++,celebdf,dfd,dfdc --workers 0"
    assert bench(asked, detector=TOY, data=tiny_world, runs=runs) == 0
    return runs


def test_a_detector_is_a_class_with_score_and_nothing_else():
    lines = [line for line in (Path(__file__).parents[1] / "toy.py").read_text().splitlines() if line.strip()]
    assert len(lines) < 10


def test_every_test_set_gets_a_scorecard(toy_runs):
    cards = [json.loads(p.read_text()) for p in toy_runs.rglob("scorecard.json")]
    assert {c["cell"]["test"] for c in cards} == {"ff++:c23", "celebdf", "dfd:c23", "dfdc"}
    for card in cards:
        assert card["schema_version"] == SCHEMA_VERSION
        assert card["cell"]["world"] == "demo"
        assert card["metrics"]["video.auc"].keys() >= {"value", "lo", "hi", "n"}
        assert 0 <= card["metrics"]["video.auc"]["value"] <= 1
        assert card["coverage"]["scored"] == card["coverage"]["official"] == card["counts"]["videos"]
        assert {"gender", "race", "intersection"} == set(card["groups"])
        assert card["provenance"]["packages"]["numpy"]


def test_the_run_folder_documents_the_run(toy_runs):
    folder = only(toy_runs, "demo/local-toy.brightness/ff++-c23.seed0.*")
    assert {"config.yaml", "plan.json", "log.txt", "provenance.json", "val"} <= {p.name for p in folder.iterdir()}
    test = only(folder, "test.celebdf.*")
    predictions = {"predictions.parquet", "predictions.local.json", "video_scores.safetensors"}
    assert {p.name for p in test.iterdir()} == {*predictions, "scorecard.json"}
    table = pd.read_parquet(test / "predictions.parquet")
    assert {"video", "frame", "label", "method", "score", "gender", "race"} <= set(table.columns)
    assert json.loads((folder / "provenance.json").read_text())["seed"] == 0


def test_the_leaderboard_stamps_the_demo_and_reproduces(toy_runs):
    text = (toy_runs / "leaderboard.md").read_text()
    assert f"## Synthetic: demo tiny, seed 0, generator {GENERATOR_VERSION}; 4 frames per video" in text
    assert "bench " in text
    csv = pd.read_csv(toy_runs / "leaderboard.csv")
    assert len(csv) == 4
    assert csv["video.auc"].between(0, 1).all()
    known = csv.dropna(subset="video.auc.lo")  # With a single pair of people there is no interval.
    assert (known["video.auc.lo"] < known["video.auc.hi"]).all()


def test_a_second_run_reuses_everything(toy_runs, tiny_world, capsys):
    before = {p: p.stat().st_mtime_ns for p in toy_runs.rglob("predictions.parquet")}
    note = next(toy_runs.rglob("plan.json")).parent.parent / ".killed.owner"
    note.write_text(f"somebody\n{get_owner()._replace(token='00000000')}\n")
    storage._swept.clear()  # As in a new process.
    assert bench("run --train ff++ --test celebdf", detector=TOY, data=tiny_world, runs=toy_runs) == 0
    assert not note.exists()  # Left behind by a command that was killed at its end.
    assert ": reused" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in toy_runs.rglob("predictions.parquet")} == before


@pytest.mark.parametrize(("code", "ends"), [(errno.EROFS, 0), (errno.ENOSPC, 2)])
def test_complete_runs_are_read_from_a_read_only_place(toy_runs, tiny_world, capsys, monkeypatch, code, ends):
    def refuse(path, text):
        raise WriteError(code, os.strerror(code), str(path))

    (toy_runs / "leaderboard.md").unlink(missing_ok=True)  # Otherwise it wouldn't be rewritten.
    monkeypatch.setattr("crossfake.leaderboards.board.write_text", refuse)
    assert bench("run --train ff++ --test celebdf", detector=TOY, data=tiny_world, runs=toy_runs) == ends
    told = capsys.readouterr()
    assert f"leaderboard.md can't be written{' (Read-only' if ends == 0 else ': No space'}" in told.err
    assert "celebdf" in told.out
    assert ("run: " in told.out) == (ends == 0)


def test_the_first_line_names_the_world(toy_runs, tiny_world, tmp_path, capsys, monkeypatch):
    bench("run --train ff++ --test celebdf --data demo:tiny --dry-run", detector=TOY, runs=tmp_path)
    assert capsys.readouterr().err.splitlines()[0].startswith("world: demo (tiny, seed 0; as requested)")
    monkeypatch.setenv("BENCH_DATA", str(tiny_world))
    bench("run --train ff++ --test celebdf --dry-run", detector=TOY, runs=tmp_path)
    said = capsys.readouterr()
    assert said.err.splitlines()[0].startswith("world: demo tiny, seed 0")
    assert "to do" in said.out
    assert not list(tmp_path.iterdir())


def test_plan_lists_the_run_without_running_it(toy_runs, tiny_world, tmp_path, capsys):
    asked = "--train ff++ --test celebdf,dfd --seed 0,1"
    told = []
    for verb in ("plan", "run --dry-run"):
        assert bench(f"{verb} {asked}", detector=TOY, data=tiny_world, runs=toy_runs) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "faces to find: 0 videos" in told[0]
    assert bench(f"run --dry-run {asked} --part 2/2 --json", detector=TOY, data=tiny_world, runs=toy_runs) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(cell["test"], cell["seed"], cell["state"]) for cell in plan["cells"]] == [
        ("celebdf", 1, "to do"),
        ("dfd:c23", 1, "to do"),
    ]
    (group,) = plan["groups"]
    assert (group["seed"], group["cells"], group["to_do"]) == (1, 2, 2)
    assert group["images_per_s"] > 0  # Measured with seed 0.
    assert plan["faces"]["videos"] == 0
    assert bench(f"plan {asked} --part 3/4", detector=TOY, data=tiny_world, runs=tmp_path) == 2
    assert "this plan has 2 trainings, so --part 3/4 has nothing to do" in capsys.readouterr().err
    assert bench(f"run {asked} --json", detector=TOY, data=tiny_world, runs=toy_runs) == 2
    assert f"results are in {toy_runs / 'leaderboard.json'}" in capsys.readouterr().err


def test_an_exported_run_appears_on_another_machines_board(toy_runs, tiny_world, tmp_path, capsys):
    asked = f"run --train ff++ --test celebdf --export {tmp_path / 'a.zip'}"
    assert bench(asked, detector=TOY, data=tiny_world, runs=toy_runs) == 0
    assert f"files of 1 runs in {tmp_path / 'a.zip'}" in capsys.readouterr().out
    assert bench(f"leaderboard --add {tmp_path / 'a.zip'}", runs=tmp_path / "other") == 0
    theirs, ours = (pd.read_csv(folder / "leaderboard.csv") for folder in (tmp_path / "other", toy_runs))
    assert theirs["video.auc"].tolist() == ours["video.auc"].tolist()


def test_scores_are_restored_from_predictions_alone(toy_runs, tmp_path, capsys):
    folder = next(toy_runs.rglob("test.dfdc.*"))
    assert bench("score", folder, json=tmp_path / "card.json") == 0
    assert "video.auc" in capsys.readouterr().out
    again, first = (json.loads(p.read_text()) for p in (tmp_path / "card.json", folder / "scorecard.json"))
    assert again["metrics"] == first["metrics"]


def test_limit_is_marked_and_kept_apart(toy_runs, tiny_world, tmp_path):
    shutil.copytree(toy_runs, tmp_path / "runs")
    asked = "run --train ff++ --test ff++ --limit 2 --workers 0"
    assert bench(asked, detector=TOY, data=tiny_world, runs=tmp_path / "runs") == 0
    text = (tmp_path / "runs" / "leaderboard.md").read_text()
    assert text.count("\n## Synthetic: ") == 2
    assert "PARTIAL: at most 2 real and 2 fake videos per split" in text
    assert "<td>4/4</td>" in (tmp_path / "runs" / "leaderboard.html").read_text()


def test_an_unreadable_video_lowers_coverage_and_is_named(tiny_world, tmp_path, capsys):
    world = tmp_path / "world"
    shutil.copytree(tiny_world, world)
    broken = sorted((world / "DFDC" / "test").glob("*.mp4"))[0]
    broken.write_bytes(b"not a video")
    assert bench("run --train ff++ --test dfdc --workers 0", detector=TOY, data=world, runs=tmp_path / "runs") == 0
    card = json.loads(next((tmp_path / "runs").rglob("scorecard.json")).read_text())
    assert card["coverage"]["scored"] == card["coverage"]["official"] - 1
    assert [d["video"] for d in card["coverage"]["dropped"]] == [f"test/{broken.name}"]
    assert card["coverage"]["dropped"][0]["reason"].startswith("unreadable")
    assert f"not scored: test/{broken.name}" in capsys.readouterr().err
    table = pd.read_parquet(next((tmp_path / "runs").rglob("test.*/predictions.parquet")))
    assert f"test/{broken.name}" not in set(table["video"])


def test_a_failing_cell_stops_no_other(tiny_world, tmp_path):
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nclass Bad:\n    def score(self, frames):\n        return np.full(len(frames), np.nan)\n"
    )
    bad = f"{tmp_path / 'bad.py'}:Bad"
    asked = "run --train ff++ --test celebdf --workers 0"
    assert bench(asked, detector=f"{bad},{TOY}", data=tiny_world, runs=tmp_path / "runs") == 1
    failure = json.loads(next((tmp_path / "runs").rglob("failure.json")).read_text())
    assert "with NaN or infinity" in failure["error"]
    assert len(list((tmp_path / "runs").rglob("scorecard.json"))) == 1
    assert "ERR" in (tmp_path / "runs" / "leaderboard.md").read_text()


@pytest.fixture(scope="module")
def meso_runs(tiny_world, tmp_path_factory) -> Path:
    pytest.importorskip("torch")
    runs = tmp_path_factory.mktemp("meso")
    assert bench(f"{MESO} --workers 0", data=tiny_world, runs=runs) == 0
    return runs


def predictions(runs: Path) -> pd.DataFrame:
    return pd.read_parquet(only(runs, "demo/*/*/test.celebdf.*/predictions.parquet"))


def test_training_leaves_a_checkpoint_and_a_report(meso_runs):
    folder = only(meso_runs, "demo/meso4.small/ff++-c23.seed0.*")
    assert (folder / "checkpoint.safetensors").is_file()
    report = json.loads((folder / "training.json").read_text())
    assert report["selection"] == "source val"
    assert [e["epoch"] for e in report["epochs"]] == [1, 2]
    assert report["pairs"]["found"] > 0
    assert report["pairs"]["lost"] == 0
    assert not (folder / "training_state.npz").exists()
    card = json.loads(only(folder, "test.*/scorecard.json").read_text())
    assert "video.acc" in card["metrics"]
    assert card["threshold"]["rule"].endswith("on the source val split")


def test_a_run_records_what_it_was_computed_on(meso_runs, capsys):
    folder = only(meso_runs, "demo/meso4.small/ff++-c23.seed0.*")
    trained = json.loads((folder / "training.json").read_text())["device"]
    scored = json.loads(only(folder, "test.*/scorecard.json").read_text())["provenance"]["device"]
    for told in (trained, scored):
        assert told["name"]
        assert told["runtime"].startswith("torch ")
        assert told["precision"] == "fp32"
    assert (trained["layout"], trained["batch"]) == ("contiguous", 16)
    assert (scored["layout"], scored["batch"]) == ("channels-last", 32)
    assert json.loads((folder / "provenance.json").read_text())["device"] == scored
    local = json.loads(only(folder, "test.*/predictions.local.json").read_text())
    assert local["device"] == scored  # Predictions don't have it: equal runs write identical bytes.
    log = (folder / "log.txt").read_text()
    assert f"training on {trained['name']}" in log
    assert log.count(f"scoring on {scored['name']}") == 1
    assert bench(f"show {folder}") == 0
    assert f"scored on {scored['name']}" in " ".join(capsys.readouterr().out.split())


# tests/datasets/faces and tests/benchmark/stages show for each stage that workers don't change the results.
@pytest.mark.parametrize("how", [pytest.param("--workers 2", marks=pytest.mark.slow), "--workers 0 --batch-size 3"])
def test_same_seed_same_predictions_whatever_the_workers_and_batch(meso_runs, tiny_world, tmp_path, how):
    assert bench(f"{MESO} {how}", data=tiny_world, runs=tmp_path) == 0
    first, again = predictions(meso_runs), predictions(tmp_path)
    assert again.drop(columns="score").equals(first.drop(columns="score"))
    assert again["score"].to_numpy() == pytest.approx(first["score"].to_numpy(), abs=1e-5)


def test_a_finished_plan_imports_nothing_slow_and_leaves_the_board_unchanged(meso_runs, tiny_world, tmp_path):
    """Neither looking up cells nor speeds nor the work that is left needs a slow import."""
    before = {path: path.stat().st_mtime_ns for path in meso_runs.glob("leaderboard.*")}
    code = (
        "import sys\nfrom crossfake.benchmark.cli.main import main\nfrom crossfake.benchmark.stages import timing\n"
        "timing.SHORT = timing.Effort(0.01, 1)\nassert main(sys.argv[1:]) == main([*sys.argv[1:], '--dry-run']) == 0\n"
        "slow = {'torch', 'jax', 'timm', 'pandas', 'scipy.special'} & set(sys.modules)\nassert not slow, slow"
    )
    asked = words(f"{MESO} --workers 0", data=tiny_world, runs=meso_runs)
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ": reused" in done.stderr
    assert "speed on " in done.stdout
    assert len(before) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_seed_gives_other_predictions(meso_runs, tiny_world, tmp_path):
    assert bench(f"{MESO} --seed 1 --workers 0", data=tiny_world, runs=tmp_path) == 0
    assert abs(predictions(tmp_path)["score"] - predictions(meso_runs)["score"]).max() > 1e-4


def test_running_the_stages_separately_gives_the_same_predictions(meso_runs, tiny_world, tmp_path, capsys):
    assert bench("data prepare ff++,celebdf --detector meso4", data=tiny_world) == 0
    assert bench(f"train meso4 --train ff++ --workers 0 {QUICK}", data=tiny_world, runs=tmp_path) == 0
    checkpoint = only(tmp_path, "demo/*/*/checkpoint.safetensors")
    assert str(checkpoint) in capsys.readouterr().out
    assert bench("predict --test celebdf --workers 0", checkpoint=checkpoint, data=tiny_world, out=tmp_path) == 0
    table = pd.read_parquet(tmp_path / "meso4__celebdf.parquet")
    assert table["score"].to_numpy() == pytest.approx(predictions(meso_runs)["score"].to_numpy(), abs=1e-5)
    assert bench("score", tmp_path / "meso4__celebdf.parquet") == 0


def test_a_given_checkpoint_replaces_training(meso_runs, tiny_world, tmp_path):
    checkpoint = only(meso_runs, "demo/*/*/checkpoint.safetensors")
    asked = "run --detector meso4 --train ff++ --test celebdf --workers 0"
    assert bench(asked, data=tiny_world, runs=tmp_path, checkpoint=checkpoint) == 0
    assert predictions(tmp_path)["score"].to_numpy() == pytest.approx(predictions(meso_runs)["score"], abs=1e-5)
    card = json.loads(next(tmp_path.rglob("scorecard.json")).read_text())
    assert card["cell"]["weights"] == "given checkpoint"


MOMENTS = ("*.arrow", "training_state.npz", "val/predictions.parquet")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_gives_the_same_result(meso_runs, tiny_world, tmp_path):
    """SIGKILL once there are faces, half a training, validation scores; each run continues where the last one ended."""
    context = multiprocessing.get_context("forkserver")  # Imports that take seconds are done once.
    context.set_forkserver_preload(["torch", "cv2", "pandas", "scipy.stats", "sklearn.metrics", main.__module__])
    asked = words(f"{MESO} --workers 0", data=tiny_world, runs=tmp_path / "runs")
    for moment in (*MOMENTS, None):
        process = context.Process(target=bench_with_cache, args=(str(tmp_path / "cache"), asked))
        process.start()
        while moment and process.is_alive() and not any(tmp_path.rglob(moment)):
            time.sleep(0.005)
        if moment:
            process.kill()
        process.join()
        assert process.exitcode == (-signal.SIGKILL if moment else 0), moment
    assert predictions(tmp_path / "runs")["score"].to_numpy() == pytest.approx(
        predictions(meso_runs)["score"].to_numpy(), abs=1e-5
    )
    assert not list((tmp_path / "runs").rglob("*training_state*"))
    for path in (tmp_path / "runs").rglob("[!.]*.json"):
        json.loads(path.read_text())
