"""Face masks from landmarks: four shapes, as in the Face X-ray library, each a float array of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

KINDS = ("parts", "raised", "components", "whole")


def draw_hull(landmarks: np.ndarray, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Return the mask float32 (H, W), 1 inside the face.

    Args:
        landmarks: (68, 2) or (81, 2), x and y; truncated to whole pixels.
        shape: shape of the image, (H, W, ...).
        kind: `whole`, the convex hull of all points; `parts`, the hulls of face, nose and brows; `components`, those of
            eight smaller parts; `raised`, the same with the brows half as far again from the eyes.
    """
    points = landmarks.astype(np.int32)
    mask = np.zeros(shape[:2], np.float32)
    for part in _list_parts(points, kind):
        cv2.fillConvexPoly(mask, cv2.convexHull(part), 1.0)
    return mask


def _list_parts(points: np.ndarray, kind: str) -> list[np.ndarray]:
    if kind == "whole":
        return [points]
    if kind == "parts":
        groups: Sequence[Sequence[int]] = (
            (*range(17), *range(48, 68)),
            (*range(27, 31), 33),
            (*range(17, 27), 0, 27, 16, 33),
        )
        return [points[list(group)] for group in groups]
    if kind == "raised":
        points = raise_brows(points)
    nose = (27, *range(31, 36), 8)
    groups = (
        (*range(9), 17),
        (*range(8, 17), 26),
        (*range(17, 20), 8),
        (*range(24, 27), 8),
        (*range(19, 25), 8),
        (*range(17, 22), *nose),
        (*range(22, 27), *nose),
        range(27, 36),
    )
    return [points[list(group)] for group in groups]


def raise_brows(points: np.ndarray) -> np.ndarray:
    """Return whole-pixel landmarks with each brow point raised by half its distance to the eye line.

    That line runs through the eye's upper points and, on the outside, a quarter of the way from its corner to the jaw.
    """
    raised = points.copy()
    right, left = ((points[eye] + (points[eye] + points[jaw]) // 2) // 2 for eye, jaw in ((36, 0), (45, 16)))
    raised[17:22] += (points[17:22] - np.stack([right, *points[36:40]])) // 2
    raised[22:27] += (points[22:27] - np.stack([*points[42:46], left])) // 2
    return raised
