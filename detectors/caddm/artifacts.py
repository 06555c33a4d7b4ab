"""Where CADDM sees artifacts: the anchors it calls so, moved as it says, drawn back into the face's crop.

The released code trains these boxes and never looks at them; they explain a score, and don't enter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ...benchmark.types import Face
from .alignment import align_matrix, frame_landmarks, from_crop
from .targets import corners, decode, iou, priors

LEAST = 0.5  # P(artifact)
OVERLAP = 0.3
MOST = 3


def locate(detector: Any, faces: Sequence[Face]) -> list[np.ndarray]:
    """Return for each face the (k, 4, 2) corners of what the detector takes for artifacts, in pixels of its crop."""
    out = detector.outputs_of(np.stack([detector.crop(face) for face in faces]))
    found = []
    for face, loc, conf in zip(faces, out["loc"], out["conf"], strict=True):
        boxes = strongest(loc, conf) * detector.input_size
        if not detector.recipe.boxes_xy:  # Trained on rows and columns in each other's place.
            boxes = boxes[:, [1, 0, 3, 2]]
        matrix = from_crop(align_matrix(frame_landmarks(face), size=detector.input_size), face.origin)
        points = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        found.append(cv2.perspectiveTransform(points, np.linalg.inv(matrix)) if len(boxes) else points)
    return found


def strongest(loc: np.ndarray, conf: np.ndarray) -> np.ndarray:
    """Return the boxes, (k, 4) corners as fractions of the crop, of the anchors most surely an artifact.

    At most MOST, each at least LEAST sure, none overlapping a surer one by more than OVERLAP.

    Args:
        loc: (168, 4) offsets.
        conf: (168, 2) logits of background and artifact.
    """
    sure = 1 / (1 + np.exp(conf[:, 0].astype(float) - conf[:, 1]))
    boxes = np.clip(corners(decode(loc, priors())), 0, 1).astype(float)
    kept: list[int] = []
    for i in np.argsort(-sure, kind="stable"):
        apart = not kept or iou(boxes[[i]], boxes[kept]).max() <= OVERLAP
        if sure[i] >= LEAST and apart and len(kept) < MOST:
            kept.append(int(i))
    return boxes[kept]
