"""`bench reproduce`: make a row of the leaderboard again, and show the difference."""

from __future__ import annotations

import argparse
import shlex
import tempfile
from pathlib import Path
from typing import Any

from . import common

EPILOG = """\
examples:
  bench reproduce 3f2a91c07b
  bench reproduce 3f2a --runs leaderboards/entries
"""
DATA = "BENCH_DATA="
ROUNDING = 1e-9


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
        lines = [_compare(row, test, load_cards(Path(folder)), table.title) for test in again.test.split(",")]
    print("\n" + format_grid(["test", "recorded [95 % CI]", "again", "difference", "inside"], lines))
    return int(any(line[-1] != "yes" for line in lines))


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


def _compare(row: Any, test: str, cards: list[dict[str, Any]], title: str) -> list[str]:
    from ...leaderboards.markdown import format_estimate
    from ...leaderboards.rows import make_tables
    from ..stats.seed_pooling import AUC

    before = row.results[test].metrics[AUC]
    found = [
        r for t in make_tables(cards) if t.title == title for r in t.rows if test in r.results and r.results[test].done
    ]
    after = found[0].results[test].metrics[AUC] if found else None
    if not after or after["value"] is None or before["value"] is None:
        return [test, format_estimate(before), format_estimate(after) if after else "failed", "", "no"]
    lo, hi = (before["value"] if before[end] is None else before[end] for end in ("lo", "hi"))
    inside = lo - ROUNDING <= after["value"] <= hi + ROUNDING
    away = f"{after['value'] - before['value']:+.3f}"
    return [test, format_estimate(before), f"{after['value']:.3f}", away, "yes" if inside else "no"]
