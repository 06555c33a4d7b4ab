"""Trainings on Ray: resources and progress with a fake Ray, and slow tests on a two-node cluster with failures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import bench, read_mistake, words
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.packages import find_package
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.workers import available_cores
from crossfake.benchmark.stages import ray_engine
from crossfake.benchmark.stages.engines import EngineChoice, parse_engine
from crossfake.benchmark.stages.ray_engine import Note, RayPool, View, check_ray, find_need, run_on_ray
from crossfake.benchmark.stages.runner import RunOptions

TOY = f"{Path(__file__).parents[1] / 'slow_toy.py'}:SlowBrightness"
RUN = "run --detector meso4 --train ff++ --test dfdc --data demo:tiny"
DEFAULT = available_cores()


def test_an_engine_is_one_word():
    assert parse_engine("inline") == ("inline", "", 1, 1)
    assert parse_engine("ray") == ("ray", "", 1, 1)
    assert parse_engine("ray:10.0.0.1:6379?gpus=2") == ("ray", "10.0.0.1:6379", 2, 1)
    assert parse_engine("ray:ray://head:10001") == ("ray", "ray://head:10001", 1, 1)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--engine rya", "Did you mean 'ray'?"),
        ("--address 10.0.0.1:6379", "--engine inline has no --address or --gpus-per-group. Add --engine ray"),
        ("--engine ray --gpus-per-group 0", "'0' is not an integer of at least 1"),
        ("--engine ray --address nonsense", "--address nonsense is not HOST:PORT, such as 10.0.0.1:6379"),
        ("--engine ray --address 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 (Connection refused)"),
    ],
)
def test_a_wrong_engine_is_a_one_line_error(typed, told, monkeypatch, capsys):
    monkeypatch.setattr(ray_engine, "find_package", lambda name: name)
    assert bench(f"{RUN} {typed}") == 2
    assert told in read_mistake(capsys)


def test_without_ray_the_install_command_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(ray_engine, "find_package", lambda name: None)
    assert bench(f"{RUN} --engine ray") == 2
    assert "pip install 'crossfake[ray]'" in read_mistake(capsys)
    assert bench("data prepare ff++ --data demo:tiny --engine ray") == 2
    assert "pip install 'crossfake[ray]'" in read_mistake(capsys)


def test_a_silent_server_is_not_a_cluster(monkeypatch):
    monkeypatch.setattr(ray_engine, "find_package", lambda name: name)
    monkeypatch.setattr(ray_engine, "ANSWERS_WITHIN", 0.1)
    told = r"no Ray cluster answers at .* \(timed out\)"
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(BenchError, match=told):
        check_ray(EngineChoice("ray", f"127.0.0.1:{server.getsockname()[1]}"))


def test_a_training_needs_its_gpus_with_their_share_of_the_cpus():
    nodes = [{"CPU": 64.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}]
    assert find_need(nodes, 1, DEFAULT) == (8, 1)
    assert find_need(nodes, 4, DEFAULT) == (64, 4)
    with pytest.raises(BenchError, match="no node has 5 GPUs, the largest has 4"):
        find_need(nodes, 5, DEFAULT)


def test_without_gpus_a_training_needs_a_node_or_the_requested_cpus():
    nodes = [{"CPU": 16.0}, {"CPU": 12.0}, {"memory": 1.0}]
    assert find_need(nodes, 1, DEFAULT) == (12, 0)
    assert find_need(nodes, 1, DEFAULT + 1) == (DEFAULT + 1, 0)
    assert find_need(nodes, 1, 0) == (1, 0)


def test_one_view_shows_all_groups(monkeypatch, capsys):
    view = View(Reporter(), ["caddm seed 0", "caddm seed 1"])
    view.show([Note(1, "epoch 1"), Note(0, "training", 5, 10), Note(1, "scoring", 2, 4)])
    assert view.describe() == "0 of 2 trainings done; caddm seed 0: training, 5 of 10; caddm seed 1: scoring, 2 of 4"
    view.finish(0)
    view.last -= 60
    view.show([])
    assert capsys.readouterr().out.splitlines() == [
        "caddm seed 1: epoch 1",
        "1 of 2 trainings done; caddm seed 1: scoring, 2 of 4",
    ]


class SimpleTask:
    def __init__(self, function, given):
        self.function, self.given = function, given


class FakeRay:
    """Runs a task when its result is requested. `lost` has the numbers of the groups whose workers die."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            def __init__(self, cause):
                self.cause = cause

    def __init__(self, lost=()):
        self.lost, self.declared = lost, []

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}}, {"Alive": False, "Resources": {}}]

    def cluster_resources(self):
        return {"CPU": 4.0}

    def remote(self, **declared):
        self.declared.append(declared)
        return lambda function: SimpleNamespace(remote=lambda *given: SimpleTask(function, given))

    def put(self, value):
        return value

    def get(self, task):
        function, given = task.function, task.given
        if len(given) > 1 and given[1] in self.lost:
            raise self.exceptions.RayError("the node died")
        try:
            return function(*given)
        except Exception as error:
            raise self.exceptions.RayTaskError(error) from None

    def wait(self, tasks, timeout=None):
        return tasks[-1:], tasks[:-1]

    def cancel(self, task, force):
        pass


