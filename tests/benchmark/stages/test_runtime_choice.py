"""The agreement rule and `--runtime auto`: how a runtime is chosen, how often, and what the row says about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.cell_description import RuntimeUse
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.stages import runtime_choice
from crossfake.benchmark.stages.detectors import DetectorRequest, load_detector
from crossfake.benchmark.stages.runtime_choice import Speed, compare_scores, measure_speeds
from crossfake.benchmark.stages.runtime_records import Choice, read_choice, write_choice
from crossfake.detectors.runtimes import DEFAULT, Way

BF16, FAST, NEAR = Way("torch", "bf16"), Way("openvino", "fp32"), Way("onnxruntime", "fp32")
MINE = """
import numpy as np
MOVED = {("openvino", "fp32"): 0.001, ("onnxruntime", "fp32"): 0.00002, ("torch", "bf16"): 0.01}
class Mine:
    runtime, precision, compile_seconds, moved = "torch", "fp32", 0.0, 0.0
    def score(self, frames):
        return np.clip(frames.mean((1, 2, 3)) / 260 + self.moved, 0, 1)
    def find_obstacle(self, runtime, precision):
        return "" if (runtime, precision) in MOVED else "no such way here"
    def use_runtime(self, runtime, precision):
        self.runtime, self.precision, self.moved = runtime, precision, MOVED.get((runtime, precision), 0.0)
        self.compile_seconds += 2.0
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("crossfake.detectors.runtimes.find_package", lambda name: name)
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path / 'mine.py'}:Mine"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[Way, Speed]:
    """The assumed measurements: 10 ms per image with torch, 2 to 5 ms in other runtimes, which take 0.1 s to start."""
    told = {DEFAULT: Speed(0.01, 0.0), NEAR: Speed(0.005, 0.1), FAST: Speed(0.002, 0.1), BF16: Speed(0.001, 0.1)}
    calls = []

    def measure(detector, ways, crops):
        assert crops.dtype == np.uint8
        calls.append(ways)
        return {way: told[way] for way in (DEFAULT, *ways)}

    monkeypatch.setattr(runtime_choice, "measure_speeds", measure)
    monkeypatch.setattr(runtime_choice, "calls", calls, raising=False)
    return told


def run(mine: str, world: Path, runs: Path, options: str = "") -> int:
    return bench(f"run --train ff++ --test ff++ --workers 0 --no-speed {options}", detector=mine, data=world, runs=runs)


def read_cards(runs: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(runs.rglob("scorecard.json"))]


def test_auto_picks_the_fastest_runtime_that_agrees_once_and_the_row_says_so(
    mine, speeds, tiny_world, tmp_path, capsys
):
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime auto") == 0
    (card,) = read_cards(tmp_path / "runs")
    use = card["cell"]["runtime"]
    assert (use["runtime"], use["precision"], use["asked"]) == ("onnxruntime", "fp32", "auto fp32")
    assert use["score_shift"] == pytest.approx(2e-5, rel=0.1)
    assert (use["auc_shift"], use["speedup"], use["start_s"]) == (0, 2, 0.1)
    assert use["frames"] > 0
    told = capsys.readouterr().err
    assert "not scored with openvino fp32" in told
    assert "scores by 0.001 (less than 0.0001)" in told
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime auto") == 0
    assert "reused" in capsys.readouterr().err
    assert len(runtime_choice.calls) == 1
    assert len(read_cards(tmp_path / "runs")) == 1
    # Requested by name it gives the same row, with a threshold from the same runtime's validation scores.
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime onnxruntime") == 0
    assert len(read_cards(tmp_path / "runs")) == 1
    assert len(list((tmp_path / "runs").rglob("val.onnxruntime.fp32"))) == 1


def test_auto_stays_with_torch_and_its_key_for_few_images(mine, speeds, tiny_world, tmp_path, capsys):
    speeds[NEAR], speeds[FAST] = Speed(0.005, 1e4), Speed(0.002, 1e4)
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime auto") == 0
    assert "openvino fp32 is faster only from 1,250,000 images" in capsys.readouterr().err
    assert run(mine, tiny_world, tmp_path / "runs") == 0
    assert "reused" in capsys.readouterr().err
    assert not list((tmp_path / "runs").rglob("val.*"))


def test_bf16_is_used_only_if_requested_and_within_the_rule(mine, speeds, tiny_world, tmp_path):
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime auto --precision auto") == 0
    (card,) = read_cards(tmp_path / "runs")
    assert card["cell"]["runtime"]["precision"] == "bf16"
    assert card["cell"]["runtime"]["score_shift"] == pytest.approx(0.01, rel=0.01)


def test_a_runtime_that_breaks_the_rule_gives_a_reason_and_no_row(mine, tiny_world, tmp_path, capsys):
    assert run(mine, tiny_world, tmp_path / "runs", "--runtime openvino") == 1
    assert not read_cards(tmp_path / "runs")
    (failure,) = (json.loads(p.read_text()) for p in (tmp_path / "runs").rglob("failure.json"))
    assert "openvino fp32 differs too much from torch fp32 on ff++:c23 val" in failure["error"]
    assert failure["error"].endswith("Use --runtime torch --precision fp32")


def test_without_source_validation_bf16_gives_no_row_and_auto_is_torch(mine, tiny_world, tmp_path, capsys):
    evaluate = f"eval {mine} --test ff++ --workers 0 --no-speed --data {tiny_world} --runs {tmp_path / 'runs'}"
    assert bench(f"{evaluate} --precision bf16") == 1
    assert "Name one with --val DATASET" in capsys.readouterr().err
    assert bench(f"{evaluate} --runtime auto") == 0
    (card,) = read_cards(tmp_path / "runs")
    assert card["cell"]["runtime"].get("runtime", "") in ("", "torch")


