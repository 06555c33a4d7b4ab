"""Training reports its device, and warns about an unused GPU with what to install."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from crossfake.benchmark.core.device_use import DeviceUse
from crossfake.benchmark.stages import device_report
from crossfake.benchmark.stages.device_report import describe_device, describe_training, read_driver, warn_unused_gpu
from crossfake.benchmark.stages.devices import Device


class Plain:
    def score(self, frames):
        return frames[:, 0, 0, 0] / 255


def test_a_line_gives_device_precision_driver_and_runtime():
    told = DeviceUse(
        kind="cuda",
        name="NVIDIA H100",
        count=2,
        precision="bf16",
        layout="channels-last",
        batch=33,
        driver="550.54.14",
        runtime="torch 2.9.0",
    )
    parts = "2 x NVIDIA H100", "bf16 channels-last", "batches of 33 (17 each)", "driver 550.54.14", "torch 2.9.0"
    assert told.describe() == ", ".join(parts)
    assert (
        DeviceUse(name="EPYC", threads=2, precision="fp32", batch=4).describe() == "EPYC, 2 threads, fp32, batches of 4"
    )
    assert DeviceUse().describe() == ""


def test_accelerators_are_counted_once(monkeypatch):
    monkeypatch.setattr(device_report, "find_device", lambda *_: Device("tpu", "4 x TPU v4", "bf16", 0))
    monkeypatch.setattr(device_report, "list_jax_devices", lambda detector: [None] * 4)
    monkeypatch.setattr(device_report, "_find_runtime", lambda backend: "jax 1")
    assert describe_device(Plain(), "jax", 32).describe() == "4 x TPU v4, bf16, batches of 32 (8 each), jax 1"


def test_the_cpu_has_threads_and_neither_driver_nor_tf32():
    told = describe_device(Plain(), "python").to_json()
    assert (told["kind"], told["precision"]) == ("cpu", "fp32")
    assert told["threads"] >= 1
    assert not {"driver", "tf32", "layout", "batch"} & {*told}


def test_a_gpu_has_a_driver_and_says_whether_tf32_is_on(monkeypatch):
    monkeypatch.setattr(device_report, "read_driver", lambda: "550.54.14")
    monkeypatch.setattr(device_report, "_find_runtime", lambda backend: "")
    for precision in ("fp32", "tf32"):
        monkeypatch.setattr(device_report, "find_device", lambda *_, p=precision: Device("cuda", "H100", p, 0))
        told = describe_device(Plain(), "torch").to_json()
        assert (told["driver"], told["tf32"], told["precision"]) == ("550.54.14", precision == "tf32", precision)
        assert "threads" not in told


def test_a_training_reports_its_own_precision_layout_and_threads(monkeypatch):
    monkeypatch.setattr(device_report, "find_device", lambda *_: Device("cpu", "EPYC", "fp32", 8))
    session = SimpleNamespace(precision="bf16", layout="contiguous", threads=2)
    told = describe_training(Plain(), "python", session, 32).to_json()
    assert (told["precision"], told["layout"], told["threads"], told["batch"]) == ("bf16", "contiguous", 2, 32)
    mute = describe_training(Plain(), "python", SimpleNamespace(), 32)  # Unknown facts aren't guessed.
    assert (mute.precision, mute.layout, mute.threads) == ("", "", 8)


@pytest.mark.parametrize(("hidden", "warned"), [(None, True), ("", False)])
def test_an_unused_gpu_is_reported_unless_it_was_hidden(hidden, warned, tmp_path, monkeypatch, capsys):
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n")
    monkeypatch.setattr(device_report, "NVIDIA", version)
    for name in device_report.HIDING:
        monkeypatch.delenv(name, raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert read_driver() == "550.54.14"
    warn_unused_gpu("jax")
    assert ('pip install "crossfake[jax-cuda]"' in capsys.readouterr().err) == warned
