"""Progress messages: which stream they go to, and the remaining time."""

from __future__ import annotations

import re

import pytest
from crossfake.benchmark.core import progress
from crossfake.benchmark.core.progress import Reporter


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_go_to_stdout_and_to_the_runs_log_once_there_is_one(tmp_path, capsys):
    reporter = Reporter()
    reporter.say("before")
    reporter.log = tmp_path / "run" / "log.txt"
    reporter.say("during é")
    reporter.say("again")
    assert capsys.readouterr() == ("before\nduring é\nagain\n", "")
    lines = reporter.log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d during é", lines[0])


def test_a_quiet_reporter_still_logs(tmp_path, capsys):
    reporter = Reporter(quiet=True)
    reporter.log = tmp_path / "log.txt"
    reporter.say("hush")
    assert capsys.readouterr() == ("", "")
    assert reporter.log.read_text().endswith(" hush\n")


def test_without_a_terminal_there_is_a_line_every_30_seconds_and_one_at_the_end(clock, capsys):
    with Reporter().task("scoring") as tick:
        for done in range(1, 101):
            clock[0] += 1
            tick(done, 100)
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "scoring: 30 of 100, 1 per second, about 70 s left",
        "scoring: 60 of 100, 1 per second, about 40 s left",
        "scoring: 90 of 100, 1 per second, about 10 s left",
        "scoring: done in 100.0 s",
    ]


def test_a_short_task_prints_one_line(clock, capsys):
    with Reporter().task("quick") as tick:
        tick(1, 2)
        tick(2, 2)
    assert capsys.readouterr().out == "quick: done in 0.0 s\n"


def test_a_resumed_task_is_timed_by_its_own_work(clock, capsys):
    with Reporter().task("training") as tick:
        for done in range(901, 1000):
            clock[0] += 1
            tick(done, 1000)
    assert capsys.readouterr().out.startswith("training: 930 of 1000, 1 per second, about 70 s left\n")


def test_a_failed_task_is_not_called_done(clock, capsys):
    def fail() -> None:
        with Reporter().task("doomed"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_bar_goes_to_stderr(capsys):
    reporter = Reporter()
    reporter.live = True
    with reporter.task("drawing") as tick:
        tick(1, 2)
    assert capsys.readouterr().out.startswith("drawing: done in")


def test_details_are_for_those_who_ask(capsys):
    for verbose in (False, True):
        Reporter(verbose=verbose).say_detail("folder: here")
    assert capsys.readouterr().out == "folder: here\n"
