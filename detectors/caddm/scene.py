"""A fake's context crop and its source's, brought to one rectangle of the frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ...benchmark.types import Face, TrainSample
from .alignment import Jitter, align_matrix, frame_landmarks, from_crop, warp


class Scene(NamedTuple):
    """`image` and, for a fake with a pair, `source`: uint8 (H, W, 3) RGB, the same rectangle of the same frame.

    `origin` (x, y) is its top left in the frame, `frame_size` the frame's (width, height); `landmarks`, (81, 2)
    float64, are in pixels of the frame.
    """

    image: np.ndarray
    source: np.ndarray | None
    landmarks: np.ndarray
    origin: tuple[int, int]
    frame_size: tuple[int, int]

    @property
    def points(self) -> np.ndarray:
        """The landmarks in pixels of the image."""
        return self.landmarks - self.origin

    def align(self, image: np.ndarray, jitter: Jitter, size: int) -> np.ndarray:
        """Cut the network's crop from `image`, which is this scene's rectangle."""
        matrix = align_matrix(self.landmarks, jitter, size)
        return warp(image, from_crop(matrix, self.origin), size)


def scene_of(sample: TrainSample) -> Scene:
    """Make a scene: the part of the frame that both context crops show. A real face is on its own.

    A source frame of another size is first resized to the fake's. A source crop that doesn't show the place of the
    fake's face (the tracker followed somebody else) can't be swapped with, and is left out.
    """
    face = sample.face
    alone = Scene(face.crop, None, frame_landmarks(face), face.origin, face.frame_size)
    if not sample.label or sample.source is None:
        return alone
    source, origin = _at_frame_size(sample.source, face.frame_size)
    low = np.maximum(face.origin, origin)
    high = np.minimum(_end(face.crop, face.origin), _end(source, origin))
    if not _contains(low, high, alone):
        return alone
    image, source = _part(face.crop, low - face.origin, high - low), _part(source, low - origin, high - low)
    return Scene(image, source, alone.landmarks, (int(low[0]), int(low[1])), face.frame_size)


def halved(scene: Scene, whole_landmarks: bool) -> Scene:
    """Return the scene as if its frame had half the width and height; `whole_landmarks` truncates them to pixels."""
    skip = np.array(scene.origin) % 2  # The crop starts between two pixels of the smaller frame: start one later.
    size = (np.array(scene.image.shape[1::-1]) - skip) // 2
    small = [
        cv2.resize(_part(i, skip, size * 2), (int(size[0]), int(size[1])))
        for i in (scene.image, scene.source)
        if i is not None
    ]
    x, y = (np.array(scene.origin) + skip) // 2
    landmarks = np.trunc(scene.landmarks / 2) if whole_landmarks else (scene.landmarks - 0.5) / 2
    width, height = scene.frame_size
    return Scene(
        small[0], None if scene.source is None else small[1], landmarks, (int(x), int(y)), (width // 2, height // 2)
    )


def _contains(low: np.ndarray, high: np.ndarray, scene: Scene) -> bool:
    """Tell whether the rectangle holds the face, as far as the face is in the frame."""
    last = np.array(scene.frame_size) - 1
    first_point, last_point = (np.clip(p, 0, last) for p in (scene.landmarks.min(0), scene.landmarks.max(0)))
    return bool((first_point >= low).all() and (last_point <= high - 1).all() and (last_point > first_point).all())


def _at_frame_size(face: Face, frame_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    origin = np.array(face.origin)
    if face.frame_size == tuple(frame_size):
        return face.crop, origin
    ratio = np.array(frame_size) / face.frame_size
    start, end = np.rint(origin * ratio).astype(int), np.rint(_end(face.crop, face.origin) * ratio).astype(int)
    width, height = np.maximum(end - start, 1)
    return cv2.resize(face.crop, (int(width), int(height))), start


def _end(image: np.ndarray, origin: tuple[int, int] | np.ndarray) -> np.ndarray:
    return np.array(image.shape[1::-1]) + origin


def _part(image: np.ndarray, start: np.ndarray, size: np.ndarray) -> np.ndarray:
    return image[start[1] : start[1] + size[1], start[0] : start[0] + size[0]]
