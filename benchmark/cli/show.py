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
  bench show runs/demo/caddm.small/RUN/test.celebdf.KEY
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "show", show, "show a run: protocol, metrics, methods, groups, what was dropped", EPILOG)
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder, one of its test folders, or an entry's .json")


def show(arguments: argparse.Namespace) -> int:
    """Print every scorecard of the run."""
    import crossfake
    from rich.console import Console

    cards = crossfake.show(arguments.run)
    console = Console()
    for card in cards:
        for part in _render_card(card):
            console.print(part)
    return 0


def _render_card(card: Card) -> list[RenderableType]:
    from rich.rule import Rule
    from rich.text import Text

    from ...leaderboards.protocols import describe_origin, describe_protocol, display_name
    from ...leaderboards.terminal import format_footnote, make_card_tables, make_metrics_table
    from ..core.scorecard import ScoreCard

    cell = card.cell
    title = Text(f"{display_name(card)} ({cell.backend})  {cell.train} -> {cell.test}, seed {cell.seed}", "bold")
    head: list[RenderableType] = [Rule(title, align="left"), Text(describe_protocol(card), "dim")]
    head.append(Text(describe_origin(card), "dim"))
    if not isinstance(card, ScoreCard):
        return [*head, Text(f"{card.status}: {card.error}", "red")]
    dropped = [Text(f"not scored: {d.video} ({d.reason})", "yellow") for d in card.coverage.dropped]
    tables = [_make_table(*grid) for grid in (make_metrics_table(card), *make_card_tables(card))]
    command = card.provenance.command if card.provenance else ""
    return [*head, *tables, Text(format_footnote(card)), *dropped, Text(command, "dim"), Text()]


def _make_table(header: list[str], rows: list[list[str]]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(Text(name), no_wrap=i == 0) for i, name in enumerate(header)]
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
