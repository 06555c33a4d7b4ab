"""`bench list`: what there is, without importing any of it."""

from __future__ import annotations

import argparse
from typing import Any

from . import common

KINDS = ("detectors", "datasets")


def add(verbs: Any) -> None:
    """Add the verb."""
    p = common.verb(
        verbs, "list", show, "list detectors and datasets", "examples:\n  bench list\n  bench list detectors --json\n"
    )
    p.add_argument("kind", nargs="?", choices=KINDS, metavar="detectors|datasets", help="default: both")
    p.add_argument("--json", action="store_true", help="names and cards as JSON")


def show(arguments: argparse.Namespace) -> int:
    """Print names with their titles, or everything as JSON."""
    from ..registry import Registry, datasets, detectors

    registries: list[Registry] = [r for r in (detectors, datasets) if arguments.kind in (None, r.kind)]
    if arguments.json:
        import json

        listed = {r.kind: [_plain(e) for e in r.entries()] for r in registries}
        print(json.dumps(listed[arguments.kind] if arguments.kind else listed, indent=2))
        return 0
    for registry in registries:
        print(f"{registry.kind}:")
        for name in registry.names():
            entries = [e for e in registry.entries() if e.name == name]
            backends = ", ".join(filter(None, (e.backend for e in entries)))
            also = f" (also {', '.join(entries[0].aliases)})" if entries[0].aliases else ""
            shown = f"{name}:NAME" if "takes" in entries[0].card else name
            print(f"  {shown:<18}{entries[0].card.get('title', '')}{f' [{backends}]' if backends else ''}{also}")
    return 0


def _plain(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "backend": entry.backend,
        "origin": entry.origin,
        **entry.card,
    }
