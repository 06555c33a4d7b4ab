"""Why a face can't be used: invalid, degenerate or misplaced landmarks, or a picture of a few pixels."""

from __future__ import annotations

import numpy as np

from ...benchmark.core.types import Face

LEAST_FACE = 4  # Pixels: any smaller, and eyes and mouth are in the same place.
FEATURES = slice(27, 68)  # Nose, eyes and mouth, by which crops are aligned.


def find_quality_flaw(face: Face) -> str:
    """Say why a face can't be used; empty if it can. Faces across the frame's border are usable."""
    flaw = find_landmark_flaw(face.landmarks.astype(float) + face.top_left, face.frame_size)
    return flaw or _describe_too_small("picture", face.crop.shape[1], face.crop.shape[0])


def find_landmark_flaw(points: np.ndarray, frame_size: tuple[int, int]) -> str:
    """Say why (81, 2) landmarks can't be a face in a frame of (width, height); all in its pixels."""
    if not np.isfinite(points).all():
        return "it has no landmarks"
    low, high = points.min(0).astype(float), points.max(0).astype(float)
    if flaw := _describe_too_small("face", *(high - low)):
        return flaw
    width, height = np.ptp(points[FEATURES], axis=0)
    if max(width, height) < LEAST_FACE / 2:  # They span half of a face.
        return f"eyes, nose and mouth within {width:.0f} x {height:.0f} pixels"
    middle = (low + high) / 2
    inside = (middle >= 0).all() and (middle < frame_size).all()
    return "" if inside else f"its landmarks, around {middle.round().tolist()}, are outside of the frame"


def _describe_too_small(what: str, width: float, height: float) -> str:
    return f"a {what} of {width:.0f} x {height:.0f} pixels" if min(width, height) < LEAST_FACE else ""
