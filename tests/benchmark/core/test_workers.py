"""Worker processes of a run: same order, errors and limits as in one process, and no process is left running."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.workers import IN_PROCESS, WorkerPool, available_cores

PID = "__import__('os').getpid()"


@pytest.fixture(scope="module")
def one() -> Iterator[WorkerPool]:
    with WorkerPool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def two() -> Iterator[WorkerPool]:
    with WorkerPool(2) as pool:
        yield pool


@pytest.fixture(params=["here", "two"])
def pool(request, two) -> WorkerPool:
    return two if request.param == "two" else IN_PROCESS


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return met


def test_results_come_in_order(pool):
    assert list(pool.map(math.factorial, range(40))) == [math.factorial(i) for i in range(40)]
    assert sorted(pool.map(math.factorial, range(40), ordered=False)) == [math.factorial(i) for i in range(40)]


def test_no_items_no_results(pool):
    assert list(pool.map(math.sqrt, [])) == []


def test_an_error_is_raised_at_its_place(pool):
    results = pool.map(math.sqrt, [4, 9, -1, 16])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(results)
    assert list(pool.map(math.sqrt, [16])) == [4]


def test_results_come_as_they_finish_where_order_does_not_matter(two, tmp_path):
    flag = tmp_path / "flag"
    wait = f"__import__('os').path.exists({str(flag)!r}) or __import__('time').sleep(0.01)"
    results = two.map(eval, [f"[{wait} for _ in range(2000)] and 'late'", "'early'"], ordered=False)
    assert next(results) == "early"
    flag.touch()
    assert list(results) == ["late"]


def test_the_work_is_done_in_other_processes_and_always_in_the_same(one):
    first, second = (set(one.map(eval, [PID] * 8)) for _ in range(2))
    assert len(first) == 1
    assert first == second
    assert os.getpid() not in first
    assert set(IN_PROCESS.map(eval, [PID])) == {os.getpid()}


def test_concurrent_maps_do_not_mix(two):
    roots, factorials = two.map(math.sqrt, range(30)), two.map(math.factorial, range(30))
    assert list(zip(roots, factorials, strict=True)) == [(math.sqrt(i), math.factorial(i)) for i in range(30)]


def test_items_are_requested_only_a_little_ahead(one):
    asked = []

    def items():
        for i in range(100):
            asked.append(i)
            yield i

    results = one.map(math.sqrt, items())
    assert next(results) == 0
    assert len(asked) == 4
    results.close()
    assert len(asked) == 4


def test_classes_of_a_users_file_reach_the_workers(one, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Add:\n    def __init__(self, n): self.n = n\n    def __call__(self, item): return item + self.n\n"
    )
    from crossfake.benchmark.core.registry import import_target

    add = import_target(f"{path}:Add")(5)
    assert list(one.map(add, [1, 2], f"{path}:Add")) == [6, 7] == list(IN_PROCESS.map(add, [1, 2]))


def test_a_dead_worker_is_reported_in_one_line_and_replaced():
    with WorkerPool(1) as pool:
        with pytest.raises(BenchError, match=r"a worker process ended too soon: .* with fewer --workers") as error:
            list(pool.map(os._exit, [1]))
        assert "\n" not in str(error.value)
        assert list(pool.map(math.sqrt, [4])) == [2]


def test_closing_ends_the_processes_even_while_they_compute(tmp_path):
    note, pool = tmp_path / "pids", WorkerPool(2)
    sleep = f"print({PID}, file=open({str(note)!r}, 'a')) or __import__('time').sleep(60)"
    results = pool.map(eval, ["1", sleep, sleep, *["0"] * 9])
    with pool:
        assert next(results) == 1
        assert wait_for(lambda: note.is_file() and len(note.read_text().split()) == 2)
        started = time.monotonic()
    assert time.monotonic() - started < 30
    assert not any(is_running(int(pid)) for pid in note.read_text().split())


def test_closing_while_results_are_being_sent_does_not_hang():
    with WorkerPool(2) as pool:
        assert len(next(pool.map(bytes, [30 << 20] * 9))) == 30 << 20


def run_script(folder: Path, number: int) -> tuple[int, str, str]:
    """Start a parent with one worker, send the signal to both while the worker computes, and wait until both end."""
    code = f"""
from crossfake.benchmark.core.workers import WorkerPool
with WorkerPool(1) as pool:
    for pid in pool.map(eval, [{PID!r}, '__import__("time").sleep(600)']):
        print(pid, flush=True)
"""
    # The worker writes to the same pipes, so reading them ends only after the worker has.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "TMPDIR": str(folder)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True, **pipes)
    pid = parent.stdout.readline()
    os.killpg(parent.pid, number) if number == signal.SIGINT else parent.send_signal(number)
    out, err = parent.communicate(timeout=60)
    return parent.returncode, pid + out, err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(tmp_path, number):
    code, out, _ = run_script(tmp_path, number)
    assert code == -number
    assert out.strip().isdigit()
    assert not any(tmp_path.iterdir())


def test_only_the_parent_reports_ctrl_c(tmp_path):
    code, _, err = run_script(tmp_path, signal.SIGINT)
    assert code != 0
    assert not any(tmp_path.iterdir())
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_workers_ignore_the_signals_that_stop_a_command(tmp_path, number):
    """Schedulers send the signal to every process of a job, but the parent is the one that ends its workers."""
    with WorkerPool(1) as pool:
        kill = f"__import__('os').kill({PID}, {int(number)})"
        assert list(pool.map(eval, [kill, "7"])) == [None, 7]


def test_at_least_one_core_is_found():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
