"""`bench run`: the main job, from videos to a leaderboard."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ..core.progress import Reporter
    from ..stages.plan import Cell

EPILOG = """\
examples:
  bench run --detector caddm --train ff++ --test celebdf
  bench run --detector caddm,meso4 --train ff++:c23 --test ff++,celebdf,dfd,dfdc --data /datasets --seed 0,1,2
  bench run --detector ./mine.py:MyDetector --train ff++ --test dfdc --limit 20 --dry-run
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "run", run, "prepare, train, predict, score, and write a leaderboard", EPILOG)
    p.add_argument("--detector", required=True, metavar="NAME[,NAME]", help="see: bench list detectors")
    p.add_argument("--train", required=True, metavar="DATASET", help="dataset to train on, such as ff++ or ff++:c40")
    p.add_argument("--test", required=True, metavar="DATASET[,DATASET]", help="datasets to test on")
    common.add_data(p)
    common.add_recipe(p)
    common.add_run(p)
    p.add_argument("--dry-run", action="store_true", help="check everything, print the plan, and stop")


def run(arguments: argparse.Namespace) -> int:
    """Run a request that was typed; 1 if a cell failed."""
    from ..core.typed_commands import remember_command

    if not arguments.dry_run:
        remember_command(arguments.command)
    return run_request(arguments)


def run_request(arguments: argparse.Namespace) -> int:
    """Run a request; 1 if a cell failed."""
    from ..core.errors import BenchError
    from ..core.progress import Reporter
    from ..stages.plan import make_plan

    common.quiet_libraries()
    reporter = Reporter()
    request = common.make_request(arguments, common.parse_names(arguments.test))
    if not request.tests:
        raise BenchError("--test is empty. See: bench list datasets")
    cells = make_plan(request, arguments.data, reporter, arguments.pool, render=not arguments.dry_run)
    if arguments.dry_run:
        return show_plan(cells, arguments.data)
    return run_cells(cells, arguments, reporter)


def run_cells(cells: list[Cell], arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Run the cells, print their table, and write the leaderboard of all runs; 1 if a cell failed."""
    from ...leaderboards import board
    from ...leaderboards.terminal import format_summary
    from ..stages.runner import run

    cards = list(run(cells, common.make_run_options(arguments, reporter)))
    say("\n" + format_summary(cards))
    found, problems = board.load_cards_with_problems(arguments.runs)
    common.print_left_out(problems)
    paths = board.write(found, arguments.runs)
    say(f"\nleaderboard: {', '.join(map(str, paths))}")
    for folder in dict.fromkeys(cell.folder for cell in cells):
        say(f"run: {folder}")
    return int(any(c.status != "done" for c in cards))


def show_plan(cells: list[Cell], data: str | None) -> int:
    """Print what would be run on the data asked for."""
    from tabulate import tabulate

    from ..stages.plan import describe_plan
    from ..stages.sources import choose_data, parse_demo

    if not cells:
        size, seed = parse_demo(choose_data(data))
        say(
            "plan: names and settings are right; videos can't be counted, since this demo world is not rendered yet. "
            f"To render it: bench data demo --size {size} --seed {seed}"
        )
        return 0
    say(tabulate(describe_plan(cells), "keys", tablefmt="github"))
    return 0
