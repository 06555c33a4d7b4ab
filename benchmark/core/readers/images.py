"""Pictures, checked by their header before decoding: a small file can expand to gigabytes of pixels."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BenchError
from ..limits import MOST_PIXELS

if TYPE_CHECKING:
    import numpy as np

Size = tuple[int, int]
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {0xC0 + i for i in range(16)} - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # Markers without a length.
_TIFF_TYPES = {1: 1, 3: 2, 4: 4, 16: 8}


class UnreadableImage(BenchError):
    """A picture that can't be read; its message is the reason."""


def read_image(path: Path) -> np.ndarray:
    """Read a picture, upright, as uint8 (H, W, 3) RGB.

    Raises:
        UnreadableImage: it isn't there, can't be decoded, or is larger than 100 megapixels.
    """
    return decode_image(read_image_file(path))


def read_image_file(path: Path) -> bytes:
    """Return a picture file's content.

    Raises:
        UnreadableImage: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"it can't be read: {error.strerror or error}") from None


def decode_image(content: bytes | memoryview) -> np.ndarray:
    """Decode a picture file's content, upright, to uint8 (H, W, 3) RGB.

    Raises:
        UnreadableImage: it can't be decoded, or is larger than 100 megapixels.
    """
    import cv2
    import numpy as np

    check_image_size(content)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # Empty, or, in formats whose header isn't checked above, too many pixels.
        image = None
    if image is None:
        raise UnreadableImage("it can't be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image_size(content: bytes | memoryview) -> None:
    """Refuse a picture whose header claims too many pixels, or too large a part of it, so that it is never decoded.

    Raises:
        UnreadableImage: it is larger than 100 megapixels, or a PNG's chunk is larger than the file.
    """
    width, height = find_image_size(content) or (0, 0)
    if width * height > MOST_PIXELS:
        raise UnreadableImage(f"it has {width} x {height} pixels, more than {MOST_PIXELS // 10**6} megapixels")
    if bytes(content[:8]) == _PNG and _has_overlong_chunk(content):
        raise UnreadableImage("it can't be decoded")


def _has_overlong_chunk(content: bytes | memoryview) -> bool:
    """Return whether a chunk of a PNG claims more bytes than the whole file has: OpenCV would allocate them all."""
    place = len(_PNG)
    while place + 4 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        if length > len(content):
            return True
        place += 12 + length
    return False


def find_image_size(content: bytes | memoryview) -> Size | None:
    """Return (width, height) from the header of a PNG, JPEG, BMP, WebP, TIFF, GIF or netpbm file; None: unknown.

    Like OpenCV, this goes by a file's content, not by its name.
    """
    head = bytes(content[:64])
    find = next((find for magic, find in _FORMATS.items() if head.startswith(magic)), None)
    try:
        return find(content) if find else None
    except (struct.error, IndexError, ValueError):  # Cut short: OpenCV will say that it can't be decoded.
        return None


def _find_png(content: bytes | memoryview) -> Size:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _find_gif(content: bytes | memoryview) -> Size:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _find_bmp(content: bytes | memoryview) -> Size:
    (length,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", content, 18)
    return abs(width), abs(height)


def _find_jpeg(content: bytes | memoryview) -> Size | None:
    """Return the largest size that the file's frame headers claim."""
    place, found = 2, None
    while place + 4 <= len(content):
        if content[place] != 0xFF or content[place + 1] in _JPEG_ALONE or content[place + 1] == 0xFF:
            place += 1
            continue
        marker, (length,) = content[place + 1], struct.unpack_from(">H", content, place + 2)
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            found = max(found or (0, 0), (width, height), key=lambda size: size[0] * size[1])
        if marker == 0xDA:  # The picture itself follows.
            break
        place += 2 + length
    return found


def _find_webp(content: bytes | memoryview) -> Size | None:
    kind = bytes(content[12:16])
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8X":
        low, width, middle, height = struct.unpack_from("<HBHB", content, 24)
        return (low | width << 16) + 1, (middle | height << 16) + 1
    return None


def _find_tiff(content: bytes | memoryview) -> Size | None:
    """Return the size in the first directory, of TIFF or BigTIFF in either order of bytes."""
    order = "<" if content[0] == 0x49 else ">"
    big = struct.unpack_from(order + "H", content, 2)[0] == 43
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, place)
    place += 8 if big else 2
    found: dict[int, int] = {}
    for i in range(min(count, 4096)):
        entry = place + i * (20 if big else 12)
        tag, kind = struct.unpack_from(order + "HH", content, entry)
        if tag in (256, 257) and kind in _TIFF_TYPES:
            letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[_TIFF_TYPES[kind]]
            (found[tag],) = struct.unpack_from(order + letter, content, entry + (12 if big else 8))
    return (found[256], found[257]) if len(found) == 2 else None


def _find_netpbm(content: bytes | memoryview) -> Size | None:
    """Return the size in the text that P1 to P7 begin with."""
    text = bytes(content[:4096]).decode("latin-1")
    lines = " ".join(line.partition("#")[0] for line in text.splitlines())
    words = lines.replace("WIDTH", " ").replace("HEIGHT", " ").split()
    return int(words[1]), int(words[2])


_FORMATS: dict[bytes, Callable[[bytes | memoryview], Size | None]] = {
    _PNG: _find_png,
    b"\xff\xd8": _find_jpeg,
    b"GIF8": _find_gif,
    b"BM": _find_bmp,
    b"RIFF": _find_webp,
    b"II*\0": _find_tiff,
    b"MM\0*": _find_tiff,
    b"II+\0": _find_tiff,
    b"MM\0+": _find_tiff,
    **{b"P%d" % i: _find_netpbm for i in range(1, 8)},
}
