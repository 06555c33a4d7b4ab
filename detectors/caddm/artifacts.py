"""Where CADDM sees artifacts: the anchors it marks, shifted by its predicted offsets, as boxes in the face's crop.

The released code trains these boxes but never uses them. They explain a score without being part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from ...benchmark.core.types import Face
from .alignment import compute_align_matrix, shift_to_crop, to_frame_landmarks
from .targets import decode, iou, priors, to_corners

if TYPE_CHECKING:
    from .sampler import SwapPolicy

MIN_PROBABILITY = 0.5  # P(artifact)
MAX_IOU = 0.3
MAX_BOXES = 3


class MarksBoxes(Protocol):
    """Either port of CADDM."""

    input_size: int
    policy: SwapPolicy

    def crop(self, face: Face) -> np.ndarray:
        """See `NetworkDetector.crop`."""

    def outputs_of(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkDetector.outputs_of`."""


def locate_artifacts(detector: MarksBoxes, faces: Sequence[Face]) -> list[np.ndarray]:
    """Return, for each face, the (k, 4, 2) corners of supposed artifacts, in pixels of its crop."""
    out = detector.outputs_of(np.stack([detector.crop(face) for face in faces]))
    found = []
    for face, loc, conf in zip(faces, out["loc"], out["conf"], strict=True):
        boxes = select_strongest(loc, conf) * detector.input_size
        if not detector.policy.boxes_xy:  # Trained with rows and columns exchanged.
            boxes = boxes[:, [1, 0, 3, 2]]
        matrix = shift_to_crop(compute_align_matrix(to_frame_landmarks(face), size=detector.input_size), face.top_left)
        points = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        found.append(cv2.perspectiveTransform(points, np.linalg.inv(matrix)) if len(boxes) else points)
    return found


def select_strongest(loc: np.ndarray, conf: np.ndarray) -> np.ndarray:
    """Return the boxes, (k, 4) corners as fractions of the crop, of the anchors most likely to be an artifact.

    At most MAX_BOXES, each with at least MIN_PROBABILITY, none overlapping a likelier one by more than MAX_IOU.

    Args:
        loc: (168, 4) offsets.
        conf: (168, 2) logits for background and artifact.
    """
    sure = 1 / (1 + np.exp(conf[:, 0].astype(float) - conf[:, 1]))
    boxes = np.clip(to_corners(decode(loc, priors())), 0, 1).astype(float)
    kept: list[int] = []
    for i in np.argsort(-sure, kind="stable"):
        apart = not kept or iou(boxes[[i]], boxes[kept]).max() <= MAX_IOU
        if sure[i] >= MIN_PROBABILITY and apart and len(kept) < MAX_BOXES:
            kept.append(int(i))
    return boxes[kept]
