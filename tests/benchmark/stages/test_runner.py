"""Detectors with only some abilities: the possible work is done, and the rest is reported."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.migrations import SCHEMA_VERSION
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.provenance import Provenance
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.storage import write_json
from crossfake.benchmark.core.types import LostFrame, PrepareResult
from crossfake.benchmark.stages.contamination import fingerprint_videos
from crossfake.benchmark.stages.exclude_list import read_exclude_list
from crossfake.benchmark.stages.pace import Pace
from crossfake.benchmark.stages.runner import RunOptions, Stages, read_finished, run, settle_key, train_cell
from crossfake.datasets.faces.lost import note_lost
from safetensors.numpy import save_file

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
STUDENT = """
class Mine:
    def score(self, frames): ...
    def load(self, source): return self
    def state(self): return {}
    def sampler(self): ...
    def training(self, settings, total_steps, steps_per_epoch): ...
"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "can't be trained: it has no method training(settings, ...)"),
        ("--checkpoint weights.pkl", "can't load a checkpoint: it has no method load(weights)"),
    ],
)
def test_an_untrainable_detector_is_refused_before_data_is_loaded(more, says, tmp_path, capsys):
    assert bench(f"train --train ff++ {more}", TOY, data=tmp_path / "nowhere") == 2
    assert says in capsys.readouterr().err


def test_training_looks_at_no_test_split(tiny_world, tmp_path, capsys, monkeypatch):
    world = tmp_path / "world"
    shutil.copytree(tiny_world / "FaceForensics++", world / "FaceForensics++")
    for pair in json.loads(next(world.rglob("test.json")).read_text()):
        for clip in pair:
            for path in world.rglob(f"{clip}*.mp4"):
                path.unlink()
    (tmp_path / "mine.py").write_text(STUDENT)
    monkeypatch.setattr("crossfake.benchmark.stages.runner.train_cell", lambda cell, options: f"trained {cell.name}")
    assert bench("train --train ff++", f"{tmp_path / 'mine.py'}:Mine", data=world) == 0
    assert capsys.readouterr().out == "trained local/mine\n"


def test_an_untrainable_detector_from_a_function_is_refused_later(planned, tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    def score(self, f): ...\ndef make():\n    return Mine()\n")
    cell = planned.cell(entry=detectors.find(f"{tmp_path / 'mine.py'}:make"), runs=tmp_path / "runs")
    with pytest.raises(BenchError, match=r"has no method training\(settings, total_steps, steps_per_epoch\)"):
        train_cell(cell, RunOptions(Reporter(quiet=True)))


def test_weights_that_cannot_be_written_back_are_still_used(tiny_world, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    def load(self, path): self.bias = float(path.read_text())\n"
        "    def score(self, frames): return np.full(len(frames), self.bias)\n"
    )
    (tmp_path / "weights.txt").write_text("0.25")
    mine = {"detector": f"{tmp_path / 'mine.py'}:Mine", "checkpoint": tmp_path / "weights.txt"}
    asked = "run --train ff++ --test dfdc --workers 0"
    assert bench(asked, **mine, data=tiny_world, runs=tmp_path / "runs") == 0
    card = json.loads(next((tmp_path / "runs").rglob("scorecard.json")).read_text())
    assert card["cell"]["weights"] == "given checkpoint"
    assert card["metrics"]["video.auc"]["value"] == 0.5
    assert card["threshold"]["value"] == 0.25


def test_damaged_predictions_and_scorecards_are_remade(tiny_world, tmp_path, capsys):
    asked, where = "run --train ff++ --test dfdc --workers 0", {"data": tiny_world, "runs": tmp_path / "runs"}
    assert bench(asked, detector=TOY, **where) == 0
    card, files = next(tmp_path.rglob("scorecard.json")), sorted(tmp_path.rglob("predictions.parquet"))
    before, predicted = json.loads(card.read_text()), [path.read_bytes() for path in files]
    assert len(files) == 2
    for path in files:
        path.write_bytes(path.read_bytes()[:-100])
    for content in ("[]", "{", json.dumps({**before, "metrics": 3})):
        card.write_text(content)
        capsys.readouterr()
        assert bench(asked, detector=TOY, **where) == 0
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.endswith(": recomputed") for line in lines) == (2 if content == "[]" else 0)
        assert [line for line in lines if line.endswith("It is recomputed") and str(card) in line]
        after = json.loads(card.read_text())
        assert after["metrics"] == before["metrics"]
    assert [path.read_bytes() for path in files] == predicted


