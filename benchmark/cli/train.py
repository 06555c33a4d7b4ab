"""`bench train`: the train stage alone."""

from __future__ import annotations

import argparse

from ..core.display import say
from . import common
from .ranks import share_with_ranks

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
    common.add_several_data(p)
    common.add_recipe(p)
    common.add_run(p)
    common.add_device(p)


@share_with_ranks
def train(arguments: argparse.Namespace) -> int:
    """Train, and print where the checkpoints are."""
    import crossfake

    asked = common.make_run_request(arguments)
    for checkpoint in crossfake.train(**asked, device=arguments.device, **common.make_work_options(arguments)):
        say(checkpoint)
    return 0
