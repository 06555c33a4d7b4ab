"""From the 468 points of MediaPipe's face mesh to 81: dlib's 68 in their order, and 13 of the forehead.

Left and right are the picture's. dlib has no counterpart for each mesh point: where its point lies between two of the
mesh's, the table has both and their mean is taken. The forehead points run along the mesh's upper oval from left to
right, which ends below the hairline: an approximation of the 81-point models' last 13 points, whose own order differs.
docs/faces.md tells how far these points are from dlib's.
"""

from __future__ import annotations

import numpy as np

JAW = (127, 234, 93, (132, 58), (58, 172), 136, 150, 176, 152, 400, 379, 365, (397, 288), (288, 361), 323, 454, 356)
LEFT_BROW = (70, 63, 105, 66, 107)
RIGHT_BROW = (336, 296, 334, 293, 300)
NOSE_BRIDGE = (168, (197, 6), (195, 5), 4)
NOSTRILS = (98, 97, 2, 326, 327)
LEFT_EYE = (33, 160, 158, 133, 153, 144)
RIGHT_EYE = (362, 385, 387, 263, 373, 380)
OUTER_LIPS = (61, (39, 40), 37, 0, 267, (269, 270), 291, (321, 405), 314, 17, 84, (91, 181))
INNER_LIPS = (78, (81, 80), 13, (311, 310), 308, (402, 318), 14, (178, 88))
FOREHEAD = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)

TABLE = (
    *JAW, *LEFT_BROW, *RIGHT_BROW, *NOSE_BRIDGE, *NOSTRILS, *LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS, *INNER_LIPS, *FOREHEAD
)  # fmt: skip
_PAIRS = np.array([p if isinstance(p, tuple) else (p, p) for p in TABLE])


def from_mesh(mesh: np.ndarray) -> np.ndarray:
    """Turn (468, 2) mesh points into (81, 2) float32, in the same coordinates."""
    return mesh[_PAIRS].mean(axis=1).astype(np.float32)
