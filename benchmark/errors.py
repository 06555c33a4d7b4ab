"""Mistakes that a user can mend, told in one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """What was wrong, what was found, what to type next: one line, no traceback, exit code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the closest known name, or the empty string."""
    by_folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""