@pytest.mark.parametrize(("options", "told"), [("--runtime tensorrt", "runtime"), ("--precision fp8", "precision")])
def test_unknown_names_are_refused_before_any_work(options, told, mine, tmp_path, capsys):
    assert run(mine, tmp_path / "nowhere", tmp_path, options) == 2
    assert f"no {told} named '" in read_mistake(capsys)


def test_an_unavailable_runtime_is_reported(mine, tiny_world, tmp_path, capsys):
    assert run(mine, tiny_world, tmp_path / "runs", "--precision fp16") == 2
    assert "--runtime torch --precision fp16: no such way here" in read_mistake(capsys)
    assert not (tmp_path / "runs").exists()  # The error comes before any work.


def test_default_keys_know_no_runtime(planned):
    cell = planned.cell()
    assert planned.cell(asked=DEFAULT).test_key == cell.test_key
    assert planned.cell(asked=BF16).test_key != cell.test_key
    assert planned.cell(asked=BF16).train_key == cell.train_key
    assert planned.cell(asked=BF16).describe().recipe_key != cell.describe().recipe_key  # Never pooled with it.
    assert planned.cell(asked=Way("auto", "fp32")).test_key != cell.test_key  # The runtime isn't chosen yet.


def test_a_choice_is_read_again_unless_damaged_or_unknown(planned, tmp_path, capsys):
    asked = Way("auto", "fp32")
    cell = planned.cell(asked=asked, runs=tmp_path / "runs")
    use = RuntimeUse(runtime="openvino", precision="fp32")
    write_choice(cell.folder, asked, Choice(use=use, worth_from=cell.images, is_compared=True))
    assert cell.way == FAST
    assert cell.test_key == planned.cell(asked=FAST).test_key
    write_choice(cell.folder, asked, Choice(use=use, worth_from=cell.images + 1, is_compared=True))
    assert cell.way == DEFAULT
    write_choice(cell.folder, asked, Choice(use=use, worth_from=cell.images))
    assert cell.way == asked
    (path,) = cell.folder.glob("runtime.*.json")
    for content in ('{"use": {"runtime": "os", "precision": "fp32"}}', "{", '{"use": 1}'):
        path.write_text(content)
        assert read_choice(cell.folder, asked) is None
    assert "no runtime named 'os'" in capsys.readouterr().err


def test_shifts_are_measured_on_frame_scores_and_their_auc():
    plain = pd.DataFrame(
        {"video": list("aabb"), "frame": [0, 1] * 2, "label": [0, 0, 1, 1], "score": [0.1, 0.3, 0.2, 0.9]}
    )
    same = compare_scores(plain, plain)
    assert same == (0, 0, 4)
    assert same.agrees("fp32")
    other = plain.assign(score=[0.1, 0.3, 0.31, 0.9])[::-1]
    shift = compare_scores(plain, other)
    assert shift.auc == pytest.approx(0.25)
    assert shift.score == pytest.approx(np.quantile([0, 0, 0, 0.11], 0.999))
    assert not shift.agrees("bf16")
    near = compare_scores(plain, plain.assign(score=plain["score"] + 0.01))
    assert near.agrees("bf16")
    assert not near.agrees("fp32")


def test_speeds_are_measured_in_turn_and_leave_the_detector_unchanged(mine):
    from crossfake.detectors import create

    detector = create(mine)
    found = measure_speeds(detector, [NEAR, FAST], np.zeros((4, 8, 8, 3), np.uint8))
    assert list(found) == [DEFAULT, NEAR, FAST]
    assert all(speed.image > 0 for speed in found.values())
    assert detector.moved == 0


def test_a_check_compares_every_available_runtime_with_torch(mine, capsys):
    assert bench("check --runtime auto --precision auto", mine) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok   onnxruntime fp32 within 2e-05") for line in lines)
    assert any(line.startswith("ok   torch bf16   within 0.01") for line in lines)
    wrong = "FAIL openvino fp32 scores are 0.001 apart from those of torch fp32; at most 0.0001 is allowed"
    assert any(line.startswith(wrong) for line in lines)
    assert bench("check --runtime onnxruntime", mine) == 0


def test_predictions_use_the_runtime_a_run_chose_for_the_checkpoint(mine, tmp_path, capsys):
    loaded = load_detector(DetectorRequest(mine, runtime="auto"), demo=True)
    assert loaded.settle_runtime(1000, Reporter()) == DEFAULT
    assert "no run has chosen" in capsys.readouterr().out
    chosen = replace(loaded, checkpoint=tmp_path / "checkpoint.safetensors")
    (tmp_path / "checkpoint.safetensors").write_bytes(b"weights")
    use = RuntimeUse(runtime="onnxruntime", precision="fp32")
    write_choice(tmp_path, loaded.asked, Choice(use=use, worth_from=1000, is_compared=True))
    assert chosen.settle_runtime(999, Reporter()) == DEFAULT
    assert chosen.settle_runtime(1000, Reporter()) == NEAR
    assert loaded.detector.runtime == "onnxruntime"
    assert chosen.key_content(NEAR) != chosen.key_content()
    named = load_detector(DetectorRequest(mine, runtime="openvino"), demo=True)
    assert named.settle_runtime(1, Reporter()) == FAST
    assert "which no run has compared with torch fp32" in capsys.readouterr().out
