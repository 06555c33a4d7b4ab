"""The canvas on which a face is modelled: a square grid in face units, and the smooth shapes drawn on it.

A face unit is about half the height of the bare face. x grows to the right, y downwards, z towards the camera, and the
origin is between nose bridge and nose tip. All random numbers of the demo world come from `make_rng`.
"""

from __future__ import annotations

from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt

Image = np.ndarray  # of float32: (H, W, 3) RGB 0..1, or (H, W)

SIZE = 176  # pixels along a side of the canvas
EXTENT = 1.36  # half a side, in face units
PIXELS = SIZE / (2 * EXTENT)  # pixels per face unit
FIXED_POINT_BITS = 4  # fractional bits of the coordinates given to OpenCV's drawing functions

_line = ((np.arange(SIZE) + 0.5) / SIZE * 2 - 1).astype(np.float32) * np.float32(EXTENT)
X, Y = np.meshgrid(_line, _line)


def make_rng(*key: str | int) -> np.random.Generator:
    """Return a generator that depends only on the key, so that nothing depends on the order of rendering."""
    return np.random.default_rng([part if isinstance(part, int) else crc32(part.encode()) for part in key])


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Turn face units into canvas pixels (pixel centres at whole numbers), any shape."""
    return ((np.asarray(points) + EXTENT) * PIXELS - 0.5).astype(np.float32)


def smoothstep(start: float, end: float, value: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at `start` to 1 at `end` (or fall, if `end` is the smaller)."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def make_bump(x: float, y: float, width: float, height: float) -> Image:
    """Return a Gaussian hill of height 1 on the canvas, all in face units."""
    return np.exp(-(((X - x) / width) ** 2) - ((Y - y) / height) ** 2)


def make_mirrored_bumps(x: float, y: float, width: float, height: float) -> Image:
    """Return two mirrored hills, one for each half of the face."""
    return make_bump(-x, y, width, height) + make_bump(x, y, width, height)


def make_fractal_noise(rng: np.random.Generator, size: int, cells: int, octaves: int, gain: float = 0.55) -> Image:
    """Return (size, size) fractal noise: octaves of smoothed white noise, the first of `cells` cells a side."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = min(cells * 2**octave, size)
        noise = rng.standard_normal((count, count), dtype=np.float32)
        total += np.float32(gain**octave) * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return total


def to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Turn pixels into the fixed-point int32 coordinates that OpenCV draws with sub-pixel precision."""
    return np.round(np.asarray(points) * 2**FIXED_POINT_BITS).astype(np.int32)


def to_colour_tuple(values: npt.ArrayLike) -> tuple[float, ...]:
    """Turn a colour into the plain tuple that OpenCV expects."""
    return tuple(float(v) for v in np.atleast_1d(np.asarray(values)))
