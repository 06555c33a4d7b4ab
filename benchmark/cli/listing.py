"""`bench list`: what there is, without importing any of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ..core.registry import Entry

KINDS = ("detectors", "datasets")


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "list", show, "list detectors and datasets", "examples:\n  bench list\n  bench list detectors --json\n"
    )
    p.add_argument("kind", nargs="?", choices=KINDS, metavar="detectors|datasets", help="default: both")
    common.add_json(p, "names and cards")


def show(arguments: argparse.Namespace) -> int:
    """Print names with their titles, or all there is to know as JSON."""
    from ..core.registry import Registry, datasets, detectors

    registries: list[Registry] = [r for r in (detectors, datasets) if arguments.kind in (None, r.kind)]
    if arguments.json:
        listed = {r.kind: [_entry_as_dict(e) for e in r.entries()] for r in registries}
        common.write_json_to(arguments.json, listed[arguments.kind] if arguments.kind else listed)
    if arguments.json == common.STDOUT:
        return 0
    for registry in registries:
        found = [_format_plugin([e for e in registry.entries() if e.name == name]) for name in registry.names()]
        width = max(len(name) for name, _ in found) + 2
        say("\n".join([f"{registry.kind}:", *(f"  {name:<{width}}{about}" for name, about in found)]))
    return 0


def _format_plugin(entries: list[Entry]) -> tuple[str, str]:
    """Return a plugin's name, and what there is to say of its backends' entries."""
    first = entries[0]
    backends = ", ".join(filter(None, (e.backend for e in entries)))
    also = f" (also {', '.join(first.aliases)})" if first.aliases else ""
    name = f"{first.name}:NAME" if "takes" in first.card else first.name
    return name, f"{first.card.get('title', '')}{f' [{backends}]' if backends else ''}{also}"


def _entry_as_dict(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "backend": entry.backend,
        "origin": entry.location,
        **entry.card,
    }
