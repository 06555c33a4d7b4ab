"""Recognises, by content, which videos of a test set a detector was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ..core.checkpoints import FINGERPRINT, CheckpointHeader
from ..core.types import Video

PIECE = 2**16  # bytes


def fingerprint_videos(videos: Iterable[Video]) -> str:
    """Return the fingerprints of all available videos, sorted and joined, as stored in a checkpoint's header."""
    return "".join(sorted({found for v in videos if (found := fingerprint_video(v))}))


def find_shared_videos(videos: Iterable[Video], trained_on: CheckpointHeader) -> list[Video] | None:
    """Return which of the videos a checkpoint was trained or selected on; None if it doesn't say.

    The same file counts whatever its place and name; a re-encoded file is a different one.
    """
    joined = trained_on.get("trained_on", {}).get("videos")
    if joined is None:
        return None
    known = {joined[i : i + FINGERPRINT] for i in range(0, len(joined), FINGERPRINT)}
    told = [(v, found) for v in videos if (found := fingerprint_video(v))]
    return [v for v, found in told if found in known] if told else None  # Faces alone can't tell.


def fingerprint_video(video: Video) -> str:
    """Return 16 hexadecimal digits for a video's size and content; empty if its file is missing.

    It reads the first, middle and last 64 KiB, so a large collection takes minutes; for pictures, it uses their number
    and the first, middle and last one.
    """
    if not video.pictures:
        return _fingerprint_file(video.path)
    from ...datasets.faces.pictures import read_content

    pictures = video.pictures
    contents = [read_content(p.file, p.key) for p in (pictures[0], pictures[len(pictures) // 2], pictures[-1])]
    return _hash_pieces(len(pictures), contents) if None not in contents else ""


def _fingerprint_file(path: Path) -> str:
    try:
        found = path.stat()
        return _fingerprint_content(path, found.st_size, found.st_mtime_ns)
    except OSError:  # Missing or unreadable, which preparing has reported.
        return ""


@lru_cache(maxsize=2**17)
def _fingerprint_content(path: Path, size: int, _changed: int) -> str:
    with path.open("rb") as file:
        if size <= 3 * PIECE:
            return _hash_pieces(size, [file.read()])
        pieces = []
        for start in (0, (size - PIECE) // 2, size - PIECE):
            file.seek(start)
            pieces.append(file.read(PIECE))
    return _hash_pieces(size, pieces)


def _hash_pieces(size: int, pieces: Iterable[bytes | None]) -> str:
    digest = hashlib.sha256(str(size).encode())
    for piece in pieces:
        digest.update(b"|")
        digest.update(piece or b"")
    return digest.hexdigest()[:FINGERPRINT]
