"""GenD's crop: five points of the face are robustly aligned with a template. NumPy and OpenCV only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from ...benchmark.core.types import Face

# Eyes, nose, corners of the mouth, as fractions of the crop's side before it is widened.
TEMPLATE = np.array([(0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82)])
EYES = (slice(36, 42), slice(42, 48))  # Of the 68 landmarks; the nose's tip is 30, the mouth's corners 48 and 54.


def place_template(side: float, scale: float) -> np.ndarray:
    """Return the five points in a crop of this side, (5, 2) float32, widened `scale` times."""
    return ((TEMPLATE + (scale - 1) / 2) * side / scale).astype(np.float32)


def find_side(points: np.ndarray, scale: float) -> int:
    """Return the side of a crop in which the face with points (5, 2) keeps its size."""
    pairs = list(combinations(range(5), 2))
    ratios = [np.linalg.norm(points[i] - points[j]) / np.linalg.norm(TEMPLATE[i] - TEMPLATE[j]) for i, j in pairs]
    return round(float(np.mean(ratios)) * scale)


def find_similarity(points: np.ndarray, placed: np.ndarray) -> np.ndarray | None:
    """Fit the (2, 3) rotation, scale and shift that map points (5, 2) onto others, by the least median of squares.

    None if there is none, for example if all points are the same.
    """
    return cv2.estimateAffinePartial2D(points.astype(np.float32), placed, method=cv2.LMEDS)[0]


@dataclass(frozen=True)
class TemplateCrop:
    """The face aligned upright with the template, `scale` times as wide, (size, size)."""

    size: int
    scale: float = 1.3

    def __call__(self, face: Face) -> np.ndarray:
        """Return uint8 (size, size, 3) RGB; if the points aren't plausible, the face is cropped unaligned."""
        marks = face.landmarks
        points = np.stack([*(marks[eye].mean(0) for eye in EYES), marks[30], marks[48], marks[54]])
        matrix = find_similarity(points, place_template(self.size, self.scale))
        if matrix is None:
            return cv2.resize(face.crop, (self.size, self.size))
        return cv2.warpAffine(face.crop, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR)
