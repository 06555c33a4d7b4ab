"""The 81 landmarks of a face: dlib's 68 in their order, then 13 along the hairline from left to right.

The face is painted from the same points in the same pose, so they are exact.
"""

from __future__ import annotations

import cv2
import numpy as np

from .face_grid import smoothstep, to_pixels
from .motion import Expression, Moment
from .people import OUTLINE_POWER, Head, Shape

COUNT = 81
JAW, RIGHT_BROW, LEFT_BROW, NOSE = slice(0, 17), slice(17, 22), slice(22, 27), slice(27, 36)
EYES, BROWS, LIPS, INNER_LIPS, FOREHEAD = (36, 42), (17, 22), slice(48, 60), slice(60, 68), slice(68, 81)
DEPTH = 0.25  # the height z about which the head turns, face units
JAW_DROP = 0.10  # how far the chin sinks when the mouth is fully open, face units


def make_canonical_landmarks(shape: Shape, expression: Expression) -> np.ndarray:
    """Return (81, 2) float32 landmarks in face units, before the jaw drops."""
    points = np.zeros((COUNT, 2), np.float32)
    points[JAW] = _jaw(shape)
    for first, side in zip(BROWS, (-1, 1), strict=True):
        points[first : first + 5] = _brow(shape, side, expression.brow)
    points[NOSE] = _nose(shape)
    for first, side in zip(EYES, (-1, 1), strict=True):
        points[first : first + 6] = _eye(shape, side, expression)
    points[LIPS], points[INNER_LIPS] = _mouth(shape, expression)
    across = np.linspace(-0.85, 0.85, 13)
    points[FOREHEAD, 0] = across * shape.half_width
    points[FOREHEAD, 1] = shape.hairline + shape.hairline_curve * np.abs(across) ** 2.6 + 0.06
    return points


def compute_jaw_drop(expression: Expression, y: np.ndarray) -> np.ndarray:
    """Return how far points at height y sink when the mouth opens, in face units."""
    return JAW_DROP * expression.open * smoothstep(0.40, 0.95, y)


def make_rotation_matrix(moment: Moment) -> np.ndarray:
    """Return the (3, 3) rotation of the head: yaw, then pitch, then roll."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(moment[:3]), np.sin(moment[:3])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return roll @ pitch @ yaw


def project(moment: Moment, points: np.ndarray, z: np.ndarray | float) -> np.ndarray:
    """Project (N, 2) points at heights z, in face units, to (N, 2) frame pixels."""
    turn = make_rotation_matrix(moment)[:2]
    depth = np.broadcast_to(np.asarray(z) - DEPTH, len(points))[:, None]
    return (points @ turn[:, :2].T + depth * turn[:, 2]) * moment.scale + [moment.x, moment.y]


def project_landmarks(head: Head, moment: Moment) -> np.ndarray:
    """Return the (81, 2) float32 landmarks in frame pixels."""
    points = make_canonical_landmarks(head.shape, moment.expression)
    at = to_pixels(points)
    z = cv2.remap(head.relief, at[:, :1].copy(), at[:, 1:].copy(), cv2.INTER_LINEAR)[:, 0]
    points[:, 1] += compute_jaw_drop(moment.expression, points[:, 1])
    return project(moment, points, z).astype(np.float32)


def _jaw(shape: Shape) -> np.ndarray:
    angle = np.linspace(-0.14, np.pi + 0.14, 17)
    cosine, sine = np.cos(angle), np.sin(angle)
    y = np.sign(sine) * np.abs(sine) ** (2 / OUTLINE_POWER) * np.where(sine > 0, shape.chin, shape.crown)
    x = -np.sign(cosine) * np.abs(cosine) ** (2 / OUTLINE_POWER) * shape.outline_half_width(y)
    return np.stack([0.965 * x, 0.985 * y], 1)


def _brow(shape: Shape, side: int, raised: float) -> np.ndarray:
    t = np.linspace(-1, 1, 5)
    y = shape.eye_y - shape.brow_rise - 0.05 * raised - 0.035 * (1 - t**2) + side * t * shape.brow_tilt
    return np.stack([side * shape.eye_x * 1.02 + t * shape.brow_width, y], 1)


def _nose(shape: Shape) -> np.ndarray:
    tip, t = shape.eye_y + shape.nose_length, np.linspace(-1, 1, 5)
    bridge = np.stack([np.zeros(4), np.linspace(shape.eye_y, tip - 0.03, 4)], 1)
    base = np.stack([t * shape.nose_width * 0.85, tip + 0.055 + 0.018 * (1 - t**2)], 1)
    return np.vstack([bridge, base])


def _eye(shape: Shape, side: int, expression: Expression) -> np.ndarray:
    opening = shape.eye_height * max(0.06, 1 - expression.blink) * (1 - 0.15 * expression.smile)
    u = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])
    v = np.array([0, -1, -1, 0, 0.72, 0.72])
    x, y = side * shape.eye_x + u * shape.eye_width, shape.eye_y + v * opening - side * u * shape.eye_tilt
    return np.stack([x, y], 1)


def _mouth(shape: Shape, expression: Expression) -> tuple[np.ndarray, np.ndarray]:
    """Return the 12 points around the lips and the 8 around the opening."""
    up, low, drop = shape.upper_lip, shape.lower_lip, 0.11 * expression.open
    width = shape.mouth_width * (1 + 0.16 * expression.smile - 0.10 * expression.open)
    u = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1, 0.62, 0.25, 0, -0.25, -0.62])
    above = np.array([0, -0.75, -1.0, -0.82, -1.0, -0.75, 0]) * up
    below = np.array([0.7, 1, 1.03, 1, 0.7]) * low + np.array([0.75, 1, 1, 1, 0.75]) * drop
    inner_u = np.array([-0.82, -0.3, 0, 0.3, 0.82, 0.3, 0, -0.3])
    inner_above = np.array([0, -0.08, -0.02, -0.08, 0]) * up
    inner_below = np.array([0.05, 0.08, 0.05]) * low + drop

    def curve(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.stack([u * width, shape.mouth_y + v - 0.045 * expression.smile * u**2], 1)

    return curve(u, np.r_[above, below]), curve(inner_u, np.r_[inner_above, inner_below])
