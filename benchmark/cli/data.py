"""`bench data`: the demo world, and preparing faces ahead of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import common

EPILOG = """\
examples:
  bench data demo --out ./world --size tiny
  bench data prepare ff++,celebdf --data /datasets
"""


def add(verbs: Any) -> None:
    """Add the verb and its own verbs."""
    p = common.verb(
        verbs,
        "data",
        lambda a: a.parser.error("say which: demo or prepare"),
        "render the demo world; prepare faces",
        EPILOG,
    )
    parts = p.add_subparsers(dest="part", metavar="PART")
    demo = common.verb(parts, "demo", render, "render the synthetic demo world, in the official dataset layouts")
    demo.add_argument("--out", type=Path, metavar="ROOT", help="where to (default: the cache, where runs look for it)")
    demo.add_argument("--size", default="default", metavar="SIZE", help="tiny, default or large")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another world (default 0)")
    demo.add_argument(
        "--world",
        default="standard",
        metavar="WORLD",
        help="standard, or leak: fakes from three donors, to measure identity leakage",
    )
    demo.add_argument("--workers", type=int, metavar="N", help="processes (default: the cores)")
    prepare = common.verb(parts, "prepare", prepare_faces, "find faces and store them, ahead of a run", EPILOG)
    prepare.add_argument("datasets", metavar="DATASET[,DATASET]", help="see: bench list datasets")
    prepare.add_argument("--splits", default="train,val,test", metavar="SPLIT[,SPLIT]", help="default: all")
    prepare.add_argument("--detector", default="caddm", metavar="NAME", help="whose face settings to use")
    common.add_data(prepare)
    common.add_recipe(prepare)
    common.add_work(prepare)


def render(arguments: argparse.Namespace) -> int:
    """Render the demo world."""
    from ..data import SIZES, WORLDS, demo_folder, render_demo
    from ..plan import known
    from ..progress import Reporter

    known("size", arguments.size, SIZES)
    known("world", arguments.world, WORLDS)
    out = arguments.out or demo_folder(arguments.size, arguments.seed, arguments.world)
    render_demo(out, arguments.size, arguments.seed, arguments.world, Reporter(), common.workers_of(arguments))
    print(out)
    return 0


def prepare_faces(arguments: argparse.Namespace) -> int:
    """Prepare the faces of some datasets, and tell how it went; 1 if no video could be prepared."""
    from ...datasets.base import parse_name
    from ..config import load_settings
    from ..data import find_root
    from ..errors import BenchError
    from ..plan import known
    from ..progress import Reporter
    from ..registry import detectors

    common.quiet_libraries()
    reporter = Reporter()
    if not common.names(arguments.datasets):
        raise BenchError("no dataset named. See: bench list datasets")
    for name in common.names(arguments.datasets):
        parse_name(name)
    for split in common.names(arguments.splits):
        known("split", split, ("train", "val", "test"))
    detector = detectors.find(arguments.detector).name
    root = find_root(arguments.data, reporter, common.workers_of(arguments))
    settings = load_settings(
        detector, demo=root.demo is not None, config=arguments.config, overrides=arguments.overrides
    )
    sources = common.sources_of(arguments.datasets, root, arguments.limit)
    found = [_prepare(source, settings, arguments, reporter) for source in sources]
    return 0 if all(found) else 1


def _prepare(source: Any, settings: Any, arguments: argparse.Namespace, reporter: Any) -> int:
    from collections import Counter

    from ...datasets.faces.prepare import prepare
    from ..store import locked

    videos = [v for split in common.names(arguments.splits) for v in source.split(split)]
    folder = source.store_folder(settings.faces)
    with locked(folder), reporter.task(f"preparing {source.label}") as tick:
        store = prepare(videos, settings.faces, folder, common.workers_of(arguments), tick)
    outcomes = store.outcomes()
    counts = Counter(outcomes[v.id].status for v in videos)
    print(f"{source.label}: {len(videos)} videos: {', '.join(f'{n} {status}' for status, n in counts.most_common())}")
    for v in videos:
        if outcomes[v.id].status != "ok":
            print(f"  {v.id}: {outcomes[v.id].status} {outcomes[v.id].reason}".rstrip())
    print(f"  faces: {folder}")
    return counts["ok"]
