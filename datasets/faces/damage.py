"""Detects damaged JPEG and PNG files.

libjpeg replaces damaged parts with grey or stripes and continues; libpng stops. Both report it only on stderr.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable

import av
import numpy as np
from av.error import FFmpegError

BEGIN, END = b"\xff\xd8", b"\xd9"
MARKER = re.compile(
    rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL
)  # Within data, FF is written FF 00, and FF D0 to D7 are restart markers.
LIBJPEG = re.compile(rb"Corrupt JPEG data: (?:(\d+) extraneous bytes before marker 0xd9)?[^\n]*\n")
PNG = b"\x89PNG\r\n\x1a\n"


def decode_undamaged(content: bytes, decode: Callable[[bytes], np.ndarray]) -> np.ndarray | None:
    """Decode a file's content; None if its data is damaged, as far as JPEG and PNG can tell."""
    if is_damaged(content):
        return None
    if not content.startswith(BEGIN):
        return decode(content)
    image, said = _listen(lambda: decode(content))
    return None if any(_is_serious(mark[1], content) for mark in LIBJPEG.finditer(said)) else image


def _listen(decode: Callable[[], np.ndarray]) -> tuple[np.ndarray, bytes]:
    """Decode, and return what libjpeg writes to stderr meanwhile: it reports damage only there."""
    try:
        terminal = os.dup(2)
    except OSError:  # There is no stderr.
        return decode(), b""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            image = decode()
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            file.seek(0)
            said = file.read()
            os.write(2, LIBJPEG.sub(b"", said))  # Lines from other sources.
    return image, said


def _is_serious(extraneous: bytes | None, content: bytes) -> bool:
    """Distinguish damage from the padding that some cameras write before the end of a file."""
    end = content.rfind(b"\xff\xd9")
    return not extraneous or len(set(content[max(0, end - int(extraneous)) : end])) > 1


def is_damaged(content: bytes) -> bool:
    """Return whether a JPEG or PNG file's data is damaged; False for other kinds of files."""
    return is_damaged_jpeg(content) or is_damaged_png(content)


def is_damaged_png(content: bytes) -> bool:
    """Return whether a PNG file's chunks don't match their checksums, or its end is missing."""
    if not content.startswith(PNG):
        return False
    place, kind = len(PNG), b""
    while kind != b"IEND":
        if place + 12 > len(content):
            return True
        (length,) = struct.unpack_from(">I", content, place)
        kind, end = content[place + 4 : place + 8], place + 8 + length
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(content[place + 4 : end])):
            return True
        place = end + 4
    return False


def is_damaged_jpeg(content: bytes) -> bool:
    """Return whether a JPEG file's data is inconsistent.

    FFmpeg's is the only decoder here with a strict mode, though it ignores markers inside the data. A file that it
    can't decode isn't necessarily damaged: it doesn't know every kind of JPEG. A few wrong bytes may still give a valid
    file with another picture.
    """
    if not content.startswith(BEGIN):
        return False
    return not _has_known_markers(content) or (not _decodes(content, strict=True) and _decodes(content, strict=False))


def _has_known_markers(content: bytes) -> bool:
    """Return whether all markers up to the end marker are valid."""
    place = len(BEGIN)
    while (mark := MARKER.search(content, place)) and mark[1] != END:
        if mark[1] < b"\xc0" or mark.end() + 2 > len(content):
            return False
        place = mark.end() + int.from_bytes(content[mark.end() : mark.end() + 2], "big")
    return mark is not None


def _decodes(content: bytes, strict: bool) -> bool:
    context = av.CodecContext.create("mjpeg", "r")
    context.thread_count, context.options = 1, {"err_detect": "explode"} if strict else {}
    try:
        return bool(context.decode(av.Packet(content)) + context.decode(None))
    except FFmpegError:
        return False
