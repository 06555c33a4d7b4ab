"""Names from files as they are shown: no terminal codes, no formulas of spreadsheets."""

from __future__ import annotations

import re
from typing import Any

# What moves a cursor, clears a screen, hides or turns text around, or can't be encoded.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape(text: str) -> str:
    """Return text that is safe on a terminal: control characters become escapes such as \\x1b; \\n and \\t stay."""
    return _CONTROLS.sub(_spell_out, text)


def _spell_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def escape_texts(content: Any) -> Any:
    """Return plain data with every text in it, keys too, escaped."""
    if isinstance(content, dict):
        return {escape_texts(key): escape_texts(value) for key, value in content.items()}
    if isinstance(content, list):
        return [escape_texts(value) for value in content]
    return escape(content) if isinstance(content, str) else content


def neutralise_formula(cell: object) -> object:
    """Return a text cell of a CSV with `'` before what a spreadsheet would calculate; numbers stay as they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_STARTS) or _is_number(cell):
        return cell
    return f"'{cell}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
