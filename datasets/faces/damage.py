"""Telling damaged JPEG files from good ones: libjpeg paints over wrong bytes in grey or in stripes, and decodes on."""

from __future__ import annotations

import re

import av
from av.error import FFmpegError

BEGIN, END = b"\xff\xd8", b"\xd9"
MARKER = re.compile(
    rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL
)  # Within data FF is FF 00, and FF D0 to D7 are signposts.


def is_damaged_jpeg(content: bytes) -> bool:
    """Tell whether a JPEG file's data doesn't fit together.

    FFmpeg's decoder is the one here that can be told to be strict, though not about marks within the data. What it
    can't decode at all isn't damaged for that: it doesn't know every kind of JPEG. A few wrong bytes may still make a
    valid file of another picture.
    """
    if not content.startswith(BEGIN):
        return False
    return not _has_known_markers(content) or (not _decodes(content, strict=True) and _decodes(content, strict=False))


def _has_known_markers(content: bytes) -> bool:
    """Tell whether all that marks a part, up to the end's mark, is one that there is."""
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
