"""Speed files: they are read as written, looked up by the conditions of the measurement, and never trusted."""

from __future__ import annotations

import json

import pytest
from crossfake.benchmark.core.speeds import Condition, Load, read_speeds


def test_a_speed_is_read_as_written(make_speed, tmp_path):
    speed = make_speed(videos={"mp4": {"value": 0.5, "lo": 0.4, "hi": 0.6, "runs": 4, "frames": 32, "world": "demo"}})
    path = speed.write(tmp_path)
    assert path.parent == tmp_path / "speed" / "amd-epyc"
    assert read_speeds(tmp_path) == ([speed], [])
    assert (speed.best.batch, speed.best.value) == (8, 100.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 1},
        {"precision": "bf16"},
        {"device": "NVIDIA H200"},
        {"runtime": "openvino"},
        {"architecture": "bbb"},
        {"provenance": {"command": "", "packages": {"crossfake": "0.1.0", "torch": "2.15.0"}}},
    ],
)
def test_each_different_measurement_has_its_own_file(make_speed, tmp_path, changes):
    assert make_speed(**changes).locate(tmp_path) != make_speed().locate(tmp_path)
    assert make_speed(seconds=60.0, weights="run x").locate(tmp_path) == make_speed().locate(tmp_path)


def test_files_without_a_speed_are_named_and_earlier_versions_are_skipped(make_speed, tmp_path):
    path = make_speed().write(tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema_version": 0}))
    assert read_speeds(tmp_path) == ([], [])
    (broken,) = [{**content, "latency": {**content["latency"], "p50_ms": 0}}]
    path.write_text(json.dumps(broken))
    found, (problem,) = read_speeds(tmp_path)
    assert not found
    assert problem.startswith(f"{path}: latency.p50_ms: input should be greater than 0")
    assert problem.endswith("measure again: bench speed")
    path.write_text(json.dumps({**content, "device": "a\x1b[31m"}))
    assert "\x1b" not in read_speeds(tmp_path)[0][0].device


def test_a_condition_names_threads_only_where_a_processor_does_the_work():
    assert Condition("AMD EPYC", "fp32", 1).describe() == "AMD EPYC, fp32, 1 thread"
    assert Condition("NVIDIA H200", "tf32", 0).describe() == "NVIDIA H200, tf32"


def test_other_processes_disturb_only_the_wall_clock(make_speed):
    load = {"own": 1.0, "others": 0.9, "cores": 2}
    assert make_speed(load=load).is_disturbed
    assert not make_speed(load=load, clock="processor", threads=1).is_disturbed
    assert not make_speed().is_disturbed


def test_other_work_of_more_than_a_tenth_of_the_machine_makes_it_busy():
    assert not Load(own=2.0, others=0.2, cores=2).is_busy
    assert Load(own=1.2, others=0.8, cores=2).is_busy
    assert Load(own=1.2, others=0.8, cores=2).describe() == "other work took 0.8 of 2 cores"
    assert not Load(own=1.0, others=None, cores=2).is_busy
