"""`bench predict`: score a dataset with a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common

if TYPE_CHECKING:
    from ..data import Source
    from ..progress import Reporter
    from ..registry import Entry

EPILOG = """\
examples:
  bench predict --checkpoint runs/demo/caddm.small/RUN/checkpoint.safetensors --test dfdc
  bench predict --detector caddm --checkpoint resnet34.pkl --set options.backbone=resnet34 --test celebdf --data /d
"""


def add(verbs: Any) -> None:
    """Add the verb."""
    p = common.verb(verbs, "predict", predict, "score a dataset's test split with a checkpoint", EPILOG)
    p.add_argument("--detector", default="", metavar="NAME", help="default: what the checkpoint says it is")
    p.add_argument("--test", required=True, metavar="DATASET[,DATASET]", help="datasets to score")
    p.add_argument("--split", default="test", metavar="SPLIT", help="train, val or test (default)")
    p.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="where the .parquet files go (default .)")
    common.add_data(p)
    common.add_recipe(p)
    common.add_work(p)


def predict(arguments: argparse.Namespace) -> int:
    """Score, and print the paths of the prediction files."""
    from ...datasets.base import parse_name
    from ..checkpoints import header
    from ..data import find_root
    from ..errors import BenchError
    from ..plan import known
    from ..progress import Reporter
    from ..registry import detectors

    common.quiet_libraries()
    reporter = Reporter()
    if not common.names(arguments.test):
        raise BenchError("--test is empty. See: bench list datasets")
    known("split", arguments.split, ("train", "val", "test"))
    for name in common.names(arguments.test):
        parse_name(name)
    made_from = header(arguments.checkpoint) if arguments.checkpoint else {}
    wanted = arguments.detector or made_from.get("detector")
    if not wanted:
        raise BenchError("say which detector this is: --detector NAME. See: bench list detectors")
    entry = detectors.find(wanted, arguments.backend)
    root = find_root(arguments.data, reporter, common.workers_of(arguments))
    for source in common.sources_of(arguments.test, root, arguments.limit):
        print(_predict(source, entry, made_from, arguments, reporter))
    return 0


def _predict(
    source: Source, entry: Entry, made_from: dict[str, Any], arguments: argparse.Namespace, reporter: Reporter
) -> Path:
    from ...datasets.faces.prepare import prepare
    from ...detectors import create_from, cropper_of, load_from
    from ..config import load_settings
    from ..errors import BenchError
    from ..predict import predict, write_predictions
    from ..store import locked

    settings = load_settings(
        entry.name,
        demo=source.root.demo is not None,
        made_from=made_from,
        config=arguments.config,
        overrides=arguments.overrides,
    )
    weights = arguments.checkpoint
    videos, folder = source.split(arguments.split), source.store_folder(settings.faces)
    if not videos:
        raise BenchError(f"{source.label} has no videos in its {arguments.split} split. Use --split test")
    detector = load_from(entry, weights, **settings.options) if weights else create_from(entry, **settings.options)
    if not weights and hasattr(detector, "load"):
        raise BenchError(f"{entry.name} needs weights: --checkpoint FILE. To train it: bench train {entry.name}")
    workers = common.workers_of(arguments)
    with locked(folder), reporter.task(f"preparing {source.label} {arguments.split}") as tick:
        store = prepare(videos, settings.faces, folder, workers, tick)
    with reporter.task(f"scoring {source.label} {arguments.split}") as tick:
        table, facts = predict(
            detector,
            cropper_of(detector, entry),
            store,
            videos,
            workers=workers,
            tick=tick,
            batch_size=arguments.batch_size,
            plugin=entry.plugin,
        )
    path: Path = arguments.out / f"{entry.name}__{source.label}.parquet".replace("/", "-").replace(":", "-")
    write_predictions(path, table, {**facts, "scored": source.label, "split": arguments.split})
    return path
