"""`bench leaderboard`: tables and pages from a folder of runs; checks of submitted entries."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench leaderboard --runs runs --out docs
  bench leaderboard --check
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "leaderboard", leaderboard, "write leaderboard.md, .csv, .json and .html from a folder of runs", EPILOG
    )
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs are (default runs/)")
    p.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: the runs' folder)")
    p.add_argument("--name", default="leaderboard", metavar="NAME", help="the files' name (default leaderboard)")
    p.add_argument(
        "--add",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.zip",
        help="first unpack runs from another machine (its bench run --export) into the runs' folder; repeatable",
    )
    p.add_argument(
        "--check",
        type=Path,
        nargs="?",
        const=common.ENTRIES,
        metavar="DIR",
        help="check submitted entries instead (default leaderboards/entries); exit code 1 if one is wrong",
    )


def leaderboard(arguments: argparse.Namespace) -> int:
    """Collect, write and print the board (1 if a file had to be left out), or check entries."""
    import crossfake

    from ..core.run_archives import unpack_runs

    if arguments.check:
        return check(arguments.check)
    for archive in arguments.add:
        say(f"{archive}: {len(unpack_runs(archive, arguments.runs))} files added to {arguments.runs}", aside=True)
    paths, problems = crossfake.leaderboard(arguments.runs, arguments.out, arguments.name)
    common.print_left_out(problems)
    say("\n".join(map(str, paths)) + "\n\n" + paths[0].read_text("utf-8"))
    return int(bool(problems))


def check(folder: Path) -> int:
    """Print what is wrong with submitted entries; 1 if something is."""
    import crossfake

    if folder == common.ENTRIES and not folder.exists():
        say(f"no entries: there is no {folder} here. To add one: bench submit RUN")
        return 0

    count, problems = crossfake.check_entries(folder)
    say("\n".join([*problems, f"entries: {count}, problems: {len(problems) or 'none'}"]))
    return int(bool(problems))
