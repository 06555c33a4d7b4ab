"""Chooses the frames of a video to examine, and decodes just those, in sequence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from .fallback import CONTAINERS, PROTOCOLS, FallbackVideo

# Broken files are reported in the outcome, not by the decoder on stderr. Must be set before the first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{CONTAINERS}|protocol_whitelist;{PROTOCOLS}"

UNNAMED = "its name isn't UTF-8: rename it"


def choose_frames(count: int, frames: int) -> list[int]:
    """Return the indices of at most `frames` evenly spaced frames of a video of `count` frames, each once.

    >>> choose_frames(10, 4)
    [0, 3, 6, 9]
    """
    if count < 1:
        return []
    return np.unique(np.linspace(0, count - 1, frames).astype(int)).tolist()


class VideoFile:
    """A video file. `reported_frames` is the number of frames that it states.

    From the last reading, `total` is the number of frames found, and `lost` are requested ones that couldn't be
    decoded. Files of which OpenCV decodes nothing, such as AV1, are read with PyAV.
    """

    def __init__(self, path: Path):
        self.path = path
        self.total = 0
        self.lost: list[int] = []
        self.named = is_utf8(path)  # OpenCV crashes on other names.
        self.readable, self.reported_frames = self._read_header() if self.named else (False, 0)

    def frames(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the whole file; yield the index and (H, W, 3) uint8 RGB of the requested frames, upright.

        Frames that can't be decoded are left out. It doesn't seek: that is slower, and inexact in some files.
        """
        asked = set(indices)
        self.total, self.lost = 0, []
        if not self.named:
            return
        yield from self._decode(asked)
        if not self.total:
            for frame in self._fallback.frames():
                if self.total in asked:
                    yield self.total, frame()
                self.total += 1

    def describe_problem(self) -> str:
        """Describe the file's problem after reading it; empty if there is none."""
        if not self.named:
            return UNNAMED
        if not self.readable:
            return _explain_unreadable(self.path)
        if not self.total or self.total != self.reported_frames:
            codec = "" if self.total else f" (codec: {self._fallback.codec or 'unknown'})"
            return f"the file says it has {self.reported_frames} frames, but {self.total} could be decoded{codec}"
        return ""

    def _read_header(self) -> tuple[bool, int]:
        """Return whether the file can be opened as a video, and its stated number of frames."""
        with self._open_capture() as video:
            if video.isOpened():
                return True, max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        return bool(self._fallback.codec), self._fallback.reported_frames

    @cached_property
    def _fallback(self) -> FallbackVideo:
        return FallbackVideo(self.path)

    def _decode(self, asked: set[int]) -> Iterator[tuple[int, np.ndarray]]:
        with self._open_capture() as video:
            while video.grab():
                if self.total in asked:
                    ok, frame = video.retrieve()
                    if ok and frame is not None:
                        yield self.total, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                    else:
                        self.lost.append(self.total)
                self.total += 1

    @contextmanager
    def _open_capture(self) -> Iterator[cv2.VideoCapture]:
        # One thread: the work is spread over videos. FFmpeg only: other backends treat a name as a camera or pattern.
        with _silence():
            video = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        try:
            video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # Not the default of every OpenCV.
            yield video
        finally:
            video.release()


def is_utf8(path: Path) -> bool:
    """Return whether a path's name is UTF-8; names from old archives may not be, and other programs reject them."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _silence() -> Iterator[None]:
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 4 has these two functions at top level.
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _explain_unreadable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "the file can't be opened as a video" if file.read(1) else "the file is empty"
    except OSError as error:
        return error.strerror or str(error)
