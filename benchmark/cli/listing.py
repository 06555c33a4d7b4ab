"""`bench list`: all detectors and datasets, without importing any of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.display import say
from . import common

if TYPE_CHECKING:
    from ..core.registry import Entry

KINDS = ("detectors", "datasets")
FIELDS = {
    "paper": "paper",
    "venue": "venue",
    "year": "year",
    "url": "where",
    "license": "licence",
    "weights": "weights",
    "input": "input",
    "crop": "crop",
    "normalisation": "normalisation",
    "pooling": "pooling",
    "faithful_to": "a row is faithful to",
}
PAGE = """\
# Detectors

The cards of the detectors that come with crossfake, as `bench list detectors --markdown` prints them; a test compares.
`variant` says whose version it is: the paper's, the authors' released code, or DeepfakeBench's. A variant that isn't
the default is part of the row's name. The papers' recipes are in `configs/`. `bench info NAME` shows a card with all
options and published numbers.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "list", show, "list detectors and datasets", "examples:\n  bench list\n  bench list detectors --json\n"
    )
    p.add_argument("kind", nargs="?", choices=KINDS, metavar="detectors|datasets", help="default: both")
    common.add_json(p, "names and cards")
    p.add_argument("--markdown", action="store_true", help="the shipped detectors' cards as a page: docs/detectors.md")


def show(arguments: argparse.Namespace) -> int:
    """Print names with their titles, or everything as JSON."""
    from ..core.registry import Registry, datasets, detectors

    if arguments.markdown:
        say(format_page(detectors.entries()))
        return 0
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


def format_page(entries: Sequence[Entry]) -> str:
    """Return docs/detectors.md: the cards of those of these detectors that are shipped."""
    shipped = [e for e in entries if e.target.startswith("crossfake.")]
    cards: dict[str, dict[str, object]] = {}
    backends: dict[str, list[str]] = {}
    for entry in sorted(shipped, key=lambda e: e.backend != "torch"):  # Ports repeat a part of PyTorch's card.
        cards.setdefault(entry.name, dict(entry.card))
        backends.setdefault(entry.name, []).append(entry.backend)
    lines = [PAGE]
    for name in sorted(cards):
        lines += [f"## {name}", "", str(cards[name].get("title", "")), ""]
        told = {title: cards[name].get(key) for key, title in FIELDS.items()}
        defaults = ", ".join(f"{k} {v}" for k, v in _as_dict(cards[name].get("defaults")).items())
        told |= {"defaults": defaults, "backends": ", ".join(backends[name])}
        lines += [*(f"- {title}: {value}" for title, value in told.items() if value), ""]
    return "\n".join(lines).rstrip()


def _as_dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _format_plugin(entries: list[Entry]) -> tuple[str, str]:
    """Return a plugin's name, and one line about the entries of its backends."""
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
