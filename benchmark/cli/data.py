"""`bench data`: render the demo world, check datasets, prepare faces ahead of a run, import other tools' faces."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ...datasets.integrity import Report
    from ..stages.prepare import PreparedSource

MAX_SHOWN = 10

EPILOG = """\
examples:
  bench data demo --out ./world --size tiny
  bench data check ff++,celebdf --data /datasets
  bench data prepare ff++,celebdf --data /datasets
  bench data import deepfakebench /DeepfakeBench
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb and its own verbs."""
    p = common.add_verb(
        verbs,
        "data",
        lambda a: a.parser.error("say which: demo, check, prepare or import"),
        "render the demo world; check, prepare or import data",
        EPILOG,
    )
    parts = p.add_subparsers(dest="part", metavar="PART")
    demo = common.add_verb(parts, "demo", render, "render the synthetic demo world, in the official dataset layouts")
    demo.add_argument(
        "--out", type=Path, metavar="ROOT", help="output folder (default: the cache, where runs look for it)"
    )
    demo.add_argument("--size", default="default", metavar="SIZE", help="tiny, default, large or fair")
    demo.add_argument(
        "--seed", type=common.parse_seed, default=0, metavar="N", help="another seed, another world (default 0)"
    )
    demo.add_argument(
        "--world",
        default="standard",
        metavar="WORLD",
        help="standard, or leak: fakes from three donors, to measure identity leakage",
    )
    demo.add_argument("--workers", type=common.parse_workers, metavar="N", help="processes (default: the cores)")
    check = common.add_verb(
        parts, "check", check_data, "compare the files on disk with the official counts and lists", EPILOG
    )
    _add_datasets(check)
    check.add_argument("--data", metavar="ROOT|demo", help="folder that holds the datasets; default: $BENCH_DATA")
    check.add_argument("--deep", action="store_true", help="also decode every video")
    common.add_json(check, "the whole report, with complete lists,")
    check.add_argument(
        "--workers", type=common.parse_workers, metavar="N", help="processes for --deep (default: the cores)"
    )
    prepare = common.add_verb(parts, "prepare", prepare_faces, "find faces and store them, ahead of a run", EPILOG)
    _add_datasets(prepare)
    _add_faces(prepare)
    common.add_part(prepare, "prepare the I-th of N parts of the videos, for N machines that share a store")
    common.add_engine(prepare)
    common.add_data(prepare)
    common.add_faces_only(prepare)
    brought = common.add_verb(parts, "import", import_faces, "store the faces that another tool has prepared", EPILOG)
    brought.add_argument("format", metavar="FORMAT", help="deepfakebench[:LIST], caddm-frames, crops-csv:FILE, folder")
    brought.add_argument("path", type=Path, metavar="PATH", help="the folder that the tool wrote")
    brought.add_argument("--landmarks", type=Path, metavar="FILE", help="CADDM's ldm.json, if it isn't in PATH")
    common.add_split(brought, "train,val,test", "default: all")
    brought.set_defaults(limit=None, part="", faces_only=False, engine="inline", address="", gpus_per_group=None)
    _add_faces(brought)


def _add_datasets(p: argparse.ArgumentParser) -> None:
    p.add_argument("datasets", metavar="DATASET[,DATASET]", help="see: bench list datasets")
    common.add_split(p, "train,val,test", "default: all")


def _add_faces(p: argparse.ArgumentParser) -> None:
    p.add_argument("--detector", default="caddm", metavar="NAME", help="whose face settings to use")
    p.add_argument(
        "--weights", type=Path, metavar="FILE", help="a face model to store and use: RetinaFace's, or dlib's 81 points"
    )
    common.add_config(p)
    common.add_workers(p)


def render(arguments: argparse.Namespace) -> int:
    """Render the demo world."""
    import crossfake

    world = {"size": arguments.size, "seed": arguments.seed, "world": arguments.world}
    say(
        crossfake.render_demo(
            arguments.out, **world, workers=arguments.workers, progress=common.make_reporter(arguments)
        )
    )
    return 0


def check_data(arguments: argparse.Namespace) -> int:
    """Check some datasets; 0 if all are complete, 1 if something is missing or wrong, 2 if a dataset isn't there."""
    import crossfake

    from ...datasets.integrity import EXIT

    reports = crossfake.check_data(
        arguments.datasets,
        data=arguments.data,
        splits=arguments.split,
        deep=arguments.deep,
        workers=arguments.workers,
        progress=common.make_reporter(arguments),
    )
    if arguments.json:
        common.write_json_to(arguments.json, [r.as_json() for r in reports])
    if arguments.json != common.STDOUT:
        _print_reports(reports)
    return max(EXIT[r.status] for r in reports)


