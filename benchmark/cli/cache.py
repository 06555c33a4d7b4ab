"""`bench cache`: list the cached faces, demo worlds and models with their sizes, and remove them."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ..core.display import format_size, say
from ..core.errors import BenchError
from . import common

if TYPE_CHECKING:
    from ..core.cache import Kept

EPILOG = """\
examples:
  bench cache
  bench cache --json
  bench cache prune faces/celebdf-as-is-3f2a91c07b
  bench cache prune --unused 90 --dry-run

Whatever is removed is rebuilt when needed; models are downloaded again. BENCH_CACHE=DIR moves the cache.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "cache", run, "list the cache with sizes, or remove parts of it", EPILOG)
    p.add_argument("asked", nargs="?", choices=("list", "prune"), default="list", metavar="list|prune")
    p.add_argument("names", nargs="*", default=[], metavar="NAME", help="what to remove, as bench cache lists it")
    p.add_argument("--unused", metavar="DAYS", help="remove what hasn't been used for this many days")
    p.add_argument("--dry-run", action="store_true", help="list what would be removed, and stop")
    common.add_json(p, "the list")


def run(arguments: argparse.Namespace) -> int:
    """List the cache, or remove some of it."""
    return prune(arguments) if arguments.asked == "prune" else show(arguments)


def show(arguments: argparse.Namespace) -> int:
    """Print what is kept, the largest first."""
    from tabulate import tabulate

    from ..core.cache import list_kept
    from ..core.storage import cache_home

    kept = list_kept()
    if arguments.json:
        content = [{"name": k.name, "path": str(k.path), "bytes": k.size, "used": int(k.used)} for k in kept]
        common.write_json_to(arguments.json, content)
    if arguments.json == common.STDOUT:
        return 0
    rows = [[k.name, format_size(k.size), time.strftime("%Y-%m-%d", time.localtime(k.used))] for k in kept]
    if rows:
        say(tabulate(rows, ["name", "size", "last used"], tablefmt="github", colalign=("left", "right", "left")))
    say(f"{format_size(sum(k.size for k in kept))} in {cache_home()}")
    return 0


def prune(arguments: argparse.Namespace) -> int:
    """Remove what is named, or hasn't been used for long; 1 if some of it is in use."""
    from ..core.cache import remove_kept, sweep_cache

    sweep_cache()
    code = 0
    for kept in choose_kept(arguments):
        if not arguments.dry_run:
            try:
                remove_kept(kept)
            except BenchError as error:
                say(f"bench: note: {error}", aside=True)
                code = 1
                continue
        say(f"{'would remove' if arguments.dry_run else 'removed'} {kept.name} ({format_size(kept.size)})")
    return code


def choose_kept(arguments: argparse.Namespace) -> list[Kept]:
    """Return what to remove.

    Raises:
        BenchError: nothing was chosen, or the cache doesn't have it.
    """
    from ..core.cache import find_kept, list_kept, parse_age

    if arguments.names:
        return find_kept(arguments.names)
    if arguments.unused is None:
        raise BenchError("say what to remove: names from bench cache, or --unused DAYS. Example: --unused 90")
    oldest = time.time() - parse_age(arguments.unused)
    return [kept for kept in list_kept() if kept.used < oldest]
