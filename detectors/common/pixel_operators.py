"""Pixel operations with given parameters, the building blocks of augmentations. uint8 (H, W, 3) RGB, no randomness.

They truncate like albumentations 1.1, which several published recipes used, and use OpenCV's JPEG codec.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

LEVELS = np.arange(256)


def shift_rgb(image: np.ndarray, shifts: Sequence[float]) -> np.ndarray:
    """Add grey levels to red, green and blue."""
    tables = [np.clip(LEVELS + shift, 0, 255) for shift in shifts]
    return _look_up(image, tables)


def shift_hsv(image: np.ndarray, shifts: Sequence[float]) -> np.ndarray:
    """Add to hue (0..179, wraps around), saturation and value (0..255) in 8 bits: a shift of -0.3 is one level down."""
    hue, *others = shifts
    tables = [np.mod(LEVELS + hue, 180), *(np.clip(LEVELS + shift, 0, 255) for shift in others)]
    return cv2.cvtColor(_look_up(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), tables), cv2.COLOR_HSV2RGB)


def scale_levels(image: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Change contrast and brightness: v becomes alpha v + 255 beta."""
    table = LEVELS.astype(np.float32) * np.float32(alpha) + np.float32(beta * 255)
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8))


def downscale(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink with nearest neighbours and enlarge bilinearly."""
    height, width = image.shape[:2]
    size = max(1, int(width / factor)), max(1, int(height / factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def make_sharpening_kernel(alpha: float, lightness: float) -> np.ndarray:
    """Return the (3, 3) kernel that mixes an image with its sharpened version, of which alpha is the share."""
    sharp = np.full((3, 3), -1.0, np.float32)
    sharp[1, 1] = 8 + lightness
    same = np.zeros((3, 3), np.float32)
    same[1, 1] = 1
    return (1 - alpha) * same + alpha * sharp


def sharpen(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Filter with a kernel; see `make_sharpening_kernel`."""
    return cv2.filter2D(image, -1, kernel)


def compress_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode as if the first channel were blue: for RGB, this swaps red and blue in chroma."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1))


def _look_up(image: np.ndarray, tables: Sequence[np.ndarray]) -> np.ndarray:
    return cv2.LUT(image, np.stack(tables, -1).astype(np.uint8)[None])
