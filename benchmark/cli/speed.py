"""`bench speed`: how fast detectors are on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench speed caddm,pgfdd,xception
  bench speed runs/demo --seconds 20 --no-videos
  bench speed caddm --set options.backbone=resnet34 --device cuda --json
  bench speed runs/real/caddm/RUN/checkpoint.safetensors --test celebdf --data /datasets

A detector given by name has random weights, which doesn't affect speed; a run's folder or a checkpoint has its own.
Results go to speed/ in the folder of runs, where leaderboards find them. Leave the machine idle meanwhile: the load of
other work is measured and reported. docs/performance.md says what is measured, and how.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "speed", speed, "measure how fast detectors are on this machine", EPILOG)
    p.add_argument("names", nargs="+", metavar="NAME[,NAME]", help="a detector, a checkpoint, or a folder of runs")
    p.add_argument("--backend", default="", metavar="NAME", help="torch or jax; default: torch if there is a choice")
    common.add_config(p)
    ways = "torch (default), compile, onnxruntime, openvino, or all"
    p.add_argument("--runtime", default="", metavar="NAME[,NAME]", help=f"runtime for torch networks: {ways}")
    p.add_argument("--precision", default="", metavar="NAME", help="fp32 (default), tf32, bf16 or fp16")
    common.add_device(p)
    p.add_argument(
        "--threads", type=common.parse_positive, metavar="N", help="processor threads (default: torch's choice)"
    )
    p.add_argument(
        "--batch",
        type=parse_batch,
        default=None,
        metavar="auto|N",
        help="batch size: auto (the best of 1 to 512), or a number",
    )
    p.add_argument(
        "--seconds", type=common.parse_positive, default=60, metavar="N", help="approximate seconds per detector (60)"
    )
    p.add_argument(
        "--test", default="ff++", metavar="DATASET", help="dataset whose test videos are scored end to end (ff++)"
    )
    p.add_argument("--data", metavar="ROOT|demo", help="folder that holds it; default: $BENCH_DATA, else demo:tiny")
    p.add_argument("--no-videos", action="store_true", help="don't score videos end to end")
    p.add_argument("--again", action="store_true", help="repeat measurements already made here")
    p.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept (default runs/)")
    p.add_argument("--csv", type=Path, metavar="FILE", help="also write a table with timm's columns")
    common.add_json(p, "the results")


def parse_batch(text: str) -> int | None:
    """Read `auto`, or one size."""
    return None if text == "auto" else common.parse_batch_size(text)


def speed(arguments: argparse.Namespace) -> int:
    """Measure, and print a table."""
    import crossfake

    from ...leaderboards.speed_tables import make_speed_parts, make_timm_table
    from ..core.display import format_csv
    from ..core.storage import write_text

    names = ["backend", "config", "runtime", "precision", "device", "threads", "batch", "seconds"]
    names += ["test", "data", "again", "runs", "command"]
    found = crossfake.measure_speed(
        arguments.names,
        **{name: getattr(arguments, name) for name in names},
        settings=arguments.overrides,
        videos=not arguments.no_videos,
        progress=common.make_reporter(arguments),
    )
    if arguments.json:
        common.write_json_to(arguments.json, [one.to_json() for one in found])
    if arguments.json != common.STDOUT:
        common.print_parts(make_speed_parts(found))
    if arguments.csv:
        write_text(arguments.csv, format_csv(make_timm_table(found)))
    for one in found:
        say(f"kept: {one.locate(arguments.runs)}", aside=True)
    return 0
