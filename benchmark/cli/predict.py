"""`bench predict`: score pictures and videos, or a whole dataset, with a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import escape_json, format_csv, say
from . import common

if TYPE_CHECKING:
    from ..stages.media import FileResult

EPILOG = """\
examples:
  bench predict clip.mp4 photos/ --checkpoint runs/real/caddm/RUN/checkpoint.safetensors
  bench predict group.jpg --checkpoint C.safetensors --annotate marked/ --format json
  bench predict --checkpoint runs/demo/caddm.small/RUN/checkpoint.safetensors --test dfdc
  bench predict --detector caddm --checkpoint resnet34.pkl --set options.backbone=resnet34 --test celebdf --data /d

A video's score is that of its main person: the mean over evenly spaced frames. In a picture, every face has a score.
Exit code 1 if a file couldn't be read. Files without a face are reported, but aren't errors.
"""
FORMATS = ("table", "csv", "json")


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "predict", predict, "score pictures and videos, or a dataset, with a checkpoint", EPILOG)
    p.add_argument("files", nargs="*", type=Path, metavar="FILE|FOLDER", help="pictures, videos, folders of them")
    p.add_argument("--detector", default="", metavar="NAME", help="default: what the checkpoint says it is")
    p.add_argument(
        "--format", default="table", metavar="FORMAT", help="format of the files' scores: table (default), csv or json"
    )
    p.add_argument(
        "--annotate", type=Path, metavar="DIR", help="write copies of the files there, with boxes and scores drawn in"
    )
    p.add_argument("--test", default="", metavar="DATASET[,DATASET]", help="score datasets instead of files")
    p.add_argument("--split", default="test", metavar="SPLIT", help="split of a dataset: train, val or test (default)")
    p.add_argument(
        "--out", type=Path, default=Path("."), metavar="DIR", help="output folder of its .parquet (default .)"
    )
    common.add_data(p)
    common.add_recipe(p)
    common.add_work(p)
    common.add_runtime(p)


def predict(arguments: argparse.Namespace) -> int:
    """Score files and print their scores, or datasets and print the paths of the prediction files."""
    from ..core.errors import BenchError, require_known

    require_known("format", arguments.format, FORMATS)
    if bool(arguments.files) == bool(common.parse_names(arguments.test)):
        raise BenchError(
            "name what to score: files or folders, or else --test DATASET. See: bench predict --help"
            if not arguments.files
            else "files and --test can't be scored together: give only one of them"
        )
    return predict_files(arguments) if arguments.files else predict_datasets(arguments)


def predict_files(arguments: argparse.Namespace) -> int:
    """Score pictures and videos."""
    import crossfake

    scored = crossfake.predict(
        arguments.files,
        **common.make_detector_request(arguments),
        **common.make_runtime_request(arguments),
        annotate=arguments.annotate,
        batch_size=arguments.batch_size,
        progress=common.make_reporter(arguments),
    )
    say(_format_scores(scored, arguments.format))
    return 1 if any(s.status == "unreadable" for s in scored) else 0


def _format_scores(scored: list[FileResult], format: str) -> str:
    """Write scores as JSON with every face, CSV with one row per face, or a table with one row per person."""
    import json

    import pandas as pd
    from tabulate import tabulate

    if format == "json":
        return escape_json(json.dumps([s.to_dict() for s in scored], indent=2))
    if format == "csv":
        table = pd.DataFrame([row for s in scored for row in s.list_face_rows()])
        return format_csv(table.convert_dtypes()).rstrip()
    return tabulate([row for s in scored for row in s.list_person_rows()], headers="keys", floatfmt=".3f")


def predict_datasets(arguments: argparse.Namespace) -> int:
    """Score datasets, and print the paths of the prediction files."""
    import crossfake

    for path in crossfake.predict_dataset(
        arguments.test,
        **common.make_detector_request(arguments),
        **common.make_runtime_request(arguments),
        data=arguments.data,
        split=arguments.split,
        limit=arguments.limit,
        out=arguments.out,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
        progress=common.make_reporter(arguments),
    ):
        say(path)
    return 0
