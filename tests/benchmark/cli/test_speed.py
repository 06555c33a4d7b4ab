"""`bench speed`, and the short speed measurement at the end of `bench run`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.core.speeds import read_speeds

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
QUICK = "--seconds 1 --set faces.frames=2"


def test_a_detector_is_measured_from_image_to_video(tiny_world, tmp_path, capsys):
    asked = f"speed {TOY} {QUICK} --batch 4"
    assert bench(asked, data=tiny_world, runs=tmp_path, csv=tmp_path / "speed.csv", json=tmp_path / "out.json") == 0
    told = capsys.readouterr()
    assert "images/s (batch)" in told.out
    assert "weights: its own" in told.out
    ((speed,), problems) = read_speeds(tmp_path)
    assert problems == []
    assert [speed.to_json()] == json.loads((tmp_path / "out.json").read_text())
    assert speed.latency.runs >= 100
    assert speed.latency.p50_ms <= speed.latency.p95_ms <= speed.latency.p99_ms
    assert [rate.batch for rate in speed.images] == [4]
    assert {way: (rate.frames, rate.runs >= 4) for way, rate in speed.videos.items()} == dict.fromkeys(
        ("mp4", "store"), (2, True)
    )
    assert pd.read_csv(tmp_path / "speed.csv")["model"].tolist() == ["local/toy.brightness"]
    assert f"kept: {next(tmp_path.rglob('speed/*/*.json'))}" in told.err
    assert bench(asked, "--no-videos", "--json", data=tiny_world, runs=tmp_path) == 0
    assert json.loads(capsys.readouterr().out) == [speed.to_json()]  # Unchanged: nothing is measured twice.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("speed caddn", "Did you mean 'caddm'?"),
        ("speed ,", "no detector is named"),
        ("speed meso4 --backend torhc", "no backend 'torhc'"),
        ("speed meso4 --batch many", "'many' is not an integer"),
        ("speed meso4 --test ff++,dfd", "the videos of one dataset are scored"),
        (f"speed {TOY} --no-videos --device cuda", "chooses its device itself"),
        (f"speed {TOY} --no-videos --threads 2", "--threads: python chooses their number itself"),
        ("speed meso4 --no-videos --runtime openvin", "Did you mean 'openvino'?"),
        ("speed meso4 --no-videos --runtime auto", "To measure them all: --runtime all"),
        ("speed .", "no scorecards below ."),
    ],
)
def test_mistakes_are_one_line_errors(line, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with suppress(SystemExit):  # argparse exits this way.
        assert bench(line) == 2
    assert message in capsys.readouterr().err


def test_a_run_ends_with_the_speed_of_its_detectors_by_default(tiny_world, tmp_path, capsys):
    asked = f"run --detector {TOY} --train ff++ --test dfdc --workers 0 --set score.draws=20 --set faces.frames=2"
    assert bench(asked, "--no-speed", data=tiny_world, runs=tmp_path) == 0
    assert not (tmp_path / "speed").exists()
    assert "| img/s | " in " ".join((tmp_path / "leaderboard.md").read_text().split())
    assert bench(asked, data=tiny_world, runs=tmp_path) == 0
    ((speed,), _) = read_speeds(tmp_path)
    assert f"speed on {speed.condition.describe()}" in (tmp_path / "leaderboard.md").read_text()
    assert "speed on " in capsys.readouterr().out
    assert bench(asked, data=tiny_world, runs=tmp_path) == 0
    assert read_speeds(tmp_path) == ([speed], [])
    # The runs name their detectors, but a user's own class can't be found by name.
    assert bench("speed", tmp_path, "--no-videos", runs=tmp_path) == 0
    assert "local/toy.brightness isn't measured: no detector named" in capsys.readouterr().err
