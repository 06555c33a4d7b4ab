"""Frames already extracted from their videos: pictures in files or an LMDB, with or without landmarks."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...benchmark.core.readers.images import UnreadableImage, check_image_size, decode_image
from ...benchmark.core.readers.lmdb_files import LmdbFile
from ...benchmark.core.types import LostFrame, Picture
from .damage import decode_undamaged
from .face_store import POINTS
from .finder import Detection
from .quality import find_landmark_flaw

UNDECODABLE = "it can't be decoded"
DAMAGED = "its data is damaged inside"
# The LMDB's values come from arrays: the bytes don't show their type, but their number does.
WIDTHS = {POINTS * 2 * 4: np.int32, POINTS * 2 * 8: np.int64}


def read_pictures(
    pictures: Sequence[Picture], lost: list[LostFrame] | None = None
) -> Iterator[tuple[int, np.ndarray, *tuple[Detection | None, ...]]]:
    """Yield (frame, (H, W, 3) uint8 RGB) for readable pictures, and the face if landmarks are given.

    Unreadable ones are added to `lost`; so are frames with unusable landmarks, which have None as the face.
    """
    lost = [] if lost is None else lost
    for picture in pictures:
        content = read_content(picture.file, picture.key)
        if content is None:
            lost.append(LostFrame(picture.frame, f"no file {Path(picture.key or picture.file).name}"))
            continue
        try:
            image = decode_whole(content)
        except UnreadableImage as error:
            lost.append(LostFrame(picture.frame, str(error)))
            continue
        faces: list[Detection | None] = []
        if picture.landmarks:
            points = _read_landmarks(picture)
            flaw = find_landmark_flaw(points, image.shape[1::-1]) if points is not None else "it has no landmarks"
            lost += [LostFrame(picture.frame, flaw)] if flaw else []
            faces = [None if points is None or flaw else _make_detection(points)]
        yield picture.frame, image, *faces


def decode_whole(content: bytes) -> np.ndarray:
    """Decode a picture like `decode_image`, unless its data is damaged.

    Raises:
        UnreadableImage: see `decode_image`; or its data is damaged.
    """
    check_image_size(content)
    image = decode_undamaged(content, decode_image)
    if image is None:
        raise UnreadableImage(DAMAGED)
    return image


def _read_landmarks(picture: Picture) -> np.ndarray | None:
    """Return the given landmarks (81, 2) float32, None if they can't be read."""
    given = picture.landmarks
    if isinstance(given, bytes):
        return np.frombuffer(given, "<f4").reshape(POINTS, 2)
    content = read_content(picture.file if picture.key else given, given if picture.key else "") or b""
    try:
        if content[:6] == b"\x93NUMPY":
            points = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            points = np.frombuffer(content, WIDTHS[len(content)]) if len(content) in WIDTHS else np.empty(0)
        with np.errstate(over="ignore"):  # Values too large for float32 become infinite: a flaw.
            return points.reshape(POINTS, 2).astype(np.float32)
    except Exception:  # Truncated, or not 81 points; for a damaged header NumPy raises whatever its tokenizer does.
        return None


def _make_detection(landmarks: np.ndarray) -> Detection:
    return Detection(np.concatenate([landmarks[:68].min(0), landmarks[:68].max(0)]), landmarks, 1.0)


def read_content(file: str, key: str) -> bytes | None:
    """Return the content of a file, or of an LMDB (the folder `file`) under a key; None if it doesn't exist."""
    if key:
        return read_lmdb_value(file, key)
    try:
        return Path(file).read_bytes()
    except OSError:
        return None


def read_lmdb_value(folder: str, key: str) -> bytes | None:
    """Return the value of a POSIX key that DeepfakeBench wrote with one or more backslashes."""
    values = open_lmdb(folder)
    spellings = (key.replace("/", "\\"), key.replace("/", "\\", 1), key)
    return next((v for s in spellings if (v := values.get(s.encode())) is not None), None)


@lru_cache(maxsize=4)
def open_lmdb(folder: str) -> LmdbFile:
    """Open an LMDB folder for reading, once per process.

    Raises:
        BenchError: it isn't such a folder, or it is damaged.
    """
    return LmdbFile(Path(folder))
