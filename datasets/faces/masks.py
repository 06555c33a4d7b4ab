"""Finds who was forged: the face that overlaps a mask most. Masks are videos (FaceForensics++, DFD) or pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...benchmark.core.readers.images import UnreadableImage, read_image
from ...benchmark.core.transient_errors import is_transient
from ...benchmark.core.types import Face
from .sampling import VideoFile

FORGED = 16  # Of 255: anything darker is compression noise.


def put_forged_first(people: list[list[Face]], mask: Path | None) -> list[list[Face]]:
    """Move the person whose faces cover most of the mask to the front; the order is otherwise unchanged.

    Only frames with several people count. If the mask can't be read or is empty there, nothing changes.
    """
    frames = [face.frame for person in people for face in person]
    shared = sorted({frame for frame in frames if frames.count(frame) > 1})
    if mask is None or not shared:
        return people
    held = np.zeros(len(people))
    for frame, picture in _read_mask(mask, shared):
        held += [sum(_count_forged(picture, face) for face in person if face.frame == frame) for person in people]
    first = int(held.argmax())
    return [people[first], *people[:first], *people[first + 1 :]]


def _read_mask(mask: Path, frames: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames of a mask: a video, or a folder of pictures named by frame number."""
    if not mask.is_dir():
        yield from VideoFile(mask).frames(frames)
        return
    files = {int(path.stem): path for path in mask.iterdir() if path.stem.isascii() and path.stem.isdecimal()}
    for frame in frames:
        try:
            yield frame, read_image(files[frame])
        except (KeyError, UnreadableImage):  # Another frame may show it.
            continue


def _count_forged(picture: np.ndarray, face: Face) -> int:
    """Count the forged pixels inside a face's box, in pixels of the mask."""
    scale = np.divide(picture.shape[1::-1], face.frame_size)
    x0, y0, x1, y1 = np.clip(np.rint(np.array(face.frame_box) * [*scale, *scale]), 0, None).astype(int)
    return int((picture[y0:y1, x0:x1].max(axis=2, initial=0) > FORGED).sum())


def stat_mask(mask: Path | None) -> int:
    """Return a mask file's size in bytes, 0 where there is none.

    Raises:
        OSError: it can't be read for a reason that may pass.
    """
    try:
        return mask.stat().st_size if mask else 0
    except OSError as error:
        if is_transient(error):
            raise
        return 0
