"""`bench reproduce`: make a row of the leaderboard again, and show the difference."""

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

The row's command is shown. One that wasn't typed here is asked about first, and runs registered detectors and datasets
only; a class of your own that it names must be typed again: --detector FILE.py:CLASS, --dataset FILE.py:CLASS.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "reproduce", reproduce, "run a row's command again, into a temporary folder, and compare", EPILOG
    )
    p.add_argument("row", metavar="ROW", help="the row's key, as the leaderboard shows it, or the start of it")
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs are (default runs/)")
    p.add_argument("--detector", default="", metavar="NAME", help="the row's, where it is a class of your own")
    p.add_argument("--dataset", action="append", default=[], metavar="NAME", help="a dataset that is one")
    p.add_argument("--yes", action="store_true", help="run a command that wasn't typed here without asking")
    common.add_workers(p)


def reproduce(arguments: argparse.Namespace) -> int:
    """Run again and compare; 1 if a cell fails or leaves the interval that was recorded."""
    import crossfake

    from ...leaderboards.markdown import format_grid

    found = crossfake.reproduce(
        arguments.row,
        runs=arguments.runs,
        detector=arguments.detector,
        datasets=arguments.dataset,
        confirm=arguments.yes or _ask,
        workers=arguments.workers,
    )
    header = ["test", "recorded [95 % CI]", "again", "difference", "inside"]
    say("\n" + format_grid(header, [_make_line(one) for one in found]))
    return int(not all(one.inside for one in found))


<<<<<<< HEAD
def _ask(_: str) -> bool:
=======
def _parse_request(row: Row, runs: Path, given: argparse.Namespace) -> argparse.Namespace:
    """Parse the row's command, show it, ask about a foreign one, and narrow it down to the row."""
    from ..core.errors import BenchError
    from ..core.typed_commands import was_typed_here

    if not row.commands:
        raise BenchError(f"row {row.key} has no command: it can't be made again")
    data, words = _split_command(row.commands[-1])
    if words[:2] != ["bench", "run"]:
        raise BenchError(f"row {row.key} was made by '{row.commands[-1]}': only bench run can be run again")
    again = _take_known_options(words, row)
    say(f"command: {row.commands[-1]}")
    own = was_typed_here(row.commands[-1])
    tests = [t for t, result in row.results.items() if result.done]
    _require_registered(again, given, tests, own)
    again.detector = _find_typed_name(given.detector or again.detector, row)
    if not own:
        _confirm(given.yes)
    again.data, again.runs, again.pool = again.data or data, runs, given.pool
    again.seed, again.test = row.seeds, ",".join(tests)
    again.command = row.commands[-1]
    return again


def _take_known_options(words: list[str], row: Row) -> argparse.Namespace:
    """Parse the command, and take what a run can be asked for; nothing else of it reaches this one."""
    from ..core.errors import BenchError
    from .main import build_parser

    try:
        recorded = build_parser().parse_args(words[1:])
    except (BenchError, SystemExit) as error:
        why = "it asks for help" if isinstance(error, SystemExit) else str(error)
        raise BenchError(f"the command of row {row.key} can't be run: {why}") from None
    fresh = build_parser().parse_args(["run", "--detector", "-", "--train", "-", "--test", "-"])
    for name in TAKEN:
        setattr(fresh, name, getattr(recorded, name))
    return fresh


def _require_registered(again: argparse.Namespace, given: argparse.Namespace, tests: list[str], own: bool) -> None:
    """Refuse code that wasn't typed: in a foreign command, and in the test sets that a scorecard names.

    Raises:
        BenchError: it does; names what to type.
    """
    from ..core.errors import BenchError
    from ..core.registry import datasets, detectors

    why = "and wasn't typed here: nothing was run. If that class is here and trusted, type it"
    for name in () if own or given.detector else common.parse_names(again.detector):
        if not detectors.is_registered(name):
            raise BenchError(f"the row's command names code, {shorten(name)}, {why}: --detector FILE.py:CLASS")
    typed = common.parse_names(f"{again.train},{again.test}")
    for name in (*typed, *tests):
        spellings = (name, name.rpartition(":")[0])
        if name not in (*given.dataset, *(typed if own else ())) and not any(map(datasets.is_registered, spellings)):
            raise BenchError(f"the row's command names code, {shorten(name)}, {why}: --dataset {shorten(name)}")


def _confirm(yes: bool) -> None:
>>>>>>> main
    """Ask whether to run a command that wasn't typed here.

    Raises:
        BenchError: the answer is no, or there is nobody to ask.
    """
    from ..core.errors import BenchError

    if not sys.stdin.isatty():
        raise BenchError("this command wasn't typed here, and there is no terminal to ask. To run it: --yes")
    if input("It wasn't typed here. Run it? (y/N) ").strip().lower() not in ("y", "yes"):
        raise BenchError("nothing was run")
    return True


def _make_line(found: Comparison) -> list[str]:
    from ...leaderboards.markdown import format_estimate

    before = format_estimate(found.recorded)
    if found.difference is None or not found.again:
        return [found.test, before, format_estimate(found.again) if found.again else "failed", "", "no"]
    inside = "yes" if found.inside else "no"
    return [found.test, before, f"{found.again.value:.3f}", f"{found.difference:+.3f}", inside]
