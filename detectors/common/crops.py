"""Crops shared by several detectors, cut from a face's context crop. NumPy and OpenCV only."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...benchmark.core.types import Face

# Eyes, nose tip and corners of the mouth on ArcFace's 112 px canvas, shifted by 8 px as in DeepfakeBench.
_ARCFACE = [(30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366), (33.5493, 92.3655), (62.7299, 92.2041)]
FIVE_POINTS = (np.array(_ARCFACE) + np.array([8.0, 0.0])) / 112
FIVE_LANDMARKS = [37, 44, 30, 49, 55]
"""The landmarks that DeepfakeBench uses for them."""


def fit_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit the (2, 3) rotation, scale and shift that bring (N, 2) `points` closest to `target` (least squares)."""
    p_mean, t_mean = points.mean(0), target.mean(0)
    p, t = points - p_mean, target - t_mean
    norm = (p**2).sum()
    a = (t * p).sum() / norm
    b = (t[:, 0] * p[:, 1] - t[:, 1] * p[:, 0]).sum() / norm
    turn = np.array([[a, b], [-b, a]])
    return np.column_stack([turn, t_mean - turn @ p_mean])


@dataclass(frozen=True)
class AlignedCrop:
    """The face rotated upright and scaled by five points, as DeepfakeBench crops it at a margin of 1.3.

    Bilinear; black outside the context crop.
    """

    size: int
    margin: float = 1.3

    def __call__(self, face: Face) -> np.ndarray:
        """Return uint8 (size, size, 3) RGB."""
        template = (FIVE_POINTS + (self.margin - 1) / 2) / self.margin * self.size
        matrix = fit_similarity(face.landmarks[FIVE_LANDMARKS].astype(np.float64), template)
        return cv2.warpAffine(face.crop, matrix, (self.size, self.size))


@dataclass(frozen=True)
class BoxCrop:
    """The square around the 68 face landmarks, `margin` times their larger side, resized to `size` pixels.

    Parts outside the context crop (at the border of the frame) are filled by reflection. The margin of 1.3 is that of
    the FaceForensics++ paper.
    """

    size: int
    margin: float = 1.3

    def __call__(self, face: Face) -> np.ndarray:
        """Return uint8 (size, size, 3) RGB."""
        corner, side = self.square(face)
        return self.cut(face.crop, corner, side)

    def square(self, face: Face) -> tuple[np.ndarray, int]:
        """Return the square's top left corner (x, y) and its side, in whole pixels of the context crop."""
        low, high = face.landmarks[:68].min(0), face.landmarks[:68].max(0)
        side = max(4, round(float((high - low).max()) * self.margin))
        return np.rint((low + high) / 2 - side / 2).astype(int), side

    def cut(self, image: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
        """Return the resized square of `side` pixels at `corner`."""
        height, width = image.shape[:2]
        left, top = (int(v) for v in corner)
        beyond = max(0, -left, -top, left + side - width, top + side - height)
        if beyond:
            image = cv2.copyMakeBorder(image, beyond, beyond, beyond, beyond, cv2.BORDER_REFLECT)
        square = image[top + beyond : top + beyond + side, left + beyond : left + beyond + side]
        shrinks = side > self.size
        return cv2.resize(square, (self.size, self.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
