"""`bench eval`: test any trained model as it is."""

from __future__ import annotations

import argparse

from . import common
from .run import report_results, show_plan

EPILOG = """\
examples:
  bench eval runs/real/caddm/RUN/checkpoint.safetensors --test celebdf,dfdc --data /datasets
  bench eval onnx:model.onnx --test celebdf,./my_videos --data /datasets --mean 0.5 --std 0.5
  bench eval hf:./my_model --test dfdc --data /datasets --crop aligned
  bench eval timm:resnet50@weights.safetensors --test ./my_videos --fake 0
  bench eval ./mine.py:MyDetector --checkpoint weights.pth --test dfd --val ff++ --data /datasets

MODEL is a checkpoint, FILE.py:CLASS, a detector's name with --checkpoint, or a model in a file: onnx:FILE, hf:FOLDER,
hf:ORGANISATION/MODEL, timm:NAME@FILE. Thresholds and temperature are fixed on the val split of --val; without --val
there are none, and the card says so. A test set may be your own folder or table: docs/your_dataset.md.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "eval", evaluate, "test any trained model as it is", EPILOG)
    p.add_argument("model", metavar="MODEL", help="a checkpoint, FILE.py:CLASS, onnx:FILE, hf:FOLDER, timm:NAME@FILE")
    p.add_argument("--test", required=True, metavar="DATASET[,DATASET]", help="datasets, or folders, to test on")
    p.add_argument(
        "--val", default="", metavar="DATASET", help="dataset whose val split fixes thresholds (default: none)"
    )
    common.add_several_data(p)
    common.add_recipe(p)
    common.add_places(p)
    common.add_runtime(p)
    inputs = p.add_argument_group("for a model in a file that doesn't specify them itself")
    inputs.add_argument("--crop", default="box", metavar="CROP", help="box (default) or aligned, by five points")
    inputs.add_argument("--margin", type=float, default=1.3, metavar="M", help="crop side in face boxes (1.3)")
    inputs.add_argument("--size", type=common.parse_image_size, metavar="S", help="image side in pixels (224)")
    inputs.add_argument(
        "--mean", type=parse_channels, metavar="R,G,B", help="channel means, for pixels from 0 to 1 (ImageNet's)"
    )
    inputs.add_argument("--std", type=parse_channels, metavar="R,G,B", help="channel standard deviations (ImageNet's)")
    inputs.add_argument("--fake", type=int, choices=(0, 1), metavar="0|1", help="which output is fake (1)")
    inputs.add_argument("--output", metavar="KIND", help="logits (default) or probabilities")
    common.add_no_speed(p)
    p.add_argument("--dry-run", action="store_true", help="check everything, print the plan, and stop")


def parse_channels(text: str) -> tuple[float, ...]:
    """Read `0.5,0.5,0.5`, or one number for all three channels."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is not a list of three numbers, such as 0.5,0.5,0.5")
    return values * (3 // len(values))


def evaluate(arguments: argparse.Namespace) -> int:
    """Test, print the table, and write the leaderboard of all runs; 1 if a cell failed."""
    import crossfake
    from crossfake.evaluating import choose_model

    from ...detectors.model_files import Inputs
    from ..core.typed_commands import remember_command
    from ..stages.sources import parse_data

    names = ("test", "val", "checkpoint", "backend", "config", "limit", "exclude", "faces_only", "runs")
    asked: common.Keywords = {name: getattr(arguments, name) for name in names}
    asked |= {"data": parse_data(arguments.data), "settings": arguments.overrides}
    asked["engine"] = common.name_engine(arguments)
    asked |= common.make_runtime_request(arguments)
    inputs = Inputs(**{name: getattr(arguments, name) for name in Inputs._fields})
    model, asked["checkpoint"] = choose_model(arguments.model, arguments.checkpoint, inputs)
    if arguments.dry_run:
        planned = crossfake.plan(model, None, **asked, progress=common.make_reporter(arguments))
        return show_plan(planned, arguments.data)
    remember_command(arguments.command)
    found = crossfake.run(model, None, **asked, speed=arguments.speed, **common.make_work_options(arguments))
    return report_results(found, arguments.runs)
