"""dlib's 81-point predictor (Kazemi and Sullivan 2014), from a file that the user provides.

dlib's predictor was trained on the boxes of dlib's face detector. Here these boxes are derived from Face Mesh's points,
which takes a hundredth of the time (docs/faces.md says how close they are).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...benchmark.core.errors import BenchError
from .finder import Candidate
from .mediapipe import FaceMesh
from .models import DLIB81, find_model

POINTS = 81


class Dlib81:
    """Places dlib's 81 points; `file` is a predictor to use instead of the installed one."""

    def __init__(self, twice: bool = False, file: Path | None = None) -> None:
        try:
            import dlib
        except ImportError:
            raise BenchError("the landmarks dlib81 need dlib: pip install dlib-bin") from None
        path = file or find_model(DLIB81)
        try:
            self.predictor = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise BenchError(f"{path} is not a dlib predictor: {error}. Give {DLIB81.name}") from None
        self.rectangle = dlib.rectangle
        self.mesh = FaceMesh(twice)

    def predict(self, frame: np.ndarray, candidate: Candidate) -> np.ndarray | None:
        """Return the points (81, 2) float32 in frame pixels; None if Face Mesh finds no face."""
        mesh = self.mesh.predict(frame, candidate)
        if mesh is None:
            return None
        shape = self.predictor(frame, self.rectangle(*np.rint(compute_dlib_box(mesh)).astype(int).tolist()))
        if shape.num_parts != POINTS:
            raise BenchError(f"dlib's predictor places {shape.num_parts} points, not {POINTS}. Give {DLIB81.name}")
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


def compute_dlib_box(landmarks: np.ndarray) -> np.ndarray:
    """Return the square (4,) that dlib's detector would return for a face with these (81, 2) landmarks.

    It is slightly larger than the box of the first 68 and higher up; the factors are means over 34 faces.
    """
    low, high = landmarks[:68].min(axis=0), landmarks[:68].max(axis=0)
    side = float((high - low).max())
    centre, half = (low + high) / 2 - [0, 0.08 * side], 1.05 * side / 2
    return np.concatenate([centre - half, centre + half])
