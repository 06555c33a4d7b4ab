"""The five-point alignment that turns a face in a frame into the network's crop ("align_5p" in the released code).

Coordinates are pixels of the full frame, x right and y down. Everything is numpy and OpenCV, no backend.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ...benchmark.core.types import Face
from ..common.crops import fit_similarity
from .draws import flip_coin

REFERENCE_SIZE = 224
FACE_WIDTH = 80  # Pixels between the outer template points, on the reference's 224 px canvas.

# Left eye, right eye, nose tip, left and right mouth corner; units of the face box, from its middle.
_TEMPLATE = np.array(
    [(-0.17607, -0.172844), (0.1736, -0.17356), (-0.00182, 0.0357164), (-0.14617, 0.20185), (0.14496, 0.19943)]
)
_EYES_AND_MOUTH = [0, 1, 3, 4]


class Jitter(NamedTuple):
    """How a crop differs from the upright one. Translation is in pixels of the 224 px canvas, rotation in degrees.

    `stretch_x` pulls the eyes apart and the mouth corners together, `stretch_y` the left pair apart and the right pair
    together; 1 changes nothing. The defaults are those of the released test code.
    """

    scale: float = 0.9
    translation: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    stretch_x: float = 1.0
    stretch_y: float = 1.0


UPRIGHT = Jitter()


def draw_jitter(rng: np.random.Generator, strength: float = 1.0) -> Jitter:
    """Draw the training jitter, in the same order as the released code; `strength` multiplies all but the stretch."""
    scale = rng.standard_normal() * 0.1 * strength + 0.9
    translation = rng.uniform(-25, 25) * strength, rng.uniform(-25, 25) * strength
    rotation = 30 * strength * rng.uniform(-1, 1) ** 3
    return Jitter(scale, translation, rotation, _draw_stretch(rng), _draw_stretch(rng))


def _draw_stretch(rng: np.random.Generator) -> float:
    return rng.uniform(0.97, 1.03) if flip_coin(rng, 0.2) else 1.0


def reduce_to_five_points(landmarks: np.ndarray) -> np.ndarray:
    """Reduce (81, 2) landmarks to (5, 2): eyes, nose tip, mouth corners.

    The eyes' centres are truncated to whole pixels, as in the released code: the official weights expect it. So
    landmarks must be given in pixels of the frame, not of a crop.
    """
    eyes = np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0)]).astype(np.int64)
    return np.concatenate([eyes, landmarks[[30, 48, 54]]]).astype(np.float64)


def make_template(scale: float, size: int = REFERENCE_SIZE) -> np.ndarray:
    """Return the five target points: (5, 2) float64, pixels of a `size` x `size` canvas."""
    points = _TEMPLATE * scale
    ratio = FACE_WIDTH / (REFERENCE_SIZE * 0.34967)  # The face's width scales with the canvas: no `size` needed.
    stretch = (points[0, 1] * ratio + 0.5) * (1 + 1.42)
    placed = (points * ratio + 0.5) * size
    placed[:, 1] /= stretch
    return placed


def compute_align_matrix(landmarks: np.ndarray, jitter: Jitter = UPRIGHT, size: int = REFERENCE_SIZE) -> np.ndarray:
    """Return the (3, 3) map from frame pixels to crop pixels: the fit, then the rotation, then the stretch and shift.

    `landmarks` is (81, 2) in pixels of the frame.
    """
    target = make_template(jitter.scale, size)
    fit = np.vstack([fit_similarity(reduce_to_five_points(landmarks), target), (0, 0, 1)])
    turn = np.vstack([cv2.getRotationMatrix2D((size / 2, size / 2), jitter.rotation, 1.0), (0, 0, 1)])
    corners = target[_EYES_AND_MOUTH].astype(np.float32)
    shift = np.array(jitter.translation, np.float32) * np.float32(size / REFERENCE_SIZE)
    return cv2.getPerspectiveTransform(corners, _stretch_corners(corners, jitter) + shift) @ turn @ fit


def _stretch_corners(corners: np.ndarray, jitter: Jitter) -> np.ndarray:
    """Stretch pairs of the (4, 2) float32 corners about their midpoints, one pair after the other.

    Done in float32 and in this order even when nothing is stretched: rounding moves landmarks by 1e-4 pixels, and only
    this reproduces the released code's crops exactly.
    """
    points = corners.copy()
    pairs = [
        ((0, 1), jitter.stretch_x),
        ((2, 3), 1 / jitter.stretch_x),
        ((0, 2), jitter.stretch_y),
        ((1, 3), 1 / jitter.stretch_y),
    ]
    for (i, j), factor in pairs:
        middle, half = (points[i] + points[j]) / 2, (points[j] - points[i]) * np.float32(factor) / 2
        points[i], points[j] = middle - half, middle + half
    return points


def warp(image: np.ndarray, matrix: np.ndarray, size: int = REFERENCE_SIZE) -> np.ndarray:
    """Apply a (3, 3) map; bilinear, black outside the image. Returns (size, size, ...)."""
    return cv2.warpPerspective(image, matrix, (size, size))


def shift_to_crop(matrix: np.ndarray, top_left: tuple[int, int]) -> np.ndarray:
    """Turn a map from frame pixels into a map from the pixels of a crop whose top left corner is `top_left` (x, y)."""
    return matrix @ np.array([(1, 0, top_left[0]), (0, 1, top_left[1]), (0, 0, 1)], float)


def to_frame_landmarks(face: Face) -> np.ndarray:
    """Return a face's (81, 2) landmarks in pixels of its frame."""
    return face.landmarks.astype(np.float64) + face.top_left


def align_face(face: Face, size: int = REFERENCE_SIZE) -> np.ndarray:
    """Cut the test crop, uint8 (size, size, 3) RGB: the same as from the whole frame if the context is large enough."""
    return warp(
        face.crop, shift_to_crop(compute_align_matrix(to_frame_landmarks(face), size=size), face.top_left), size
    )
