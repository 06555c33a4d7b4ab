"""Paint eyes, brows, nostrils and mouth on a head's albedo, from the landmarks of the current expression."""

from __future__ import annotations

import cv2
import numpy as np

from .face_grid import FIXED_POINT_BITS, PIXELS, to_colour_tuple, to_fixed_point, to_pixels
from .landmarks import BROWS, EYES, INNER_LIPS, LIPS, NOSE, make_canonical_landmarks
from .motion import Expression
from .people import Head

SCLERA, PUPIL, GLINT = (222, 214, 208), (12, 10, 10), (250, 250, 250)
THROAT, TEETH = (48, 22, 22), (214, 206, 194)
IRIS_RADIUS = 0.062  # face units


def paint_features(head: Head, expression: Expression, gaze: tuple[float, float]) -> np.ndarray:
    """Return the (SIZE, SIZE, 3) uint8 albedo with painted features; gaze is (right, down), each -1..1."""
    image = head.albedo.copy()
    points = make_canonical_landmarks(head.shape, expression)
    for first in EYES:
        _paint_eye(image, head, points[first : first + 6], gaze)
    for first in BROWS:
        _paint_brow(image, head, points[first : first + 5])
    _paint_nostrils(image, head, points[NOSE])
    _paint_mouth(image, head, points[LIPS], points[INNER_LIPS], expression.open > 0.06)
    return image


def _fill_polygon(image: np.ndarray, points: np.ndarray, colour: np.ndarray | tuple[int, ...]) -> None:
    cv2.fillPoly(image, [to_fixed_point(to_pixels(points))], to_colour_tuple(colour), cv2.LINE_AA, FIXED_POINT_BITS)


def _draw_line(image: np.ndarray, points: np.ndarray, colour: np.ndarray, thickness: int) -> None:
    cv2.polylines(
        image,
        [to_fixed_point(to_pixels(points))],
        False,
        to_colour_tuple(colour),
        thickness,
        cv2.LINE_AA,
        FIXED_POINT_BITS,
    )


def _round_corners(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Cut the corners of a closed polygon (Chaikin)."""
    for _ in range(rounds):
        after = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1).reshape(-1, 2)
    return points


def _paint_eye(image: np.ndarray, head: Head, eye: np.ndarray, gaze: tuple[float, float]) -> None:
    lid = eye.copy()
    lid[1:3, 1] -= 0.022
    lid[[0, 3], 0] += [-0.012, 0.012]
    _fill_polygon(image, _round_corners(lid), head.colours.skin * 0.55)
    lift = np.array([0, 0.008])
    upper = [eye[:1], (eye[:1] + eye[1:2]) / 2 - lift, eye[1:3], (eye[2:3] + eye[3:4]) / 2 - lift, eye[3:4]]
    opening = np.vstack([*upper, eye[4:]])
    low = np.maximum(np.floor(to_pixels(eye.min(0) - 0.05)).astype(int), 0)
    high = np.ceil(to_pixels(eye.max(0) + 0.05)).astype(int)
    centre = to_pixels(eye[[0, 3]].mean(0) + np.array([0.04 * gaze[0], 0.02 * gaze[1] - 0.006])) - low
    ball = _draw_eyeball(head, (high - low)[::-1], centre)
    mask = np.zeros(ball.shape[:2], np.uint8)
    cv2.fillPoly(mask, [to_fixed_point(to_pixels(opening) - low)], 255, cv2.LINE_AA, FIXED_POINT_BITS)
    patch = image[low[1] : high[1], low[0] : high[0]]
    mix = mask[..., None].astype(np.float32) / 255
    patch[:] = patch * (1 - mix) + ball * mix
    _draw_line(image, opening[:6], head.colours.skin * 0.22, 2)


def _draw_eyeball(head: Head, size: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return a (height, width, 3) patch of an eyeball; the lid shades its upper quarter."""
    ball = np.full((*size, 3), SCLERA, np.uint8)
    at, radius = tuple(map(int, to_fixed_point(centre))), IRIS_RADIUS * PIXELS * 2**FIXED_POINT_BITS
    cv2.circle(ball, at, int(radius), to_colour_tuple(head.colours.iris * 0.55), -1, cv2.LINE_AA, FIXED_POINT_BITS)
    cv2.circle(ball, at, int(radius * 0.8), to_colour_tuple(head.colours.iris), -1, cv2.LINE_AA, FIXED_POINT_BITS)
    cv2.circle(ball, at, int(radius * 0.44), to_colour_tuple(PUPIL), -1, cv2.LINE_AA, FIXED_POINT_BITS)
    cv2.circle(
        ball,
        tuple(map(int, to_fixed_point(centre - [1.2, 1.4]))),
        2**FIXED_POINT_BITS,
        to_colour_tuple(GLINT),
        -1,
        cv2.LINE_AA,
        FIXED_POINT_BITS,
    )
    shaded = max(1, size[0] // 4)
    ball[:shaded] = ball[:shaded] * 0.75
    return ball


def _paint_brow(image: np.ndarray, head: Head, brow: np.ndarray) -> None:
    half = head.shape.brow_thickness * np.array([[0.45], [0.9], [1], [0.9], [0.45]]) * [0, 1]
    outline = np.vstack([brow - half, (brow + half)[::-1]])
    _fill_polygon(image, _round_corners(outline), head.colours.hair * 0.5 + head.colours.skin * 0.22)


def _paint_nostrils(image: np.ndarray, head: Head, nose: np.ndarray) -> None:
    axes = (int(0.03 * PIXELS * 2**FIXED_POINT_BITS), int(0.015 * PIXELS * 2**FIXED_POINT_BITS))
    for point, side in ((nose[5], 1), (nose[7], -1)):
        at = to_fixed_point(to_pixels(point + np.array([side * 0.012, -0.008])))
        colour = to_colour_tuple(head.colours.skin * 0.32)
        cv2.ellipse(image, tuple(map(int, at)), axes, 0, 0, 360, colour, -1, cv2.LINE_AA, FIXED_POINT_BITS)


def _paint_mouth(image: np.ndarray, head: Head, lips: np.ndarray, inner: np.ndarray, is_open: bool) -> None:
    lip = head.colours.lip
    _fill_polygon(image, _round_corners(lips), lip)
    _fill_polygon(image, np.vstack([lips[:7], inner[4::-1]]), lip * 0.90)
    if not is_open:
        _draw_line(image, inner[:5], lip * 0.5, 1)
        return
    _fill_polygon(image, inner, THROAT)
    teeth = inner.copy()
    teeth[5:, 1] = np.minimum(teeth[5:, 1], inner[1:4, 1].mean() + 0.035)
    _fill_polygon(image, teeth, TEETH)
