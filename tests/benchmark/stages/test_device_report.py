"""What a training runs on is said; a GPU that is left unused gives a warning with what to install."""

from __future__ import annotations

import pytest
from crossfake.benchmark.stages import device_report
from crossfake.benchmark.stages.device_report import describe_device, describe_line, read_driver, warn_unused_gpu
from crossfake.benchmark.stages.devices import Device


class Plain:
    def score(self, frames):
        return frames[:, 0, 0, 0] / 255


def test_a_line_tells_model_threads_driver_and_runtime():
    told = {"kind": "cuda", "name": "NVIDIA H100", "count": 2, "driver": "550.54.14", "runtime": "torch 2.9.0"}
    assert describe_line(told) == "2 x NVIDIA H100, driver 550.54.14, torch 2.9.0"
    assert describe_line({"name": "EPYC", "count": 1, "threads": 2}) == "EPYC, 2 threads"


def test_accelerators_are_counted_once(monkeypatch):
    monkeypatch.setattr(device_report, "find_device", lambda *_: Device("tpu", "4 x TPU v4", "bf16", 0))
    monkeypatch.setattr(device_report, "list_jax_devices", lambda detector: [None] * 4)
    monkeypatch.setattr(device_report, "_find_runtime", lambda backend: "")
    assert describe_line(describe_device(Plain(), "jax")) == "4 x TPU v4"


def test_the_processor_has_no_driver():
    told = describe_device(Plain(), "python")
    assert told["kind"] == "cpu"
    assert told["threads"] >= 1
    assert "driver" not in told


@pytest.mark.parametrize(("hidden", "warned"), [(None, True), ("", False)])
def test_a_gpu_that_is_left_unused_is_told_unless_it_was_hidden(hidden, warned, tmp_path, monkeypatch, capsys):
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n")
    monkeypatch.setattr(device_report, "NVIDIA", version)
    monkeypatch.setattr("crossfake.benchmark.core.display._said", set())
    for name in device_report.HIDING:
        monkeypatch.delenv(name, raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert read_driver() == "550.54.14"
    warn_unused_gpu("jax")
    assert ('pip install "crossfake[jax-cuda]"' in capsys.readouterr().err) == warned
