"""JSON with limited depth and an expected type."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from ..errors import BenchError
from .text import decode_text, read_bytes, shorten

MOST_DEPTH = 100
MOST_BYTES = 4 * 2**30
KINDS: dict[type, str] = {dict: "keys and values ({...})", list: "a list ([...])"}
_KEY_ENDS = re.compile(r'"\s*:')
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
T = TypeVar("T", bound=dict[Any, Any] | list[Any])


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
        found = _load(text)
        if _HALF_CHARACTER.search(text):
            json.dumps(found, ensure_ascii=False).encode()  # A lone surrogate can be neither printed nor written.
    except RecursionError:
        raise BenchError(f"{name} is nested more than {MOST_DEPTH} levels deep{advice}") from None
    except ValueError as error:
        raise BenchError(f"{name} can't be read as JSON ({shorten(error)}){advice}") from None
    if not isinstance(found, expected):
        raise BenchError(f"{name} holds {shorten(found)}; expected {KINDS[expected]}{advice}")
    check_depth(found, name, advice)
    return found


def _load(text: str) -> object:
    """Parse JSON and refuse repeated keys, in half the time of a check of each key if none is repeated.

    Counting decides: only keys have a colon after their closing quote. So does a text that begins with a colon, which
    only costs time.
    """
    try:
        found = from_json(text)
    except ValueError as error:
        if "recursion limit" in str(error):  # Python's own parser would exhaust the stack.
            raise RecursionError from None
        return json.loads(text, object_pairs_hook=_make_dict)  # This one reports the key.
    if _count_keys(found) == len(_KEY_ENDS.findall(text)):
        return found
    return json.loads(text, object_pairs_hook=_make_dict)


def _count_keys(content: object) -> int:
    level, keys = [content], 0
    while level := [value for value in level if type(value) is dict or type(value) is list]:
        keys += sum([len(value) for value in level if type(value) is dict])
        level = [inner for value in level for inner in (value.values() if type(value) is dict else value)]
    return keys


def _make_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {shorten(twice)} is given twice")
    return found


def check_depth(content: object, name: str, advice: str = "") -> None:
    """Refuse nesting so deep that recursive code would fail.

    Raises:
        BenchError: there are more than 100 levels.
    """
    level = [content]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise BenchError(f"{name} is nested more than {MOST_DEPTH} levels deep{advice}")
