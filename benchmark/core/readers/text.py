"""Text files in common encodings, and values shortened for messages."""

from __future__ import annotations

import codecs
import reprlib
from pathlib import Path

from ..display import escape
from ..errors import BenchError

MOST_LETTERS = 100  # letters of a value or a parser's message in an error


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return a file's content.

    Args:
        path: the file.
        most: the largest accepted size in bytes; None: any.

    Raises:
        BenchError: no such file, a folder, no permission, or it is larger.
    """
    try:
        size = path.stat().st_size
        if most is not None and size > most:
            raise BenchError(f"{path} holds {size:,} bytes; at most {most:,} are read")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        raise BenchError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None


def read_text(path: Path, most: int | None = None) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 if it begins with a byte order mark, which is removed.

    Raises:
        BenchError: it can't be read, is larger than `most` bytes, or isn't such text; names file and row.
    """
    return decode_text(read_bytes(path, most), str(path))


def decode_text(content: bytes, name: str) -> str:
    """Decode text as `read_text` does; `name` is its name in errors.

    Raises:
        BenchError: it is neither UTF-8 nor marked as UTF-16.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if wide:
            raise BenchError(f"{name} begins as UTF-16 but isn't: save it as UTF-8") from None
        row, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise BenchError(f"{name}, row {row}: not UTF-8 (byte 0x{byte:02x}). Save it as UTF-8") from None
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise BenchError(f"{name}, row {row}: contains a NUL character, so it isn't text. Save it as UTF-8")
    return text


def shorten_value(value: object) -> str:
    """Return a value's Python notation for a message, shortened however large or deep it is."""
    return shorten(_REPR.repr(value))


def shorten(text: object, most: int = MOST_LETTERS) -> str:
    """Return a text or a parser's message as one line of at most `most` letters, without control characters."""
    text = text if isinstance(text, str | Exception) else _REPR.repr(text)
    flat = escape(" ".join(str(text)[: 10 * most].split()))
    return flat if len(flat) <= most else flat[: most - 1] + "…"


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 3, MOST_LETTERS, MOST_LETTERS
