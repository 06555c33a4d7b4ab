"""Boxes: (..., 4) arrays of x0, y0, x1, y1."""

from __future__ import annotations

import numpy as np


def compute_area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes (N, 4), 0 for inverted ones."""
    return np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1)


def compute_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N,) of a box (4,) with each of (N, 4), or of N boxes with N others."""
    low, high = np.maximum(box[..., :2], boxes[:, :2]), np.minimum(box[..., 2:], boxes[:, 2:])
    shared = compute_area(np.concatenate([low, high], axis=1))
    return shared / np.maximum(compute_area(boxes) + compute_area(box) - shared, 1e-9)


def suppress_non_maxima(boxes: np.ndarray, scores: np.ndarray, most_overlap: float) -> list[int]:
    """Return the indices of boxes (N, 4) to keep, best score first: those that don't overlap a better one too much."""
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[compute_iou(boxes[best], boxes[left]) <= most_overlap]
    return kept