@pytest.fixture
def fake(monkeypatch):
    made = FakeRay()

    @contextmanager
    def connect(choice):
        yield made

    notes = SimpleNamespace(take=SimpleNamespace(remote=lambda: SimpleTask(list, ())))
    monkeypatch.setattr(ray_engine, "connect", connect)
    monkeypatch.setattr(ray_engine, "_start_notes", lambda ray: notes)
    return made


def test_each_training_is_a_task_and_one_that_is_lost_fails(fake, planned, tmp_path, monkeypatch, capsys):
    tests = [planned.source("celebdf", ""), planned.source("dfd", "c23")]
    cells = [planned.cell(seed=seed, test=test, runs=tmp_path) for seed in range(3) for test in tests]

    def run_group(group, number, *_):
        return [f"card of {cell.title}" for cell in group]

    monkeypatch.setattr(ray_engine, "run_group", run_group)
    fake.lost = (1,)
    found = dict(run_on_ray(cells, RunOptions(Reporter(), engine="ray")))
    assert fake.declared == [{"max_retries": 3, "num_cpus": 1, "num_gpus": 1}]
    assert [found[cell] for cell in (*cells[:2], *cells[4:])] == [
        f"card of {c.title}" for c in (*cells[:2], *cells[4:])
    ]
    assert [found[cell].error for cell in cells[2:4]] == ["on Ray: RayError: the node died"] * 2
    assert "Ray: 1 nodes; each of 3 trainings gets 1 processors and 1 GPUs" in capsys.readouterr().out


def test_a_ray_pool_maps_like_the_others(fake):
    with RayPool(EngineChoice("ray")) as pool:
        assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        assert sorted(pool.map(abs, range(-20, 0), ordered=False)) == list(range(1, 21))
        with pytest.raises(TypeError):
            list(pool.map(abs, ["one"]))
    assert fake.declared[0] == {"num_cpus": 1, "max_retries": 3}


needs_ray = pytest.mark.skipif(find_package("ray") is None, reason="ray isn't installed: pip install 'crossfake[ray]'")


class Place:
    """Runs the command on a world and writes to its own folder."""

    def __init__(self, world: Path, folder: Path):
        self.world, self.runs = world, folder / "runs"
        self.environment = {**os.environ, "BENCH_CACHE": str(folder / "cache"), "RAY_AUTH_MODE": "disabled"}

    def start(self, *more: str) -> subprocess.Popen[str]:
        line = "run --train ff++ --test dfdc,celebdf --seed 0,1,2 --workers 0 --set score.draws=50 --no-speed"
        asked = words(line, detector=TOY, data=self.world, runs=self.runs)
        return subprocess.Popen(
            [sys.executable, "-m", "crossfake", *asked, *more],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *more: str) -> str:
        process = self.start(*more)
        told, _ = process.communicate(timeout=300)
        assert process.returncode == 0, told
        return told

    def read(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.runs)): p.read_bytes() for p in self.runs.rglob("predictions.parquet")}

    def wait_for(self, count: int) -> None:
        ends = time.monotonic() + 200
        while len(list(self.runs.rglob("predictions.parquet"))) < count:
            assert time.monotonic() < ends
            time.sleep(0.1)


@pytest.fixture
def cluster():
    script = Path(__file__).parents[2] / "support" / "ray_cluster.py"
    process = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.address = process.stdout.readline().strip()
    yield process
    process.stdin.close()
    process.stdout.close()
    process.wait(60)


@pytest.mark.slow
@needs_ray
def test_a_node_that_dies_and_a_command_that_is_killed_change_nothing(cluster, tiny_world, tmp_path):
    inline, shared = Place(tiny_world, tmp_path / "inline"), Place(tiny_world, tmp_path / "ray")
    inline.finish()
    on_ray = ("--engine", "ray", "--address", cluster.address)
    killed = shared.start(*on_ray)
    shared.wait_for(1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = shared.start(*on_ray)
    shared.wait_for(2)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    told, _ = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert cluster.stdout.readline() == "killed\n"
    assert "Ray: 2 nodes; each of 3 trainings gets 1 processors and 0 GPUs" in told
    assert shared.read() == inline.read()
    assert len(inline.read()) == 9  # Two test sets and the val split of each seed.


@pytest.mark.slow
@needs_ray
def test_ray_prepares_faces_on_this_machine(tiny_world, tmp_path):
    place = Place(tiny_world, tmp_path)
    asked = ["data", "prepare", "dfdc", "--data", str(tiny_world), "--engine", "ray"]
    done = subprocess.run(
        [sys.executable, "-m", "crossfake", *asked], env=place.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dfdc: " in done.stdout
