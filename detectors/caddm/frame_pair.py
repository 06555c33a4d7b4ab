"""The context crops of a fake and its original, reduced to the same rectangle of the frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ...benchmark.core.types import Face, TrainSample
from .alignment import Jitter, compute_align_matrix, shift_to_crop, to_frame_landmarks, warp


class FramePair(NamedTuple):
    """`image` and, for a fake with a pair, `original`: uint8 (H, W, 3) RGB, the same rectangle of the same frame.

    `top_left` (x, y) is its top left corner in the frame, `frame_size` the frame's (width, height); `landmarks`, (81,
    2) float64, are in pixels of the frame.
    """

    image: np.ndarray
    original: np.ndarray | None
    landmarks: np.ndarray
    top_left: tuple[int, int]
    frame_size: tuple[int, int]

    @property
    def points(self) -> np.ndarray:
        """The landmarks in pixels of the image."""
        return self.landmarks - self.top_left

    def align(self, image: np.ndarray, jitter: Jitter, size: int) -> np.ndarray:
        """Cut the network's crop from `image`, which is this pair's rectangle."""
        matrix = compute_align_matrix(self.landmarks, jitter, size)
        return warp(image, shift_to_crop(matrix, self.top_left), size)


def make_frame_pair(sample: TrainSample) -> FramePair:
    """Make a pair: the part of the frame that both context crops show. A real face has no partner.

    An original frame of another size is first resized to the fake's. If the original's crop doesn't show the fake's
    face region (the tracker followed somebody else), it can't be used for swaps and is left out.
    """
    face = sample.face
    alone = FramePair(face.crop, None, to_frame_landmarks(face), face.top_left, face.frame_size)
    if not sample.label or sample.original is None:
        return alone
    original, top_left = _resize_to_frame(sample.original, face.frame_size)
    low = np.maximum(face.top_left, top_left)
    high = np.minimum(_get_bottom_right(face.crop, face.top_left), _get_bottom_right(original, top_left))
    if not _contains(low, high, alone):
        return alone
    image, original = (
        _cut_part(face.crop, low - face.top_left, high - low),
        _cut_part(original, low - top_left, high - low),
    )
    return FramePair(image, original, alone.landmarks, (int(low[0]), int(low[1])), face.frame_size)


def halve(pair: FramePair, whole_landmarks: bool) -> FramePair:
    """Return the pair as if its frame had half the width and height; `whole_landmarks` truncates them to pixels."""
    skip = np.array(pair.top_left) % 2  # Don't start between two pixels of the smaller frame: start one later.
    size = (np.array(pair.image.shape[1::-1]) - skip) // 2
    small = [
        cv2.resize(_cut_part(i, skip, size * 2), (int(size[0]), int(size[1])))
        for i in (pair.image, pair.original)
        if i is not None
    ]
    x, y = (np.array(pair.top_left) + skip) // 2
    landmarks = np.trunc(pair.landmarks / 2) if whole_landmarks else (pair.landmarks - 0.5) / 2
    width, height = pair.frame_size
    return FramePair(
        small[0], None if pair.original is None else small[1], landmarks, (int(x), int(y)), (width // 2, height // 2)
    )


def _contains(low: np.ndarray, high: np.ndarray, pair: FramePair) -> bool:
    """Return whether the rectangle contains the part of the face that is inside the frame."""
    last = np.array(pair.frame_size) - 1
    first_point, last_point = (np.clip(p, 0, last) for p in (pair.landmarks.min(0), pair.landmarks.max(0)))
    return bool((first_point >= low).all() and (last_point <= high - 1).all() and (last_point > first_point).all())


def _resize_to_frame(face: Face, frame_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    top_left = np.array(face.top_left)
    if face.frame_size == tuple(frame_size):
        return face.crop, top_left
    ratio = np.array(frame_size) / face.frame_size
    start, end = (
        np.rint(top_left * ratio).astype(int),
        np.rint(_get_bottom_right(face.crop, face.top_left) * ratio).astype(int),
    )
    width, height = np.maximum(end - start, 1)
    return cv2.resize(face.crop, (int(width), int(height))), start


def _get_bottom_right(image: np.ndarray, top_left: tuple[int, int] | np.ndarray) -> np.ndarray:
    return np.array(image.shape[1::-1]) + top_left


def _cut_part(image: np.ndarray, start: np.ndarray, size: np.ndarray) -> np.ndarray:
    return image[start[1] : start[1] + size[1], start[0] : start[0] + size[0]]