@pytest.mark.parametrize("content", [b"", bytes(100), b"junk" * 20])
@pytest.mark.parametrize(("given", "remedy"), [(False, "trained"), (True, "copied")])
def test_a_damaged_checkpoint_of_a_run_says_what_to_remove(planned, tmp_path, content, given, remedy):
    pytest.importorskip("torch")
    (tmp_path / "given.safetensors").write_bytes(b"anything")
    cell = planned.cell(runs=tmp_path / "runs", checkpoint=tmp_path / "given.safetensors" if given else None)
    checkpoint = cell.folder / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(content)
    with pytest.raises(BenchError) as raised:
        Stages(cell, RunOptions(Reporter(quiet=True))).load_or_train()
    assert str(raised.value).endswith(f". Remove {checkpoint} and repeat the command: it is {remedy} again")
    assert "\n" not in str(raised.value)


def test_weights_trained_on_damaged_frames_belong_to_another_run(planned, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    cell, lost = planned.cell(entry=detectors.find("meso4"), runs=tmp_path / "runs"), [LostFrame(7, "damaged")]
    whole, folder = cell.train_key, cell.train.store_folder(cell.settings.faces)

    def prepare(self, *_) -> None:
        videos = ("real/train.mp4", "real/test.mp4")
        note_lost(folder, {v: PrepareResult(v, "ok", 4, lost=tuple(lost)) for v in videos})

    monkeypatch.setattr("crossfake.benchmark.stages.sources.DataSource.prepare", prepare)
    assert settle_key(cell, RunOptions(Reporter()))
    damaged = cell.train_key
    assert damaged != whole
    assert capsys.readouterr().out == f"some training frames are lost, so this is a different run: {cell.folder}\n"
    assert not settle_key(cell, RunOptions(Reporter(quiet=True)))
    lost.append(LostFrame(9, "damaged"))
    assert settle_key(cell, RunOptions(Reporter(quiet=True)))
    assert cell.train_key not in (damaged, whole)
    lost.clear()  # The fault is fixed.
    assert settle_key(cell, RunOptions(Reporter(quiet=True)))
    assert cell.train_key == whole


def test_lost_test_frames_do_not_change_the_weights(planned, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    cell = planned.cell(runs=tmp_path / "runs")
    before, folder = cell.train_key, cell.train.store_folder(cell.settings.faces)
    note_lost(folder, {"real/test.mp4": PrepareResult("real/test.mp4", "ok", 4, lost=(LostFrame(7, "damaged"),))})
    assert cell.train_key == before


def test_a_crash_is_recorded_with_its_kind_and_costs_one_cell(planned, tmp_path, monkeypatch):
    def crash(self) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("crossfake.benchmark.stages.runner.Stages.fit_operating_point", crash)
    cell = planned.cell(runs=tmp_path / "runs")
    (result,) = run([cell], RunOptions(Reporter(quiet=True)))
    assert (result.status, result.error) == ("failed", "RuntimeError: boom")
    assert json.loads((cell.test_folder / "failure.json").read_text())["error"] == "RuntimeError: boom"
    assert "Traceback" in (cell.folder / "log.txt").read_text()


def test_no_threshold_is_set_on_a_single_remaining_class(planned, tmp_path, monkeypatch):
    cell = planned.cell(runs=tmp_path / "runs")
    table = pd.DataFrame({"video": ["a", "b"], "frame": 0, "label": 1, "score": [0.2, 0.9]})
    write_predictions(tmp_path / "val.parquet", table, PredictionsMetadata())
    monkeypatch.setattr(Stages, "predict_split", lambda *_: tmp_path / "val.parquet")
    assert Stages(cell, RunOptions(Reporter(quiet=True))).fit_operating_point() == (None, None, None)
    write_predictions(tmp_path / "val.parquet", table.assign(label=[0, 1]), PredictionsMetadata())
    assert Stages(cell, RunOptions(Reporter(quiet=True))).fit_operating_point()[0] == pytest.approx(0.55)


def test_a_card_is_reused_only_with_the_same_schema_and_score_settings(planned, make, tmp_path):
    cell = planned.cell(runs=tmp_path)
    assert read_finished(cell) is None
    card = make().to_json() | {"score": cell.settings.score.model_dump()}
    others = ({"schema_version": 0}, {"schema_version": SCHEMA_VERSION - 1}, {"score": {"draws": 3}}, {"metrics": 1})
    for changes, reused in (({}, True), *((changes, False) for changes in others)):
        write_json(cell.test_folder / "scorecard.json", card | changes)
        assert (read_finished(cell) is not None) == reused


def test_provenance_is_looked_up_once_per_run(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "crossfake.benchmark.stages.runner.collect_provenance",
        lambda command: asked.append(command) or Provenance(command=command, python="3"),
    )
    monkeypatch.setattr("crossfake.benchmark.stages.runner.describe_time", iter(["2026-01-01", "2026-01-02"]).__next__)
    options = RunOptions(Reporter(quiet=True), command="bench run")
    assert [options.make_provenance().time for _ in range(2)] == ["2026-01-01", "2026-01-02"]
    assert asked == ["bench run"]


def test_the_log_is_released_after_training_failed(planned, tmp_path, monkeypatch):
    def crash(self) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("crossfake.benchmark.stages.runner.Stages.load_or_train", crash)
    options = RunOptions(Reporter(quiet=True))
    with pytest.raises(RuntimeError, match="boom"):
        train_cell(planned.cell(runs=tmp_path), options)
    assert options.reporter.log is None


def test_a_test_set_that_shares_videos_with_the_training_is_marked(planned, tmp_path, capsys):
    cell = planned.cell(runs=tmp_path)
    stages, path = Stages(cell, RunOptions(Reporter())), cell.folder / "checkpoint.safetensors"
    told = stages.describe()
    assert (told.weights, told.train, told.training_videos) == (
        "its own",
        "unknown",
        "unknown",
    )  # It has no checkpoint.
    path.parent.mkdir(parents=True, exist_ok=True)
    for trained_on, shared in (
        ({}, None),
        ({"videos": "0" * 16}, 0),
        ({"videos": fingerprint_videos(planned.videos)}, 2),
    ):
        header = json.dumps({"detector": "meso4", "trained_on": {"dataset": "ff++:c23", **trained_on}})
        save_file({"w": np.zeros(1, np.float32)}, path, metadata={"crossfake": header})
        told = stages.describe()
        assert (told.contaminated, told.training_videos == "unknown") == (shared, shared is None)
    said, names = capsys.readouterr().out, cell.test_folder / "contaminated.txt"
    assert "contaminated: meso4 was trained on 2 test videos of celebdf, first: real/test.mp4." in said
    assert f"--exclude {names}" in said
    left = replace(cell.test, excluded=read_exclude_list(names))
    assert left.split("test") == []


def test_the_time_left_counts_trainings_and_what_uses_them(planned):
    cells = [planned.cell(seed=seed, test=planned.source(name, "")) for seed in (0, 1) for name in ("celebdf", "dfdc")]
    pace = Pace()
    assert pace.tell(cells) == ""
    pace.add(cells[0], 600)
    assert pace.tell(cells[1:]) == ""  # The time of a test without training isn't known yet.
    pace.add(cells[1], 60)
    assert pace.tell(cells[2:]) == ", about 11 min left"
    pace.add(cells[2], 600)
    assert pace.tell(cells[3:]) == ", about 1 min left"
