"""`bench info`: everything known about a detector, dataset or checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from crossfake import ModelCard, PluginInfo

EPILOG = """\
examples:
  bench info caddm
  bench info celebdf
  bench info ./mine.py:MyDetector --json
  bench info runs/demo/caddm.small/RUN/checkpoint.safetensors
"""
TITLES = {"paper": "paper", "venue": "venue", "year": "year", "url": "where", "license": "licence"}


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "info", show, "show everything known about a detector, dataset or checkpoint", EPILOG)
    p.add_argument("name", metavar="NAME|CHECKPOINT", help="a name from bench list, or a file of weights")
    common.add_json(p, "all of it")


def show(arguments: argparse.Namespace) -> int:
    """Print a card, and a detector's options."""
    import crossfake

    is_file = Path(arguments.name).is_file() and not arguments.name.endswith(".py")
    info = crossfake.describe_checkpoint(arguments.name) if is_file else crossfake.describe(arguments.name)
    if arguments.json:
        common.write_json_to(arguments.json, info.to_json())
    if arguments.json != common.STDOUT:
        told = _format_info(info) if isinstance(info, crossfake.PluginInfo) else [_format_model_card(info)]
        say("\n\n".join(filter(None, told)))
    return 0


def _format_model_card(card: ModelCard) -> str:
    told = card.to_json() | {"options": ", ".join(f"{k} {v}" for k, v in card.options.items())}
    return "\n".join(f"{name.replace('_', ' ')}: {_or_unknown(value)}" for name, value in told.items() if value != "")


def _or_unknown(value: object) -> object:
    return "unknown" if value is None else value


def _format_info(info: PluginInfo) -> list[str]:
    import yaml

    from ...leaderboards.markdown import format_grid
    from ...leaderboards.published import make_published_grid

    card = {title: info.card[key] for key, title in TITLES.items() if info.card.get(key)}
    more = {k: value for k, value in info.card.items() if value and k not in (*TITLES, "title", "options", "takes")}
    head = [f"{info.name}: {info.card.get('title', '')}".rstrip(": ")]
    head += [f"also called: {', '.join(info.aliases)}"] if info.aliases else []
    head += [f"backends: {', '.join(info.backends)}"] if any(info.backends) else []
    head += [f"{name.replace('_', ' ')}: {_format_value(value)}" for name, value in {**card, **more}.items()]
    rows = [[f"options.{name}", kind, default] for name, kind, default in info.options]
    parts = ["\n".join(head), format_grid(["option (--set)", "type", "default"], rows) if rows else ""]
    if info.recipe:
        parts.append("recipe:\n" + yaml.safe_dump(info.recipe, sort_keys=False).rstrip())
    tests = dict.fromkeys(line["test"] for line in info.published if line["metric"] == "AUC")
    if tests:
        parts.append(
            "published AUCs (sources: bench published):\n" + format_grid(*make_published_grid(info.published, tests))
        )
    return parts


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({told})" if told else str(name) for name, told in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
