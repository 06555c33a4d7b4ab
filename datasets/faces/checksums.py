"""Checksums of a face store's rows, to detect damage inside a file: wrong bytes may still decode to a picture."""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa

NUMBERS = ("frame", "origin_x", "origin_y", "frame_width", "frame_height")


def compute_checksums(rows: pa.RecordBatch) -> list[int]:
    """Return each row's CRC-32: over the image file's bytes, then all its numbers, little-endian."""
    if not len(rows):
        return []
    integers = np.stack([rows.column(name).to_numpy() for name in NUMBERS], axis=1).astype("<i4")
    points, boxes = (
        rows.column(name).flatten().to_numpy().reshape(len(rows), -1).astype("<f4") for name in ("landmarks", "box")
    )
    found = []
    for i, image in enumerate(rows.column("image")):
        crc = zlib.crc32(image.as_buffer())
        for part in (integers[i], points[i], boxes[i]):
            crc = zlib.crc32(part.tobytes(), crc)
        found.append(crc)
    return found
