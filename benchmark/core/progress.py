"""Progress reports: a live bar on a terminal, else one line every 30 seconds; everything is logged."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .display import escape, say
from .storage import make_folder, name_write_errors

REPORT_EVERY = 30.0

Tick = Callable[[int, int], None]
"""Called as tick(done, total) during a task."""


class Reporter:
    """Prints lines on stdout and progress on stderr, and appends the lines to the run's log once there is one.

    Args:
        quiet: print nothing.
        aside: print lines on stderr as well: stdout is for results.
        verbose: print details as well.
    """

    def __init__(self, quiet: bool = False, aside: bool = False, verbose: bool = False):
        self.quiet, self.aside, self.verbose = quiet, aside, verbose
        self.live = sys.stderr.isatty() and not quiet
        self.log: Path | None = None

    def say(self, line: str) -> None:
        """Print one line, and log it with the time."""
        if not self.quiet:
            say(line, self.aside)
        if self.log is not None:
            make_folder(self.log.parent)
            with name_write_errors(self.log), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {escape(line)}\n")

    def say_detail(self, line: str) -> None:
        """Print a detail with --verbose; it isn't logged."""
        if self.verbose:
            say(line, self.aside)

    @contextmanager
    def task(self, label: str) -> Iterator[Tick]:
        """Show a task's progress while the block runs, and say how long it took."""
        started = time.monotonic()
        with self._show_bar(label) if self.live else self._print_lines(label) as tick:
            yield tick
        self.say(f"{label}: done in {time.monotonic() - started:.1f} s")

    @contextmanager
    def _show_bar(self, label: str) -> Iterator[Tick]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task, pace = bar.add_task(escape(label), total=None, rate=""), _Pace()

            def tick(done: int, total: int) -> None:
                rate = pace(done)
                bar.update(task, completed=done, total=total, rate=f"{rate:.3g}/s" if rate else "")

            yield tick

    @contextmanager
    def _print_lines(self, label: str) -> Iterator[Tick]:
        last, pace = time.monotonic(), _Pace()

        def tick(done: int, total: int) -> None:
            nonlocal last
            now, rate = time.monotonic(), pace(done)
            if now - last >= REPORT_EVERY and rate and done < total:
                last = now
                self.say(f"{label}: {done} of {total}, {rate:.3g} per second, about {(total - done) / rate:.0f} s left")

        yield tick


class _Pace:
    """Steps per second since the first tick, which in a resumed task may be far from 0."""

    def __init__(self) -> None:
        self.first: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        self.first = self.first or (now, done)
        seconds = now - self.first[0]
        return (done - self.first[1]) / seconds if seconds else 0.0
