"""The command line for tests: `from command_line import bench` (pyproject.toml puts this folder on the path)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import pytest
from crossfake.benchmark.cli.main import main


def words(line: str, *more: object, **options: object) -> list[str]:
    """Split a line as a shell would; add `more` words and `--name value` for each option, whatever is in their values.

    `words("score --draws 20", path, json=out)` is `["score", "--draws", "20", str(path), "--json", str(out)]`.
    """
    named = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    return [*shlex.split(line), *map(str, more), *(word for pair in named for word in pair)]


def read_mistake(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error on stderr: the last line, after any progress messages."""
    *before, told = capsys.readouterr().err.splitlines()
    assert told.startswith("bench: error: ")
    assert not any(line.startswith(("bench: error: ", "Traceback")) for line in before)
    return told


def bench(line: str, *more: object, **options: object) -> int:
    """Run a command in this process, and return its exit code."""
    return main(words(line, *more, **options))


def bench_with_cache(cache: str, typed: Sequence[str]) -> None:
    """Run a command in a separate process, whose environment may be that of an earlier test."""
    os.environ["BENCH_CACHE"] = cache
    main(typed)
