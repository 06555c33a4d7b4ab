"""`bench reproduce`: run a row of the leaderboard again, and show the difference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ...leaderboards.reproduction import Comparison

EPILOG = """\
examples:
  bench reproduce 3f2a91c07b
  bench reproduce 3f2a --runs leaderboards/entries --yes
  bench reproduce 3f2a --detector ./mine.py:MyDetector

Both results are compared on the same videos. They are identical, the same within noise (of swapping their scores at
random, and of other training seeds), or different (exit code 1).

The row's command is shown first. A command that wasn't typed here must be confirmed, and runs only registered
detectors and datasets; if it names a class of your own, type that again: --detector FILE.py:CLASS or --dataset
FILE.py:CLASS.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "reproduce", reproduce, "run a row's command again, into a temporary folder, and compare", EPILOG
    )
    p.add_argument("row", metavar="ROW", help="the row's key as the leaderboard shows it, or its first characters")
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs are (default runs/)")
    p.add_argument("--detector", default="", metavar="NAME", help="the row's detector, if it is your own class")
    p.add_argument(
        "--dataset", action="append", default=[], metavar="NAME", help="the row's dataset, if it is your own class"
    )
    p.add_argument("--yes", action="store_true", help="don't ask before running a command that wasn't typed here")
    common.add_workers(p)


def reproduce(arguments: argparse.Namespace) -> int:
    """Run again and compare; 1 if a cell fails, or differs by more than noise."""
    import crossfake

    from ...leaderboards.markdown import format_grid

    found = crossfake.reproduce(
        arguments.row,
        runs=arguments.runs,
        detector=arguments.detector,
        datasets=arguments.dataset,
        confirm=arguments.yes or _ask,
        workers=arguments.workers,
        progress=common.make_reporter(arguments),
    )
    header = ["test", "recorded [95 % CI]", "again", "difference", "noise allows", "verdict"]
    say("\n" + format_grid(header, [_make_line(one) for one in found]))
    return int(not all(one.same for one in found))


def _ask(_: str) -> bool:
    """Ask whether to run a command that wasn't typed here.

    Raises:
        BenchError: the answer is no, or there is no terminal.
    """
    from ..core.errors import BenchError

    if not sys.stdin.isatty():
        raise BenchError("this command wasn't typed here, and there is no terminal to ask. To run it: --yes")
    if input("It wasn't typed here. Run it? (y/N) ").strip().lower() not in ("y", "yes"):
        raise BenchError("nothing was run")
    return True


def _make_line(found: Comparison) -> list[str]:
    from ...leaderboards.formats import format_estimate

    before = format_estimate(found.recorded)
    if found.difference is None or not found.again or not found.repeat:
        again = format_estimate(found.again) if found.again else "failed"
        return [found.test, before, again, "", "", found.verdict]
    repeat = found.repeat
    why = [f"{repeat.changed} scores differ"] if repeat.changed else []
    told = f" ({'; '.join([*why, repeat.note] if repeat.note else why)})" if why or repeat.note else ""
    numbers = [f"{found.again.value:.3f}", f"{found.difference:+.2g}", f"{repeat.tolerance:.2g}"]
    return [found.test, before, *numbers, found.verdict + told]
