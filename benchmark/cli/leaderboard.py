"""`bench leaderboard`: tables from a folder of runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import common


def add(verbs: Any) -> None:
    """Add the verb."""
    p = common.verb(
        verbs,
        "leaderboard",
        leaderboard,
        "write leaderboard.md and .csv from a folder of runs",
        "examples:\n  bench leaderboard --runs runs --out docs\n",
    )
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs are (default runs/)")
    p.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: the runs' folder)")


def leaderboard(arguments: argparse.Namespace) -> int:
    """Collect, write and print."""
    from ...leaderboards import board
    from ..errors import BenchError

    cards = board.collect(arguments.runs) if arguments.runs.is_dir() else []
    if not cards:
        raise BenchError(
            f"no scorecards below {arguments.runs}. Make one: bench run --detector caddm --train ff++ "
            f"--test celebdf --runs {arguments.runs}"
        )
    for path in board.write(cards, arguments.out or arguments.runs):
        print(path)
    print("\n" + board.markdown(cards))
    return 0
