"""`bench probe`: what a detector's frozen features encode besides real or fake."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ..stages.identity_probe import IdentityProbe

EPILOG = """\
examples:
  bench probe identity --checkpoint runs/demo/caddm.small/RUN/checkpoint.safetensors --test dfd
  bench probe identity --checkpoint RUN/checkpoint.safetensors --test ff++ --who source --data leak

A linear classifier of people is trained on the pooled features of some videos and tested on others, five times. The
same is done with the features of a network with random weights, for comparison.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "probe", probe, "measure how well a detector's frozen features identify who is in a video", EPILOG
    )
    p.add_argument("what", choices=("identity",), help="what to predict from the features")
    p.add_argument("--detector", default="", metavar="NAME", help="default: what the checkpoint says it is")
    p.add_argument("--test", required=True, metavar="DATASET", help="dataset whose people are to be identified")
    p.add_argument("--split", default="test", metavar="SPLIT[,SPLIT]", help="train, val, test (default)")
    p.add_argument(
        "--who",
        default="target",
        metavar="WHO",
        help="target (who is in real videos, default) or source (whose face is in fakes)",
    )
    p.add_argument(
        "--seed", type=common.parse_seed, default=0, metavar="N", help="seed of the random weights (default 0)"
    )
    common.add_json(p, "the result")
    common.add_data(p)
    common.add_recipe(p)
    common.add_work(p)
    common.add_device(p)


def probe(arguments: argparse.Namespace) -> int:
    """Measure, print a line for each network, and write the JSON."""
    import crossfake

    from ..core.errors import BenchError

    if not arguments.checkpoint:
        raise BenchError("--checkpoint is missing: give the trained weights, such as RUN/checkpoint.safetensors")
    result = crossfake.probe_identity(
        arguments.test,
        **common.make_detector_request(arguments),
        data=arguments.data,
        split=arguments.split,
        who=_rename_who(arguments.who),
        seed=arguments.seed,
        limit=arguments.limit,
        workers=arguments.workers,
        device=arguments.device,
        progress=common.make_reporter(arguments),
    )
    if arguments.json:
        common.write_json_to(arguments.json, result.to_json())
    if arguments.json != common.STDOUT:
        say(_format_result(result))
    return 0


def _rename_who(who: str) -> str:
    """Return the current word for whom to identify; --who still accepts the former words."""
    from ..stages.identity_probe import FORMER_WHO

    if who not in FORMER_WHO:
        return who
    now = FORMER_WHO[who]
    say(f"bench: note: --who {who} is now called {now}. Use --who {now}", aside=True)
    return now


def _format_result(result: IdentityProbe) -> str:
    from ...leaderboards.formats import format_estimate
    from ...leaderboards.markdown import format_grid

    found = {"accuracy": result.accuracy, "random": result.random, "difference": result.difference}
    rows = [[name, format_estimate(e)] for name, e in found.items()]
    head = f"{result.people} people ({result.who}), {result.videos} videos, chance {result.chance:.3f}"
    return f"{head}\n\n{format_grid(['features', 'video accuracy [95 % CI]'], rows)}"
