"""Whole processes: their processor seconds, including children, and the largest peak memory of one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """Processor seconds, and megabytes."""

    seconds: float
    megabytes: float


def run_python(arguments: Sequence[object]) -> Cost:
    """Run Python with arguments, and return the cost.

    Raises:
        RuntimeError: it failed.
    """
    child = subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    told = child.stderr.read() if child.stderr else ""
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))} ended with {child.returncode}:\n{told[-2000:]}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def run_bench(arguments: str, *paths: object) -> Cost:
    """Run `bench` with words, followed by options and paths."""
    return run_python(["-m", "crossfake", *arguments.split(), *paths])