def _print_reports(reports: list[Report]) -> None:
    from tabulate import tabulate

    for report in reports:
        say(f"{report.dataset} in {report.home or report.root}: {report.status}")
        if report.looked_for:
            say(f"  looked for videos in: {', '.join(report.looked_for)}")
        rows = [
            [c.compression, c.split, c.kind, c.found, "?" if c.official is None else c.official] for c in report.counts
        ]
        if rows:
            say(tabulate(rows, ["compression", "split", "kind", "found", "official"], tablefmt="github"))
        _print_list("missing", report.missing)
        _print_list("unreadable", [f"{video}: {why}" for video, why in report.unreadable.items()])
        _print_list("the same file twice", [" = ".join(same) for same in report.duplicates])
        _print_list("not of this dataset", [f"{file}: {why}" for file, why in report.foreign.items()])
        for fault in report.faults:
            say(f"  problem: {fault}")
        for cause in report.causes:
            say(f"  note: {cause}")


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        say(f"  {title}: {len(lines)}")
    for line in lines[:MAX_SHOWN]:
        say(f"    {line}")
    if len(lines) > MAX_SHOWN:
        say(f"    ... and {len(lines) - MAX_SHOWN} more: --json lists all")


def prepare_faces(arguments: argparse.Namespace) -> int:
    """Prepare the faces of some datasets, and report the outcome; 1 if one has no video with a face."""
    return _prepare(arguments.datasets, arguments.data, arguments)


def import_faces(arguments: argparse.Namespace) -> int:
    """Store the faces that another tool has prepared, and say how to use them; 1 if a list has no face."""
    from ..stages.prepare import list_import_names

    names = list_import_names(arguments.format, arguments.path, arguments.landmarks)
    worked = _prepare(names, arguments.path, arguments)
    for name in names:
        say(f"to use it: bench run ... --data {arguments.path} --test {name}")
    return worked


def _prepare(names: str | Sequence[str], data: Path | str | None, arguments: argparse.Namespace) -> int:
    import crossfake

    usable = []
    for found in crossfake.prepare(
        names,
        data=data,
        splits=arguments.split,
        detector=arguments.detector,
        config=arguments.config,
        settings=arguments.overrides,
        weights=arguments.weights,
        limit=arguments.limit,
        workers=arguments.workers,
        part=arguments.part,
        faces_only=arguments.faces_only,
        engine=common.name_engine(arguments),
        progress=common.make_reporter(arguments),
    ):
        _print_prepared(found)
        usable.append(found.usable)
    return 0 if all(usable) else 1


def _print_prepared(found: PreparedSource) -> None:
    from tabulate import tabulate

    from ...datasets.faces.report import summarise_results

    say(tabulate(summarise_results(found.results), headers="keys", tablefmt="github"))
    told = f"{len(found.problems)} of them with remarks: {found.report}"
    say(f"{found.source.label}: {len(found.results)} videos, {told}")
    for result in [r for r in found.problems if r.status != "ok"][:MAX_SHOWN]:
        say(f"  {result.video}: {result.status} {result.reason}".rstrip())
