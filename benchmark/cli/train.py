"""`bench train`: the train stage alone."""

from __future__ import annotations

import argparse

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench train caddm --train ff++
  bench train xception --train ff++:c40 --data /datasets --seed 0,1,2
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "train", train, "train a detector, selected on the training set's validation split", EPILOG
    )
    p.add_argument("detector", metavar="DETECTOR[,DETECTOR]", help="see: bench list detectors")
    p.add_argument("--train", required=True, metavar="DATASET", help="dataset to train on")
    common.add_data(p)
    common.add_recipe(p)
    common.add_run(p)


def train(arguments: argparse.Namespace) -> int:
    """Train, and print where the checkpoints are."""
    from ..core.progress import Reporter
    from ..stages.plan import make_plan
    from ..stages.runner import train_cell

    common.quiet_libraries()
    reporter = Reporter()
    # A cell needs a test set; for training alone the train set stands in, and its test split is never looked at.
    request = common.make_request(arguments, (arguments.train,))
    options = common.make_run_options(arguments, reporter)
    for cell in make_plan(request, arguments.data, reporter, options.pool, tests=False):
        say(train_cell(cell, options))
    return 0
