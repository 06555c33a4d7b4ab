"""Names from files, made safe to show: no terminal codes, no spreadsheet formulas."""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import JsonValue

Content = TypeVar("Content", "dict[str, JsonValue]", "list[JsonValue]")

# Characters that move the cursor, clear the screen, hide or reverse text, or can't be encoded.
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
    """Print text from files or users, escaped; `aside`: on stderr."""
    print(escape(str(text)), file=sys.stderr if aside else sys.stdout, flush=True)


def escape_line(text: object) -> str:
    """Return text escaped on one line, as for an error: line breaks in a name are escaped, too."""
    return escape(str(text)).replace("\n", "\\n")


def escape_json(text: str) -> str:
    """Return JSON text with its control characters escaped as JSON has them."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def make_streams_lenient() -> None:
    """Let stdout and stderr escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_texts(content: Content, json_text: str | None = None) -> Content:
    """Return plain data with every text in it, keys too, escaped.

    Args:
        content: the data.
        json_text: the text it was read from; checking whether anything needs escaping takes a hundredth of the time.
    """
    if json_text is not None and not _holds_controls(json_text):
        return content
    if isinstance(content, dict):
        return {escape(key): _escape_value(value) for key, value in content.items()}
    return [_escape_value(value) for value in content]


def _escape_value(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return escape_texts(value)
    if isinstance(value, list):
        return escape_texts(value)
    return escape(value) if isinstance(value, str) else value


def _holds_controls(json_text: str) -> bool:
    """Whether texts in JSON may hold control characters. As they are, it allows only DEL of those in ASCII."""
    if "\\" in json_text and _JSON_CONTROLS.search(json_text):
        return True
    return "\x7f" in json_text if json_text.isascii() else _CONTROLS.search(json_text) is not None


def neutralise_formula(cell: object) -> object:
    """Return a CSV cell's text with `'` before anything that a spreadsheet would evaluate; numbers stay as they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_STARTS) or _is_number(cell):
        return cell
    return f"'{cell}"


def restore_formula(cell: str) -> str:
    """Undo `neutralise_formula`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def format_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV, without an index, with formulas neutralised."""
    texts = table.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = table.assign(**{name: table[name].map(_make_safe, na_action="ignore") for name in texts})
    safe = safe.rename(columns=_make_safe)
    return _write_plain(safe) if {*safe.dtypes.map(str)} <= _PLAIN else safe.to_csv(index=False)


_PLAIN = {"float64", "int64", "bool", "object", "str"}


def _write_plain(table: pd.DataFrame) -> str:
    """Write a table of plain Python values as `to_csv` does, in half the time."""
    lacking = [column.isna().tolist() for _, column in table.items()]
    columns = [
        ["" if lacks else value for value, lacks in zip(column.tolist(), known, strict=True)]
        for (_, column), known in zip(table.items(), lacking, strict=True)
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _make_safe(cell: object) -> object:
    return neutralise_formula(escape(cell) if isinstance(cell, str) else cell)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


def say_once(line: str) -> None:
    """Say something unexpected on stderr, once per process, to library users as well."""
    if line not in _said:
        _said.add(line)
        print(escape(line), file=sys.stderr, flush=True)


_said: set[str] = set()


def format_size(size: int) -> str:
    """Write bytes as `1.6 TB`."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
