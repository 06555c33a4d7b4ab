"""Converts the 468 points of MediaPipe's face mesh to 81: dlib's 68 in their order, and 13 on the forehead.

Left and right are the image's. Not every dlib point has a counterpart in the mesh: if one is between two mesh points,
the table has both and their mean is used. The forehead points run along the mesh's upper oval from left to right, which
ends below the hairline: an approximation of the 81-point models' last 13 points, which have another order.
docs/faces.md reports how far these points are from dlib's.
"""

from __future__ import annotations

import numpy as np

LEFT_JAW = (127, (127, 132), (58, 234), 58, 172, (136, 150), 149, (148, 176))
CHIN = (152,)
RIGHT_JAW = ((377, 400), 378, (365, 379), 397, 288, (288, 454), (356, 361), 356)
LEFT_BROW = ((70, 156), (53, 63), (66, 105), (66, 107), (55, 107))
RIGHT_BROW = ((285, 336), (296, 336), (296, 334), (283, 293), (300, 383))
NOSE_BRIDGE = (168, (6, 197), (5, 195), 4)
NOSTRILS = ((64, 97), 97, 2, 326, (294, 326))
LEFT_EYE = ((33, 163), (159, 160), 158, (133, 154), 153, 144)
RIGHT_EYE = ((362, 381), 385, (386, 387), (263, 390), 373, 380)
OUTER_LIPS = (61, (39, 40), 37, 0, 267, (269, 270), 291, (321, 405), 314, 17, 84, (91, 181))
INNER_LIPS = (78, 82, 13, 312, 308, 317, 14, 87)
FOREHEAD = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)

TABLE: tuple[int | tuple[int, int], ...] = (
    *LEFT_JAW, *CHIN, *RIGHT_JAW, *LEFT_BROW, *RIGHT_BROW, *NOSE_BRIDGE, *NOSTRILS, *LEFT_EYE, *RIGHT_EYE,
    *OUTER_LIPS, *INNER_LIPS, *FOREHEAD,
)  # fmt: skip
_PAIRS = np.array([p if isinstance(p, tuple) else (p, p) for p in TABLE])


def convert_mesh(mesh: np.ndarray) -> np.ndarray:
    """Turn (468, 2) mesh points into (81, 2) float32, in the same coordinates."""
    return mesh[_PAIRS].mean(axis=1).astype(np.float32)
