"""The context crop: the part of a frame around a face from which every detector cuts its own crop."""

from __future__ import annotations

import numpy as np

from ...benchmark.core.types import Face
from .finder import Detection


def compute_context_rectangle(
    landmarks: np.ndarray, context: float, frame_size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return x0, y0, x1, y1 in whole pixels of a square around a face, clipped to the frame; None if nothing is left.

    The square is centred on the box around the landmarks (81, 2) and `context` times its longer side.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    centre, half = (low + high) / 2, context * float((high - low).max()) / 2
    x0, y0 = np.maximum(np.floor(centre - half), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(centre + half), frame_size).astype(int).tolist()
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def cut_context_crop(frame: np.ndarray, index: int, detection: Detection, context: float) -> Face | None:
    """Cut the context crop from a (H, W, 3) frame: unchanged pixels, so warping it equals warping the frame."""
    height, width = frame.shape[:2]
    rectangle = compute_context_rectangle(detection.landmarks, context, (width, height))
    if rectangle is None:
        return None
    x0, y0, x1, y1 = rectangle
    landmarks = (detection.landmarks - [x0, y0]).astype(np.float32)
    box = (detection.box - [x0, y0, x0, y0]).astype(np.float32)
    return Face(frame[y0:y1, x0:x1].copy(), landmarks, box, index, (x0, y0), (width, height))
