"""Mistakes that users can fix, explained in one line."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class BenchError(Exception):
    """What was wrong, what was found, what to type next: one line, no traceback, exit code 2."""


def describe_rows(numbers: Sequence[int], first: str) -> str:
    """Return the bad rows, and the advice: "in rows 2, 5. Fix or remove them (row 1 is `first`)"."""
    several, more = len(numbers) > 1, len(numbers) - 5
    named = ", ".join(map(str, numbers[:5])) + (f" and {more} more" if more > 0 else "")
    return f"in row{'s' * several} {named}. Fix or remove {'them' if several else 'it'} (row 1 is {first})"


def add_article(noun: str) -> str:
    """Return a noun with its article: "a method", "an identity"."""
    return f"{'an' if noun[:1] in tuple('aeiou') else 'a'} {noun}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the closest known name, or the empty string."""
    by_folded = {k.casefold(): k for k in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""


def make_unknown_error(problem: str, name: str, names: Iterable[str], advice: str = "") -> BenchError:
    """Return the error for a name that isn't among `names`: the problem, the nearest name, and advice or all names."""
    names = list(names)
    return BenchError(f"{problem}.{did_you_mean(name, names)} {advice or 'Known: ' + ', '.join(names)}")


def require_known(kind: str, name: str, names: Collection[str], more: str = "") -> None:
    """Refuse a name that isn't among `names`, suggesting the nearest; `more` is added after the list."""
    if name not in names:
        raise make_unknown_error(f"no {kind} named '{name}'", name, names, f"Known: {', '.join(names)}{more}")


def require_existing(path: Path, what: str) -> Path:
    """Return a path that exists.

    Raises:
        BenchError: it doesn't exist; names the nearest in its folder.
    """
    if path.exists():
        return path
    near = {p.name: p for p in path.parent.glob("[!.]*")} if path.parent.is_dir() else {}
    advice = did_you_mean(path.name, near) or f" {path.parent} has {', '.join(sorted(near)[:5]) or 'nothing'}"
    raise BenchError(f"no {what} {path}.{advice}")
