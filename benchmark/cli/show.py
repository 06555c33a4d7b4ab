"""`bench show`: a run's scorecards on the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..core.scorecard import Card

EPILOG = """\
examples:
  bench show runs/demo/caddm.small/RUN
  bench show runs/demo/caddm.small/RUN/test.celebdf.KEY --all
  bench show 3f2a91c07b --runs runs --json
"""
MOST_DROPPED = 5


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "show", show, "show a run: protocol, metrics, methods, groups, dropped videos", EPILOG)
    p.add_argument(
        "run", metavar="RUN|ROW", help="a run's folder, a test folder of it, an entry's .json, or a row's key"
    )
    p.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="where to look for a row (default runs/)"
    )
    p.add_argument("--all", action="store_true", help="every metric, and every dropped video")
    common.add_json(p, "the scorecards")


def show(arguments: argparse.Namespace) -> int:
    """Print the scorecards of a run or row."""
    import crossfake
    from rich.console import Console

    cards = crossfake.show(arguments.run, runs=arguments.runs)
    if arguments.json:
        common.write_json_to(arguments.json, [card.to_json() for card in cards])
    console = Console()
    for card in cards if arguments.json != common.STDOUT else ():
        for part in _render_card(card, arguments.all):
            console.print(part)
    return 0


def _render_card(card: Card, everything: bool) -> list[RenderableType]:
    from rich.rule import Rule
    from rich.text import Text

    from ...leaderboards.protocols import describe_origin, describe_protocol, display_name
    from ...leaderboards.terminal import SUMMARY, format_footnote, make_card_tables, make_metrics_table
    from ..core.scorecard import ScoreCard

    cell = card.cell
    title = Text(f"{display_name(card)} ({cell.backend})  {cell.train} -> {cell.test}, seed {cell.seed}", "bold")
    head: list[RenderableType] = [Rule(title, align="left"), Text(describe_protocol(card), "dim")]
    head.append(Text(describe_origin(card), "dim"))
    if card.provenance and card.provenance.device.name:
        head.append(Text(f"scored on {card.provenance.device.describe()}", "dim"))
    if not isinstance(card, ScoreCard):
        return [*head, Text(f"{card.status}: {card.error}", "red")]
    dropped = [f"not scored: {d.video} ({d.reason})" for d in card.coverage.dropped]
    if not everything and len(dropped) > MOST_DROPPED:
        dropped[MOST_DROPPED:] = [f"not scored: {len(dropped) - MOST_DROPPED} more videos"]
    grids = [make_metrics_table(card, () if everything else SUMMARY), *make_card_tables(card, everything)]
    tables = [common.make_table(*grid) for grid in grids if grid[1]]
    foot = [format_footnote(card), *([] if everything else ["all metrics and groups: --all"])]
    command = card.provenance.command if card.provenance else ""
    return [*head, *tables, *map(Text, foot), *(Text(d, "yellow") for d in dropped), Text(command, "dim"), Text()]
