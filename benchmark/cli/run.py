"""`bench run`: the main job, from videos to a leaderboard."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import format_size, say
from ..core.errors import BenchError
from ..core.storage import WriteError
from . import common
from .ranks import share_with_ranks

if TYPE_CHECKING:
    from crossfake import Plan, Results

EPILOG = """\
examples:
  bench run --detector caddm --train ff++ --test celebdf
  bench run --detector caddm,meso4 --train ff++:c23 --test ff++,celebdf,dfd,dfdc --data /datasets --seed 0,1,2
  bench run --detector ./mine.py:MyDetector --train ff++ --test dfdc --limit 20 --dry-run
"""
PLAN_EPILOG = """\
examples:
  bench plan --detector caddm --train ff++ --test celebdf,dfdc --data /datasets --seed 0,1,2
  bench plan --detector caddm,xception --train ff++ --test celebdf --data /datasets --json
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb, and `plan`, which is `run --dry-run`."""
    p = common.add_verb(verbs, "run", run, "prepare, train, predict, score, and write a leaderboard", EPILOG)
    _add_request(p)
    common.add_no_speed(p)
    p.add_argument("--dry-run", action="store_true", help="check everything, print the plan, and stop: bench plan")
    common.add_json(p, "with --dry-run: the plan")
    p.add_argument(
        "--export",
        type=Path,
        metavar="FILE.zip",
        help="pack the runs with their cards and predictions, for bench leaderboard --add on another machine",
    )
    planned = common.add_verb(verbs, "plan", plan, "show what a run would do, and its cost", PLAN_EPILOG)
    _add_request(planned)
    common.add_json(planned, "the plan")


def _add_request(p: argparse.ArgumentParser) -> None:
    p.add_argument("--detector", required=True, metavar="NAME[,NAME]", help="see: bench list detectors")
    p.add_argument("--train", required=True, metavar="DATASET", help="dataset to train on, such as ff++ or ff++:c40")
    p.add_argument("--test", required=True, metavar="DATASET[,DATASET]", help="datasets to test on")
    common.add_several_data(p)
    common.add_recipe(p)
    common.add_run(p)
    common.add_part(p, "run every N-th training, starting with the I-th, as in an array of jobs (docs/scaling.md)")
    common.add_runtime(p)


@share_with_ranks
def run(arguments: argparse.Namespace) -> int:
    """Run a request, print its table, and write the leaderboard of all runs; 1 if a cell failed."""
    import crossfake

    from ..core.run_archives import pack_runs
    from ..core.typed_commands import remember_command

    if arguments.dry_run:
        return plan(arguments)
    if arguments.json:
        raise BenchError(f"--json goes with --dry-run; a run's results are in {arguments.runs / 'leaderboard.json'}")
    asked = common.make_run_request(arguments) | _name_own(arguments)
    remember_command(arguments.command)
    found = crossfake.run(test=arguments.test, **asked, speed=arguments.speed, **common.make_work_options(arguments))
    code = report_results(found, arguments.runs)
    if arguments.export:
        count = pack_runs(found.folders, arguments.runs, arguments.export)
        say(f"exported: {count} files of {len(found.folders)} runs in {arguments.export}")
    return code


def _name_own(arguments: argparse.Namespace) -> common.Keywords:
    """Return the arguments that a run has in addition to a training's."""
    return {"part": arguments.part, **common.make_runtime_request(arguments)}


def plan(arguments: argparse.Namespace) -> int:
    """Check a request, and print what it would do and its cost."""
    import crossfake

    asked = common.make_run_request(arguments) | _name_own(arguments)
    planned = crossfake.plan(test=arguments.test, **asked, progress=common.make_reporter(arguments))
    return show_plan(planned, arguments.data, arguments.json)


def report_results(found: Results, runs: Path) -> int:
    """Print the results, and write the leaderboard of all runs; 1 if a cell failed."""
    from ...leaderboards.speed_tables import make_speed_parts
    from ...leaderboards.terminal import summarise_cells

    common.print_parts([*summarise_cells(list(found.cards)), *make_speed_parts(found.speeds)])
    _write_board(runs)
    for folder in found.folders:
        say(f"run: {folder}")
    say(f"next: bench show {found.folders[0]}", aside=True)
    return int(bool(found.failures))


def _write_board(runs: Path) -> None:
    """Write the leaderboard of all runs; in a read-only folder, say so: complete runs can still be read."""
    from crossfake.scoring import refresh_leaderboard

    try:
        paths, problems = refresh_leaderboard(runs)
    except WriteError as error:
        if not error.is_refused:
            raise
        elsewhere = f"bench leaderboard --runs {shlex.quote(str(runs))} --out DIR"
        say(f"no leaderboard: {error.filename} can't be written ({error.strerror}). Elsewhere: {elsewhere}", aside=True)
        return
    common.print_left_out(problems)
    say(f"leaderboard: {', '.join(map(str, paths))}")


def show_plan(planned: Plan, data: list[str], json: Path | None = None) -> int:
    """Print what would be run, its cost, and the recipes."""
    import yaml
    from tabulate import tabulate

    from ..stages.plan import describe_plan, describe_recipes
    from ..stages.sources import choose_data, parse_demo

    if json:
        common.write_json_to(json, planned.describe())
    if json == common.STDOUT:
        return 0
    if not planned.cells:
        places = [text.rpartition("=")[2] for text in data]
        size, seed = parse_demo(next((p for p in places if p.startswith("demo")), "") or choose_data(None))
        say(
            "plan: names and settings are right; videos can't be counted, since this demo world is not rendered yet. "
            f"To render it: bench data demo --size {size} --seed {seed}"
        )
        return 0
    say(tabulate(describe_plan(list(planned.cells)), "keys", tablefmt="github"))
    _say_costs(planned)
    for name, recipe in describe_recipes(list(planned.cells)).items():
        say(f"\nrecipe of {name}:\n{yaml.safe_dump(recipe, sort_keys=False).rstrip()}")
    return 0


def _say_costs(planned: Plan) -> None:
    from tabulate import tabulate

    from ..stages.plan_costs import PREPARED_S, estimate_groups, estimate_preparation

    groups, faces = estimate_groups(planned.cells), estimate_preparation(planned.cells)
    say(f"\n{tabulate([g.describe() for g in groups], 'keys', tablefmt='github', missingval='?')}")
    known = [g.hours for g in groups if g.hours is not None]
    lacking = len(groups) - len(known)
    unknown = f" (no rate is known yet for {lacking} of {len(groups)})" if lacking else ""
    say(f"training and scoring: {sum(known):.1f} h at the pace of earlier runs{unknown}")
    how = (
        "as measured"
        if faces.is_measured
        else f"at {PREPARED_S} s per video and core (assumed: nothing was measured here)"
    )
    size = f"{format_size(faces.bytes)} of {format_size(faces.free_bytes)} free"
    say(f"faces to find: {faces.videos} videos, {faces.hours:.1f} h {how}; {size}")
