"""Which frames of a video are looked at, and decoding just those, in sequence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

# Broken files are told of in the outcome, not by the decoder's own lines on stderr. Must be set before the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Sample(NamedTuple):
    """The frames that were read: (index, (H, W, 3) uint8 RGB) pairs; how many the video has; what went wrong."""

    frames: list[tuple[int, np.ndarray]]
    count: int
    reason: str = ""


def wanted(count: int, frames: int) -> list[int]:
    """Return the indices of at most `frames` evenly spaced frames of a video of `count` frames, each once.

    >>> wanted(10, 4)
    [0, 3, 6, 9]
    """
    if count < 1:
        return []
    return np.unique(np.linspace(0, count - 1, frames).astype(int)).tolist()


def read_frames(path: Path, frames: int) -> Sample:
    """Decode `frames` evenly spaced frames, turned upright by the file's rotation mark.

    Some files tell a wrong number of frames. All are counted, so one that does is read a second time by the true
    number. A file that can't be read gives no frames and a reason, never an exception.
    """
    with _opened(path) as video:
        if video is None:
            return Sample([], 0, _why_unreadable(path))
        told = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        found, count = _decode(video, wanted(told, frames))
    if count == told and count:
        return Sample(found, count)
    with _opened(path) as video:
        found, _ = _decode(video, wanted(count, frames))
    if not found:
        return Sample([], count, f"no frame could be decoded; the file says it has {told}")
    return Sample(found, count, f"the file says it has {told} frames, but {count} could be decoded")


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture | None]:
    # One thread: the work is spread over videos. FFmpeg only: the other backends take a name for a camera or a pattern.
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        yield video if video.isOpened() else None
    finally:
        video.release()


def _decode(video: cv2.VideoCapture | None, indices: list[int]) -> tuple[list[tuple[int, np.ndarray]], int]:
    found, count, left = [], 0, set(indices)
    while video is not None and video.grab():
        if count in left:
            ok, frame = video.retrieve()
            if ok and frame is not None:
                found.append((count, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
        count += 1
    return found, count


def _why_unreadable(path: Path) -> str:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return "the file can't be opened as a video" if size else "the file is empty"
