"""Crops that several detectors share, cut from a face's context crop. Numpy and OpenCV only."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...benchmark.core.types import Face


@dataclass(frozen=True)
class BoxCrop:
    """The square around the 68 face landmarks, `margin` times their larger side, resized to `size` pixels.

    Parts outside the context crop (at the border of the frame) are filled by reflection. The margin of 1.3 is the one
    of the FaceForensics++ paper.
    """

    size: int
    margin: float = 1.3

    def __call__(self, face: Face) -> np.ndarray:
        """Return uint8 (size, size, 3) RGB."""
        corner, side = self.square(face)
        return self.cut(face.crop, corner, side)

    def square(self, face: Face) -> tuple[np.ndarray, int]:
        """Return the square's top left corner (x, y) and its side, whole pixels of the context crop."""
        low, high = face.landmarks[:68].min(0), face.landmarks[:68].max(0)
        side = max(4, round(float((high - low).max()) * self.margin))
        return np.rint((low + high) / 2 - side / 2).astype(int), side

    def cut(self, image: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
        """Return the square of `side` pixels at `corner`, resized."""
        height, width = image.shape[:2]
        left, top = (int(v) for v in corner)
        beyond = max(0, -left, -top, left + side - width, top + side - height)
        if beyond:
            image = cv2.copyMakeBorder(image, beyond, beyond, beyond, beyond, cv2.BORDER_REFLECT)
        square = image[top + beyond : top + beyond + side, left + beyond : left + beyond + side]
        shrinks = side > self.size
        return cv2.resize(square, (self.size, self.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
