"""`bench probe`: what a detector's frozen features tell besides real or fake."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common

if TYPE_CHECKING:
    from ..core.progress import Reporter
    from ..stages.sources import Source

EPILOG = """\
examples:
  bench probe identity --checkpoint runs/demo/caddm.small/RUN/checkpoint.safetensors --test dfd
  bench probe identity --checkpoint RUN/checkpoint.safetensors --test ff++ --who donor --data leak

A linear classifier of people is trained on the pooled features of some videos and tested on others, five times; beside
it the same on the features of a network of random weights.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "probe", probe, "how well a detector's frozen features tell who is in a video", EPILOG)
    p.add_argument("what", choices=("identity",), help="what is to be told from the features")
    p.add_argument("--detector", default="", metavar="NAME", help="default: what the checkpoint says it is")
    p.add_argument("--test", required=True, metavar="DATASET", help="dataset whose people are told apart")
    p.add_argument("--split", default="test", metavar="SPLIT[,SPLIT]", help="train, val, test (default)")
    p.add_argument("--who", default="filmed", metavar="WHO", help="filmed: in real videos (default); donor: in fakes")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the random weights (default 0)")
    p.add_argument("--json", type=Path, metavar="OUT", help="write the result there")
    common.add_data(p)
    common.add_recipe(p)
    common.add_work(p)


def probe(arguments: argparse.Namespace) -> int:
    """Measure, print a line for each network, and write the JSON."""
    from ...detectors import create_from, get_cropper
    from ..core.progress import Reporter
    from ..core.scorecard import as_json
    from ..core.storage import write_json
    from ..stages.identity_probe import name_people, probe_identities

    common.quiet_libraries()
    splits, reporter, workers = common.parse_splits(arguments.split), Reporter(), common.count_workers(arguments)
    _check_arguments(arguments)
    entry, made_from = common.find_detector(arguments)
    source = _open_source(arguments, reporter)
    videos = [v for s in splits for v in source.split(s)]
    name_people(videos, arguments.who)  # Before the faces are sought: a wrong dataset shows at once.
    settings, trained = common.load_detector(entry, made_from, arguments, demo=source.root.demo is not None)
    random = create_from(entry, arguments.seed, **{k: v for k, v in settings.options.items() if k != "pretrained"})
    store = source.prepare(splits, settings.faces, reporter, workers)
    told = name_people([v for v in videos if store.frames(v.id)], arguments.who)
    with reporter.task(f"recognising people in {source.label}"):
        found = probe_identities((trained, random), get_cropper(trained, entry), store, told, workers, entry.plugin)
    result = {
        "schema_version": 1,
        "kind": "identity probe",
        "detector": entry.name,
        "checkpoint": str(arguments.checkpoint),
        "scored": source.label,
        "world": source.root.world,
        "protocol": source.root.protocol,
        "split": list(splits),
        "who": arguments.who,
        **as_json(found),
    }
    print(_format_result(result))
    if arguments.json:
        write_json(arguments.json, result)
    return 0


def _check_arguments(arguments: argparse.Namespace) -> None:
    from ...datasets.base import parse_name
    from ..core.errors import BenchError, require_known
    from ..stages.identity_probe import WHO

    if not arguments.checkpoint:
        raise BenchError("--checkpoint is missing: give the trained weights, such as RUN/checkpoint.safetensors")
    if len(common.parse_names(arguments.test)) != 1:
        raise BenchError(f"--test {arguments.test}: the probe takes one dataset, such as dfd")
    require_known("person to tell", arguments.who, WHO)
    parse_name(arguments.test)


def _open_source(arguments: argparse.Namespace, reporter: Reporter) -> Source:
    from ..stages.sources import find_root

    root = find_root(arguments.data, reporter, common.count_workers(arguments))
    return common.open_sources(arguments.test, root, arguments.limit)[0]


def _format_result(result: dict[str, Any]) -> str:
    from ...leaderboards.markdown import format_estimate, format_grid

    rows = [[name, format_estimate(result[name])] for name in ("accuracy", "random", "difference")]
    head = f"{result['people']} people ({result['who']}), {result['videos']} videos, chance {result['chance']:.3f}"
    return f"{head}\n\n{format_grid(['features', 'video accuracy [95 % CI]'], rows)}"
