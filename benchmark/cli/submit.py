"""`bench submit`: write a run as leaderboard entries, for a pull request."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench submit runs/real/caddm/ff++-c23.seed0.KEY
  bench leaderboard --check
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "submit", submit, "write a run's rows as leaderboard entries, predictions included", EPILOG
    )
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or one of its test folders")
    p.add_argument(
        "--entries",
        type=Path,
        default=common.ENTRIES,
        metavar="DIR",
        help="where to (default leaderboards/entries)",
    )


def submit(arguments: argparse.Namespace) -> int:
    """Write the entries, and print the next step."""
    import crossfake

    for path in crossfake.submit(arguments.run, arguments.entries):
        say(path)
    say(f"next: bench leaderboard --check {arguments.entries}, then commit these with their .parquet files")
    return 0
