"""Training with several processes: one-line errors, who may join, and whole trainings as slow tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import bench, read_mistake, words

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

import plain_net
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import Entry, MemoryEntry, detectors
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.shared_steps import ALONE, gather_rows
from crossfake.benchmark.core.torchrun import read_rank
from crossfake.benchmark.stages import shared_trainings
from crossfake.benchmark.stages.engines import parse_engine
from crossfake.benchmark.stages.shared_trainings import Crew, check_sharing
from crossfake.detectors import create
from crossfake.detectors.common_torch.ranks import write_word
from safetensors.numpy import load_file
from torch import distributed as dist

MESO4 = detectors.find("meso4", "torch")
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
NET = f"{plain_net.__file__}:PlainNet"
TRAIN = "train --train ff++ --data demo:tiny --workers 0 --set faces.frames=4 --set train.batch_size=8"


def test_devices_are_part_of_the_engine_option():
    assert parse_engine("inline?devices=4") == ("inline", "", 1, 4)
    assert parse_engine("inline") == ("inline", "", 1, 1)
    for wrong in ("inline?devices=0", "inline?devices=x", "inline?gpus=2", "ray?devices=2", "inline?devices"):
        with pytest.raises(BenchError, match="--engine"):
            parse_engine(wrong)


@pytest.mark.parametrize(
    ("devices", "settings", "told"),
    [
        (2, {"compile": True}, r"^train\.compile can't be combined with --devices"),
        (3, {}, r"^--devices 3 is more than this machine has: 2 processor cores$"),
        (2, {"batch_size": 1}, r"^train\.batch_size=1 gives --devices 2 less than one frame each$"),
    ],
)
def test_trainings_that_cannot_be_shared_are_a_one_line_error(devices, settings, told, monkeypatch):
    monkeypatch.setattr(shared_trainings, "available_cores", lambda: 2)
    with torch.device("meta"):
        made = create("meso4", input_size=32)
    made.device = torch.device("cpu")
    check_sharing(made, MESO4, TrainSettings(), 2)
    with pytest.raises(BenchError, match=told):
        check_sharing(made, MESO4, TrainSettings(**settings), devices)
    made.device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(BenchError, match="--devices 2 is more than this machine has: 1 devices of kind cuda"):
        check_sharing(made, MESO4, TrainSettings(), 2)


def test_a_detector_that_cannot_share_says_why():
    with pytest.raises(BenchError, match="JAX already spreads meso4's batches over all devices"):
        check_sharing(None, detectors.find("meso4", "jax"), TrainSettings(), 2)
    with pytest.raises(BenchError, match="mine has no --devices, which is for PyTorch detectors"):
        check_sharing(object(), Entry("mine", "mine.py:Mine", "here"), TrainSettings(), 2)
    with pytest.raises(
        BenchError, match=r"exists only in this process's memory\. With --devices, name it as file\.py:Class"
    ):
        check_sharing(object(), MemoryEntry("mine", "mine", "here"), TrainSettings(), 2)


def test_torchruns_variables_say_which_process_this_is(monkeypatch):
    assert read_rank() is None
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert read_rank() == (1, 4, 0, 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert read_rank() == (1, 4, 1, 2)
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(BenchError, match="these variables are torchrun's, and not numbers: RANK=one"):
        read_rank()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert read_rank() is None


def test_devices_together_with_torchrun_are_a_one_line_error(monkeypatch, capsys):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert bench(f"{TRAIN} meso4 --devices 2") == 2
    assert "torchrun has started 4 processes, a device each. Leave out --devices" in read_mistake(capsys)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"command": "bench train xception"}, "rank 1 has command 'bench train xception', rank 0 has command 'bench"),
        ({"torch": "1.0"}, "rank 1 has torch '1.0', rank 0 has torch '"),
        ({}, ""),
    ],
)
def test_ranks_must_have_the_same_command_and_version(changed, told):
    own, store = shared_trainings._make_greeting("bench train meso4"), dist.HashStore()
    write_word(store, "greeting 1", own._replace(**changed))
    if not told:
        shared_trainings._await_greetings(store, own, 2)
        return
    with pytest.raises(BenchError, match="all ranks must have the same command and versions") as caught:
        shared_trainings._await_greetings(store, own, 2)
    assert told in str(caught.value)


def test_a_rank_that_never_joins_or_ended_is_reported(monkeypatch):
    own, store = shared_trainings._make_greeting(""), dist.HashStore()
    monkeypatch.setattr(shared_trainings, "START_S", 0.0)
    with pytest.raises(BenchError, match="rank 1 of 2 didn't start within 0 s"):
        shared_trainings._await_greetings(store, own, 2)
    ended = type("Process", (), {"exitcode": -9})()
    with pytest.raises(BenchError, match=r"ended before starting work \(exit code -9\)"):
        shared_trainings._await_greetings(store, own, 2, [ended])


def test_a_rank_follows_until_everything_is_done():
    store = dist.HashStore()
    write_word(store, shared_trainings.OVER, "")
    shared_trainings._follow(store, 1, 2, 1, "bench train")
    assert store.check(["greeting 1"])


def test_a_session_that_cannot_join_is_refused_before_any_process_starts():
    cell = type("Cell", (), {"entry": MESO4})()
    told = r"meso4 has no method join\(ranks\), which --devices needs"
    with pytest.raises(BenchError, match=told), Crew(cell, 2, 0).gather(None, object(), None):
        pass


def test_a_single_process_has_nobody_to_notify():
    assert gather_rows(ALONE, {"x": np.zeros(3)}, ["a"]) == (3, ["a"])
    assert gather_rows(ALONE, {}, []) == (0, [])


# ---- whole trainings


def start(line: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, *(words(line) if line.startswith("-m torch") else ["-m", "crossfake", *words(line)])]
    env = {**os.environ, **environment}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)


def finish(line: str) -> str:
    """Run a command, and return its output."""
    command = start(line)
    told: str = command.communicate(timeout=300)[1]
    assert command.returncode == 0, told
    return told


def wait_for(path: Path, pattern: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not list(path.glob(pattern)):
        assert time.monotonic() < until, f"no {pattern}"
        time.sleep(0.05)


def read_training(runs: Path) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    (report,) = runs.glob("*/*/*/training.json")
    return json.loads(report.read_text())["epochs"], load_file(report.with_name("checkpoint.safetensors"))


def assert_same(found: Path, expected: Path) -> None:
    (epochs, weights), (epochs2, weights2) = read_training(found), read_training(expected)
    for ours, theirs in zip(epochs, epochs2, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    for name, value in weights2.items():
        np.testing.assert_allclose(weights[name], value, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_two_processes_give_the_result_of_one_even_with_torchrun_or_resumed(tiny_world, tmp_path):
    recipe = "--set train.epochs=30 --set train.steps_per_epoch=5 --set train.threads=1 --set train.optimizer=sgd"
    line = f"{TRAIN} {NET} {recipe} --set train.lr=1e-3 --runs"
    finish(f"{line} {tmp_path}/one")
    finish(f"{line} {tmp_path}/two --devices 2")
    assert_same(tmp_path / "two", tmp_path / "one")
    torchrun = "-m torch.distributed.run --nproc-per-node 2 -m crossfake"
    finish(f"{torchrun} {line} {tmp_path}/torchrun")
    assert_same(tmp_path / "torchrun", tmp_path / "one")
    for name, first, second in (("grown", "", "--devices 2"), ("shrunk", "--devices 2", "")):
        killed = start(f"{line} {tmp_path}/{name} {first}")
        wait_for(tmp_path / name, "*/*/*/training_state.npz")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert "resuming training at step" in finish(f"{line} {tmp_path}/{name} {second}")
        assert_same(tmp_path / name, tmp_path / "one")


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_one_line(tiny_world, tmp_path):
    line = f"{TRAIN} {NET} --set train.epochs=900 --set train.steps_per_epoch=5 --devices 2 --runs {tmp_path}"
    command = start(line)
    wait_for(tmp_path, "*/*/*/training_state.npz")
    other = find_other(command.pid)
    os.kill(other, signal.SIGKILL)
    told = command.communicate(timeout=60)[1].splitlines()
    assert command.returncode == 2
    assert told[-1].startswith("bench: error: another of this training's 2 processes is gone: killed, perhaps")
    assert not any("Traceback" in one for one in told)
    command = start(line)
    assert any("resuming training" in one for one in iter(command.stderr.readline, ""))
    while not (other := find_other(command.pid)):
        assert command.poll() is None
        time.sleep(0.05)
    command.kill()
    command.communicate()
    until = time.monotonic() + 30
    while Path(f"/proc/{other}").exists():
        assert time.monotonic() < until, "what it started ends with it"
        time.sleep(0.1)


def find_other(parent: int) -> int:
    """Return the id of the process that a command has started for --devices; 0 if there is none yet."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_child = int(file.read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and b"spawn_main" in file.with_name("cmdline").read_bytes():
                return int(file.parent.name)
        except (OSError, IndexError):
            continue
    return 0


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="only Linux lists its listening sockets there")
def test_the_meeting_point_is_reachable_from_this_machine_only():
    store = shared_trainings._open_store(2)
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    assert [at for _, at, _, state, *_ in lines if at.endswith(f":{store.port:04X}") and state == "0A"] == [
        f"0100007F:{store.port:04X}"
    ]
