"""`bench check`: whether your own detector or dataset meets its contract."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench check ./mine.py:MyDetector
  bench check mypackage.detectors:MyDetector --set options.size=128
  bench check ./mine.py:MyDataset --data /datasets

Exit code: 0 if every part of the contract is met, 1 if one isn't, 2 if there is nothing to check.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "check", check, "test your own detector or dataset on tiny data, part by part", EPILOG)
    p.add_argument("plugin", metavar="PLUGIN", help="file.py:Class, package.module:Class, or a registered name")
    p.add_argument("--data", type=Path, metavar="ROOT", help="for a dataset: the folder that holds it")
    p.add_argument("--backend", default="", metavar="NAME", help="torch or jax, if there is a choice")
    common.add_runtime(p)
    common.add_json(p, "the verdicts")
    common.add_set(p)


def check(arguments: argparse.Namespace) -> int:
    """Print a line for each part of the contract."""
    import crossfake

    from ..stages.plugin_check import find_plugin

    entry, kind = find_plugin(arguments.plugin, arguments.backend)
    verdicts = []
    for verdict in crossfake.check_plugin(
        arguments.plugin,
        data=arguments.data,
        backend=arguments.backend,
        settings=arguments.overrides,
        **common.make_runtime_request(arguments),
    ):
        verdicts.append(verdict)
        if arguments.json != common.STDOUT:
            state, told = ("FAIL", verdict.failure) if verdict.failure else ("ok", verdict.seen)
            say(f"{state:<5}{verdict.part:<12} {told}")
    failed = [v.part for v in verdicts if v.failure]
    if arguments.json:
        parts = [v._asdict() for v in verdicts]
        common.write_json_to(arguments.json, {"plugin": arguments.plugin, "kind": kind, "parts": parts})
    if arguments.json != common.STDOUT:
        say(f"{entry.name} " + (f"violates the contract: {', '.join(failed)}" if failed else "meets the contract"))
    return 1 if failed else 0
