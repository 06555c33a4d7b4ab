"""`bench reproduce`: make a row of the leaderboard again, and show the difference."""

from __future__ import annotations

import argparse
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common

if TYPE_CHECKING:
    from ...leaderboards.reproduction import Comparison

EPILOG = """\
examples:
  bench reproduce 3f2a91c07b
  bench reproduce 3f2a --runs leaderboards/entries
"""
DATA = "BENCH_DATA="


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "reproduce", reproduce, "run a row's command again, into a temporary folder, and compare", EPILOG
    )
    p.add_argument("row", metavar="ROW", help="the row's key, as the leaderboard shows it, or the start of it")
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs are (default runs/)")
    common.add_workers(p)


def reproduce(arguments: argparse.Namespace) -> int:
    """Run again and compare; 1 if a cell fails or leaves the interval that was recorded."""
    from ...leaderboards.load import load_cards, load_cards_with_problems
    from ...leaderboards.markdown import format_grid
    from ...leaderboards.reproduction import compare_with_recorded
    from ...leaderboards.rows import find_row
    from ..core.errors import BenchError

    recorded, problems = load_cards_with_problems(arguments.runs)
    common.print_left_out(problems)
    if not recorded:
        raise BenchError(f"no scorecards below {arguments.runs}. Say where the row's are: --runs DIR")
    table, row = find_row(recorded, arguments.row)
    with tempfile.TemporaryDirectory(prefix="crossfake-") as folder:
        again = _parse_request(row, Path(folder), arguments.workers)
        print(f"again: {row.name} {row.train} -> {again.test}, seed {', '.join(map(str, again.seed))}")
        again.action(again)
        cards = load_cards(Path(folder))
        found = [compare_with_recorded(row, test, cards, table.title) for test in again.test.split(",")]
    print(
        "\n"
        + format_grid(
            ["test", "recorded [95 % CI]", "again", "difference", "inside"], [_make_line(one) for one in found]
        )
    )
    return int(not all(one.inside for one in found))


def _parse_request(row: Any, runs: Path, workers: int | None) -> argparse.Namespace:
    """Parse the row's command, and narrow it down to the row."""
    from ..core.errors import BenchError
    from .main import build_parser

    if not row.commands:
        raise BenchError(f"row {row.key} has no command: it can't be made again")
    data, words = _split_command(row.commands[-1])
    if words[:2] != ["bench", "run"]:
        raise BenchError(f"row {row.key} was made by '{row.commands[-1]}': only bench run can be run again")
    again = build_parser().parse_args(words[1:])
    again.data, again.runs, again.workers = again.data or data, runs, workers
    again.detector = _find_typed_name(again.detector, row)
    again.seed, again.test = row.seeds, ",".join(t for t, result in row.results.items() if result.done)
    again.command = row.commands[-1]
    return again


def _split_command(command: str) -> tuple[str | None, list[str]]:
    from ..core.errors import BenchError

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BenchError(f"the row's command can't be read ({error}): {command}") from None
    return (words[0].removeprefix(DATA), words[1:]) if words[0].startswith(DATA) else (None, words)


def _find_typed_name(detectors: str, row: Any) -> str:
    """Return the row's detector as it was typed among several."""
    from ..core.errors import BenchError
    from ..core.registry import detectors as registry

    backend = row.backend if row.backend != "any" else ""
    for name in common.parse_names(detectors):
        if registry.find(name, backend).name == row.cell["detector"]:
            return name
    raise BenchError(f"row {row.key} is of {row.cell['detector']}, its command runs {detectors}: mend one of them")


def _make_line(found: Comparison) -> list[str]:
    from ...leaderboards.markdown import format_estimate

    before = format_estimate(found.recorded)
    if found.difference is None or not found.again:
        return [found.test, before, format_estimate(found.again) if found.again else "failed", "", "no"]
    inside = "yes" if found.inside else "no"
    return [found.test, before, f"{found.again['value']:.3f}", f"{found.difference:+.3f}", inside]
