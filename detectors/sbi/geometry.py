"""Crops for self-blended images, by landmarks and by the face box; mirrored landmarks. No backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A rectangle of whole pixels: rows y0 to y1 and columns x0 to x1, ends excluded."""

    y0: int
    y1: int
    x0: int
    x1: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return the part of an image (H, W, ...)."""
        return image[self.y0 : self.y1, self.x0 : self.x1]

    def shift(self, points: np.ndarray) -> np.ndarray:
        """Convert points (..., 2) from the image's pixels to the part's."""
        return points - np.array([self.x0, self.y0])


def _make_mirror_order() -> np.ndarray:
    """Return which of 81 landmarks takes which one's place in a mirrored image."""
    runs = ((0, 17), (17, 27), (31, 36), (48, 55), (55, 60), (60, 65), (65, 68), (68, 81))
    order = np.arange(81)
    for start, end in runs:
        order[start:end] = order[start:end][::-1]
    for right, left in ((range(36, 40), range(45, 41, -1)), ((40, 41), (47, 46))):
        for a, b in zip(right, left, strict=True):
            order[a], order[b] = b, a
    return order


MIRROR_ORDER = _make_mirror_order()


def mirror_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Return the landmarks (81, 2) of the mirrored image: x becomes `width` - x, and right becomes left."""
    mirrored = landmarks[MIRROR_ORDER].copy()
    mirrored[:, 0] = width - mirrored[:, 0]
    return mirrored


def mirror_box(box: Sequence[float], width: int) -> np.ndarray:
    """Return the box x0, y0, x1, y1 in the mirrored image."""
    x0, y0, x1, y1 = box
    return np.array([width - x1, y0, width - x0, y1])


def find_context(landmarks: np.ndarray, shape: tuple[int, ...]) -> Window:
    """Return the area in which a face is blended: half its width on each side, its height above."""
    (x0, y0), (x1, y1) = landmarks[:68].min(0), landmarks[:68].max(0)
    width, height = x1 - x0, y1 - y0
    return _clip(y0 - height, y1 + 0.4 * height, x0 - width / 2, x1 + width / 2, shape)


def find_face(box: Sequence[float], shape: tuple[int, ...], margins: Sequence[float] = (0.5,) * 4) -> Window:
    """Return the crop around a face box: on each side a quarter of its size times the margin (left, right, above,
    below).

    The default is for testing: an eighth on each side. In training each margin is 0.2 to 0.8.
    """
    x0, y0, x1, y1 = box
    left, right, above, below = margins
    width, height = (x1 - x0) / 4, (y1 - y0) / 4
    return _clip(y0 - height * above, y1 + height * below, x0 - width * left, x1 + width * right, shape)


def _clip(y0: float, y1: float, x0: float, x1: float, shape: tuple[int, ...]) -> Window:
    height, width = shape[:2]
    return Window(max(0, int(y0)), min(height, int(y1) + 1), max(0, int(x0)), min(width, int(x1) + 1))
