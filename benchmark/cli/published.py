"""`bench published`: results reported by papers and projects, as a matrix."""

from __future__ import annotations

import argparse

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench published
  bench published caddm
  bench published celebdf
  bench published --json | jq '.[] | select(.test == "DFDC")'

Without a name: the AUCs on FF++, Celeb-DF, DFD and DFDC. The numbers are the authors' own, under different protocols:
compare one with a row of a board only if train set, test set and level are the same.
"""
USUAL = ("FF++ c23", "Celeb-DF-v2", "DFD", "DFDC")


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "published", show, "show published numbers of a detector or test set, with sources", EPILOG
    )
    p.add_argument("name", nargs="?", default="", metavar="DETECTOR|DATASET", help="default: the four usual test sets")
    common.add_json(p, "all numbers, including other metrics,")


def show(arguments: argparse.Namespace) -> int:
    """Print a matrix of AUCs, and their sources."""
    import crossfake

    from ...leaderboards.markdown import format_grid
    from ...leaderboards.published import make_published_grid

    lines = crossfake.list_published(arguments.name)
    if arguments.json:
        common.write_json_to(arguments.json, lines)
    if arguments.json == common.STDOUT:
        return 0
    tests = dict.fromkeys(line["test"] for line in lines if line["metric"] == "AUC")
    header, rows = make_published_grid(lines, tests if arguments.name else USUAL)
    shown = {row[-2] for row in rows}
    say(format_grid(header, rows))
    say("\nSources:")
    for source in dict.fromkeys(f"{x['source']}: {x['citation']}" for x in lines if x["source"] in shown):
        say(f"- {source}")
    others = len(lines) - sum(bool(value) for row in rows for value in row[3:-2])
    if others:
        say(f"\n{others} more lines, of other test sets and metrics: bench published {arguments.name} --json".rstrip())
    return 0
