"""JSON with limited depth and an expected type."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic_core import from_json

from ..errors import BenchError
from .text import decode_text, read_bytes, shorten

MOST_DEPTH = 100
MOST_BYTES = 4 * 2**30
KINDS: dict[type, str] = {dict: "keys and values ({...})", list: "a list ([...])"}
_KEY_ENDS = re.compile(r'"\s*:')
_SPACED_COLON = re.compile(r":(?<=\s:)")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
T = TypeVar("T", bound=dict[str, object] | list[object])


def read_json(path: Path, expected: type[T], hint: str = "", most: int = MOST_BYTES) -> T:
    """Read a JSON file.

    Args:
        path: the file.
        expected: `dict` or `list`, the type of its content.
        hint: what to do about a file that can't be read, such as "Download it again".
        most: the largest accepted size in bytes.

    Raises:
        BenchError: no such file, not JSON, a repeated key, not the `expected` type, nested too deeply,
            or too large; one line that names the file.
    """
    return parse_json(read_bytes(path, most), expected, str(path), hint)


def parse_json(content: bytes | str, expected: type[T], name: str, hint: str = "") -> T:
    """Parse JSON as `read_json` does; `name` is what errors call it.

    Raises:
        BenchError: see `read_json`.
    """
    advice = f". {hint}" if hint else ""
    text = content if isinstance(content, str) else decode_text(content, name)
    try:
        found, levels = _load(text)
        if levels > MOST_DEPTH:
            raise RecursionError
        if "\\" in text and _HALF_CHARACTER.search(text):
            json.dumps(found, ensure_ascii=False).encode()  # A lone surrogate can be neither printed nor written.
    except RecursionError:
        raise BenchError(f"{name} is nested more than {MOST_DEPTH} levels deep{advice}") from None
    except ValueError as error:
        raise BenchError(f"{name} can't be read as JSON ({shorten(error)}){advice}") from None
    if not isinstance(found, expected):
        raise BenchError(f"{name} holds {shorten(found)}; expected {KINDS[expected]}{advice}")
    return found


def _load(text: str) -> tuple[object, int]:
    """Parse JSON and refuse repeated keys, in half the time of a check of each key if none is repeated.

    Counting decides: only keys have a colon after their closing quote. So does a text that begins with a colon, which
    only costs time.

    Returns:
        What was parsed, and how many levels deep it is.
    """
    try:
        found = from_json(text)
    except ValueError as error:
        if "recursion limit" in str(error):  # Python's own parser would exhaust the stack.
            raise RecursionError from None
        found = json.loads(text, object_pairs_hook=_make_dict)  # This one reports the key.
        return found, _count(found)[0]
    levels, keys = _count(found)
    if keys != _count_key_ends(text):
        found = json.loads(text, object_pairs_hook=_make_dict)
    return found, levels


def _count_key_ends(text: str) -> int:
    """Count the quotes before a colon; where no colon has space before it, in half the time."""
    return len(_KEY_ENDS.findall(text)) if _SPACED_COLON.search(text) else text.count('":')


def _count(content: object) -> tuple[int, int]:
    """Count the levels of lists and mappings, and the keys of all mappings."""
    levels = keys = 0
    level = [content] if isinstance(content, dict | list) else []
    while level:
        levels += 1
        keys += sum([len(outer) for outer in level if type(outer) is dict])
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    return levels, keys


def _make_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {shorten(twice)} is given twice")
    return found
