"""Names from files as they are shown: no terminal codes, no formulas of spreadsheets."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# What moves a cursor, clears a screen, hides or turns text around, or can't be encoded.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_JSON_CONTROLS = re.compile(r"\\[ubfr]")  # As JSON spells them.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape(text: str) -> str:
    """Return text that is safe on a terminal: control characters become escapes such as \\x1b; \\n and \\t stay."""
    return _CONTROLS.sub(_spell_out, text)


def _spell_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def say(text: object = "", aside: bool = False) -> None:
    """Print text from files or people, escaped; `aside`: on stderr."""
    print(escape(str(text)), file=sys.stderr if aside else sys.stdout, flush=True)


def escape_line(text: object) -> str:
    """Return text escaped on one line, such as an error's: a name with a line's end in it makes no second one."""
    return escape(str(text)).replace("\n", "\\n")


def escape_json(text: str) -> str:
    """Return JSON text with its control characters escaped as JSON has them."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def make_streams_lenient() -> None:
    """Let stdout and stderr spell out what their encoding lacks, instead of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_texts(content: Any, json_text: str | None = None) -> Any:
    """Return plain data with every text in it, keys too, escaped.

    Args:
        content: the data.
        json_text: what it was read from; looking whether there is anything to escape takes a hundredth of the time.
    """
    if json_text is not None and not _JSON_CONTROLS.search(json_text) and not _CONTROLS.search(json_text):
        return content
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


def restore_formula(cell: str) -> str:
    """Return a cell of a CSV as it was before `neutralise_formula`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def format_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV, without an index, that a spreadsheet shows and doesn't calculate."""
    texts = table.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = table.assign(**{name: table[name].map(_make_safe, na_action="ignore") for name in texts})
    return safe.rename(columns=_make_safe).to_csv(index=False)


def _make_safe(cell: object) -> object:
    return neutralise_formula(escape(cell) if isinstance(cell, str) else cell)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


def say_once(line: str) -> None:
    """Say on stderr, once a process, what was done that a person might not expect: to library users, too."""
    if line not in _said:
        _said.add(line)
        print(escape(line), file=sys.stderr, flush=True)


_said: set[str] = set()
