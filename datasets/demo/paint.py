"""Paint eyes, brows, nostrils and mouth on a head's albedo, from the landmarks of the present expression."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import FIXED, PIXELS, colour_of, fixed, to_pixels
from .landmarks import BROWS, EYES, INNER_LIPS, LIPS, NOSE, canonical
from .motion import Expression
from .people import Head

SCLERA, PUPIL, GLINT = (222, 214, 208), (12, 10, 10), (250, 250, 250)
THROAT, TEETH = (48, 22, 22), (214, 206, 194)
IRIS_RADIUS = 0.062  # face units


def painted(head: Head, expression: Expression, gaze: tuple[float, float]) -> np.ndarray:
    """Return the (SIZE, SIZE, 3) uint8 albedo with the features painted on; gaze is (right, down), -1..1 each."""
    image = head.albedo.copy()
    points = canonical(head.shape, expression)
    for first in EYES:
        _paint_eye(image, head, points[first : first + 6], gaze)
    for first in BROWS:
        _paint_brow(image, head, points[first : first + 5])
    _paint_nostrils(image, head, points[NOSE])
    _paint_mouth(image, head, points[LIPS], points[INNER_LIPS], expression.open > 0.06)
    return image


def _fill(image: np.ndarray, points: np.ndarray, colour: np.ndarray | tuple[int, ...]) -> None:
    cv2.fillPoly(image, [fixed(to_pixels(points))], colour_of(colour), cv2.LINE_AA, FIXED)


def _line(image: np.ndarray, points: np.ndarray, colour: np.ndarray, thickness: int) -> None:
    cv2.polylines(image, [fixed(to_pixels(points))], False, colour_of(colour), thickness, cv2.LINE_AA, FIXED)


def _rounded(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Cut the corners of a closed polygon (Chaikin)."""
    for _ in range(rounds):
        after = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1).reshape(-1, 2)
    return points


def _paint_eye(image: np.ndarray, head: Head, eye: np.ndarray, gaze: tuple[float, float]) -> None:
    lid = eye.copy()
    lid[1:3, 1] -= 0.022
    lid[[0, 3], 0] += [-0.012, 0.012]
    _fill(image, _rounded(lid), head.colours.skin * 0.55)
    lift = np.array([0, 0.008])
    upper = [eye[:1], (eye[:1] + eye[1:2]) / 2 - lift, eye[1:3], (eye[2:3] + eye[3:4]) / 2 - lift, eye[3:4]]
    opening = np.vstack([*upper, eye[4:]])
    low = np.maximum(np.floor(to_pixels(eye.min(0) - 0.05)).astype(int), 0)
    high = np.ceil(to_pixels(eye.max(0) + 0.05)).astype(int)
    centre = to_pixels(eye[[0, 3]].mean(0) + np.array([0.04 * gaze[0], 0.02 * gaze[1] - 0.006])) - low
    ball = _eyeball(head, (high - low)[::-1], centre)
    mask = np.zeros(ball.shape[:2], np.uint8)
    cv2.fillPoly(mask, [fixed(to_pixels(opening) - low)], 255, cv2.LINE_AA, FIXED)
    patch = image[low[1] : high[1], low[0] : high[0]]
    mix = mask[..., None].astype(np.float32) / 255
    patch[:] = patch * (1 - mix) + ball * mix
    _line(image, opening[:6], head.colours.skin * 0.22, 2)


def _eyeball(head: Head, size: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return a (height, width, 3) patch of an eyeball; the lid shades its upper quarter."""
    ball = np.full((*size, 3), SCLERA, np.uint8)
    at, radius = tuple(map(int, fixed(centre))), IRIS_RADIUS * PIXELS * 2**FIXED
    cv2.circle(ball, at, int(radius), colour_of(head.colours.iris * 0.55), -1, cv2.LINE_AA, FIXED)
    cv2.circle(ball, at, int(radius * 0.8), colour_of(head.colours.iris), -1, cv2.LINE_AA, FIXED)
    cv2.circle(ball, at, int(radius * 0.44), colour_of(PUPIL), -1, cv2.LINE_AA, FIXED)
    cv2.circle(ball, tuple(map(int, fixed(centre - [1.2, 1.4]))), 2**FIXED, colour_of(GLINT), -1, cv2.LINE_AA, FIXED)
    shaded = max(1, size[0] // 4)
    ball[:shaded] = ball[:shaded] * 0.75
    return ball


def _paint_brow(image: np.ndarray, head: Head, brow: np.ndarray) -> None:
    half = head.shape.brow_thickness * np.array([[0.45], [0.9], [1], [0.9], [0.45]]) * [0, 1]
    outline = np.vstack([brow - half, (brow + half)[::-1]])
    _fill(image, _rounded(outline), head.colours.hair * 0.5 + head.colours.skin * 0.22)


def _paint_nostrils(image: np.ndarray, head: Head, nose: np.ndarray) -> None:
    axes = (int(0.03 * PIXELS * 2**FIXED), int(0.015 * PIXELS * 2**FIXED))
    for point, side in ((nose[5], 1), (nose[7], -1)):
        at = fixed(to_pixels(point + np.array([side * 0.012, -0.008])))
        colour = colour_of(head.colours.skin * 0.32)
        cv2.ellipse(image, tuple(map(int, at)), axes, 0, 0, 360, colour, -1, cv2.LINE_AA, FIXED)


def _paint_mouth(image: np.ndarray, head: Head, lips: np.ndarray, inner: np.ndarray, is_open: bool) -> None:
    lip = head.colours.lip
    _fill(image, _rounded(lips), lip)
    _fill(image, np.vstack([lips[:7], inner[4::-1]]), lip * 0.90)
    if not is_open:
        _line(image, inner[:5], lip * 0.5, 1)
        return
    _fill(image, inner, THROAT)
    teeth = inner.copy()
    teeth[5:, 1] = np.minimum(teeth[5:, 1], inner[1:4, 1].mean() + 0.035)
    _fill(image, teeth, TEETH)
