"""`bench predict`: score pictures and videos, or a whole dataset, with a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common

if TYPE_CHECKING:
    from ..core.progress import Reporter
    from ..core.registry import Entry
    from ..stages.media import FileResult
    from ..stages.sources import Source

EPILOG = """\
examples:
  bench predict clip.mp4 photos/ --checkpoint runs/real/caddm/RUN/checkpoint.safetensors
  bench predict group.jpg --checkpoint C.safetensors --annotate marked/ --format json
  bench predict --checkpoint runs/demo/caddm.small/RUN/checkpoint.safetensors --test dfdc
  bench predict --detector caddm --checkpoint resnet34.pkl --set options.backbone=resnet34 --test celebdf --data /d

A video's score is its main person's: the mean over evenly spaced frames. Every face of a picture has its own.
Ends with 1 if a file couldn't be read; a file without a face is no mistake, and is said.
"""
FORMATS = ("table", "csv", "json")


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "predict", predict, "score pictures and videos, or a dataset, with a checkpoint", EPILOG)
    p.add_argument("files", nargs="*", type=Path, metavar="FILE|FOLDER", help="pictures, videos, folders of them")
    p.add_argument("--detector", default="", metavar="NAME", help="default: what the checkpoint says it is")
    p.add_argument("--format", default="table", metavar="FORMAT", help="of files' scores: table (default), csv or json")
    p.add_argument("--annotate", type=Path, metavar="DIR", help="write the files there with boxes and scores drawn in")
    p.add_argument("--test", default="", metavar="DATASET[,DATASET]", help="score datasets instead of files")
    p.add_argument("--split", default="test", metavar="SPLIT", help="of a dataset: train, val or test (default)")
    p.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="where its .parquet goes (default .)")
    common.add_data(p)
    common.add_recipe(p)
    common.add_work(p)


def predict(arguments: argparse.Namespace) -> int:
    """Score files and print their scores, or datasets and print the paths of the prediction files."""
    from ..core.errors import BenchError, require_known

    common.quiet_libraries()
    require_known("format", arguments.format, FORMATS)
    if bool(arguments.files) == bool(common.parse_names(arguments.test)):
        raise BenchError(
            "name what to score: files or folders, or else --test DATASET. See: bench predict --help"
            if not arguments.files
            else "files and --test are two things to score: give one of them"
        )
    return predict_files(arguments) if arguments.files else predict_datasets(arguments)


def predict_files(arguments: argparse.Namespace) -> int:
    """Score pictures and videos."""
    from ...datasets.faces.finder import load_finder
    from ...detectors import get_cropper
    from ..core.progress import Reporter
    from ..stages.annotate import annotate
    from ..stages.media import FileScorer, list_files

    files = list_files(arguments.files)
    entry, made_from = common.find_detector(arguments)
    settings, detector = common.load_detector(entry, made_from, arguments, demo=False)
    finder = load_finder(settings.faces.finder)
    scorer = FileScorer(detector, get_cropper(detector, entry), finder, settings.faces, arguments.batch_size)
    scored = []
    with Reporter(aside=True).task(f"scoring {len(files)} file{'s' * (len(files) > 1)}") as tick:
        for path, name in files.items():
            scored.append(scorer(path))
            if arguments.annotate and scored[-1].people:
                annotate(path, scored[-1], arguments.annotate, name)
            tick(len(scored), len(files))
    print(_format_scores(scored, arguments.format))
    return 1 if any(s.status == "unreadable" for s in scored) else 0


def _format_scores(scored: list[FileResult], format: str) -> str:
    """Write scores as JSON with every face, as CSV with a row a face, or as a table with a row a person."""
    import json

    import pandas as pd
    from tabulate import tabulate

    if format == "json":
        return json.dumps([s.to_dict() for s in scored], indent=2)
    if format == "csv":
        table = pd.DataFrame([row for s in scored for row in s.list_face_rows()])
        return table.convert_dtypes().to_csv(index=False).rstrip()
    return tabulate([row for s in scored for row in s.list_person_rows()], headers="keys", floatfmt=".3f")


def predict_datasets(arguments: argparse.Namespace) -> int:
    """Score datasets, and print the paths of the prediction files."""
    from ...datasets.base import parse_name
    from ..core.errors import require_known
    from ..core.progress import Reporter
    from ..core.types import SPLITS
    from ..stages.sources import find_root

    reporter = Reporter()
    require_known("split", arguments.split, SPLITS)
    for name in common.parse_names(arguments.test):
        parse_name(name)
    entry, made_from = common.find_detector(arguments)
    root = find_root(arguments.data, reporter, common.count_workers(arguments))
    for source in common.open_sources(arguments.test, root, arguments.limit):
        print(_predict(source, entry, made_from, arguments, reporter))
    return 0


def _predict(
    source: Source, entry: Entry, made_from: dict[str, Any], arguments: argparse.Namespace, reporter: Reporter
) -> Path:
    from ...detectors import get_cropper
    from ..core.errors import BenchError
    from ..core.keys import code_hash, file_hash, hash_key
    from ..core.predictions import PartialPredictions
    from ..stages.predict import predict

    videos = source.split(arguments.split)
    if not videos:
        raise BenchError(f"{source.label} has no videos in its {arguments.split} split. Use --split test")
    settings, detector = common.load_detector(entry, made_from, arguments, demo=source.root.demo is not None)
    workers = common.count_workers(arguments)
    store = source.prepare([arguments.split], settings.faces, reporter, workers)
    path: Path = arguments.out / f"{entry.name}__{source.label}.parquet".replace("/", "-").replace(":", "-")
    weights = file_hash(arguments.checkpoint) if arguments.checkpoint else None
    made_by = [
        weights,
        code_hash(entry),
        entry.backend,
        settings.options,
        str(store.folder),
        source.key([arguments.split]),
    ]
    partial_predictions = PartialPredictions(path, hash_key(made_by))
    with reporter.task(f"scoring {source.label} {arguments.split}") as tick:
        table, metadata = predict(
            detector,
            get_cropper(detector, entry),
            store,
            videos,
            workers=workers,
            tick=tick,
            batch_size=arguments.batch_size,
            plugin=entry.plugin,
            partial_predictions=partial_predictions,
        )
    partial_predictions.finish(table, {**metadata, "scored": source.label, "split": arguments.split})
    return path
