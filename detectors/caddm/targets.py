"""Anchors of the artifact detection module and their targets (SSD matching).

Boxes are fractions of the crop, (x0, y0, x1, y1); anchors are (centre x, centre y, width, height). float32, no backend.
"""

from __future__ import annotations

from functools import cache

import numpy as np

IOU_THRESHOLD = 0.5  # Also in the released code, whatever its configuration says.
VARIANCES = (0.1, 0.2)
WHOLE = (0.0, 0.0, 1.0, 1.0)

# Map size, step, short and long side of the anchors, in pixels of the 224 px crop.
LEVELS = ((7, 32, 40, 80), (5, 45, 80, 120), (3, 75, 120, 160), (1, 224, 224, 224))
_CANVAS = 224


@cache
def priors() -> np.ndarray:
    """Return the 168 anchors, (168, 4) float32, ordered as the heads' outputs: level, row, column, tall then wide."""
    rows = []
    for cells, step, short, long in LEVELS:
        for i in range(cells):
            for j in range(cells):
                centre = (j + 0.5) * step / _CANVAS, (i + 0.5) * step / _CANVAS
                rows += [(*centre, short / _CANVAS, long / _CANVAS), (*centre, long / _CANVAS, short / _CANVAS)]
    anchors = np.clip(np.array(rows, np.float32), 0, 1)
    anchors.setflags(write=False)
    return anchors


def to_corners(anchors: np.ndarray) -> np.ndarray:
    """Turn (N, 4) centre-size boxes into (x0, y0, x1, y1)."""
    half = anchors[:, 2:] / 2
    return np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], 1)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the (N, M) intersection over union of (N, 4) and (M, 4) corner boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    return common / (area_a[:, None] + area_b[None] - common)


def assign(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each anchor's offsets and class: (168, 4) float32 and (168,) int64 (1 an artifact, 0 background).

    `boxes` is (N, 4). Each anchor takes the box it overlaps most. It is positive from an IoU of 0.5, or if it is the
    best anchor for a box. Without boxes (a real face) all targets are zero.
    """
    anchors, boxes = priors(), np.asarray(boxes, np.float32).reshape(-1, 4)
    if not len(boxes):
        return np.zeros((len(anchors), 4), np.float32), np.zeros(len(anchors), np.int64)
    overlaps = iou(boxes, to_corners(anchors))
    best_box, best_overlap = overlaps.argmax(0), overlaps.max(0)
    for box, anchor in enumerate(overlaps.argmax(1)):  # If two boxes prefer the same anchor, the later gets it.
        best_box[anchor], best_overlap[anchor] = box, 2
    return encode(boxes[best_box], anchors), (best_overlap >= IOU_THRESHOLD).astype(np.int64)


def encode(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Express (N, 4) corner boxes as offsets from (N, 4) anchors: shifts over 0.1 sizes, log ratios over 0.2."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    shift = (centre - anchors[:, :2]) / (np.float32(VARIANCES[0]) * anchors[:, 2:])
    size = np.log((boxes[:, 2:] - boxes[:, :2]) / anchors[:, 2:]) / np.float32(VARIANCES[1])
    return np.concatenate([shift, size], 1).astype(np.float32)


def decode(offsets: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Undo `encode`, into centre-size boxes (N, 4)."""
    centre = anchors[:, :2] + offsets[:, :2] * np.float32(VARIANCES[0]) * anchors[:, 2:]
    return np.concatenate([centre, anchors[:, 2:] * np.exp(offsets[:, 2:] * np.float32(VARIANCES[1]))], 1)
