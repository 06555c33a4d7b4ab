"""Photometric augmentation, step by step. The steps are functions of their parameters; `augment` draws them.

Images are (H, W, 3) BGR, grey levels 0..255, uint8 or float32, as the previous step left them.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .draws import flip_coin

_INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def augment(image: np.ndarray, rng: np.random.Generator, resize: bool, often: float = 1.0) -> np.ndarray:
    """Apply the released code's sequence of random steps to a uint8 BGR image; returns uint8.

    `resize` also applies the last step, whose result the released code discards; `often` scales the probability of
    every step.
    """
    if flip_coin(rng, 0.3 * often):
        image = compress_jpeg(image, int(15 + 65 * rng.random()))
    if flip_coin(rng, 0.5 * often):
        image = stretch_levels(image)
    if flip_coin(rng, 0.5 * often):
        image = add_grain(image, rng.standard_normal((image.shape[0] // 4, image.shape[1] // 4)))
    if flip_coin(rng, 0.25 * often):
        image = scale_colourfulness(image, *_draw_colourfulness(rng))
    g = 0.6 + 0.8 * rng.random()
    image = apply_gamma(image, g) if often == 1 or flip_coin(rng, often) else _clip(image)
    if flip_coin(rng, 0.3 * often):
        image = cv2.filter2D(image, -1, make_motion_kernel(int(360 * rng.random()), int(10 * rng.random()) + 1))
    if flip_coin(rng, 0.3 * often):
        image = cv2.GaussianBlur(image, (3, 3), int(rng.integers(3)))
    if flip_coin(rng, 0.3 * often):
        image = add_noise(image, _draw_sigma(rng), rng.standard_normal(image.shape, np.float32))
    if flip_coin(rng, 0.3 * often):
        image = mix_tone(image, 60 + 195 * rng.random(3), 0.3 * rng.random())
    if resize and flip_coin(rng, 0.25 * often):
        image = shrink_and_enlarge(image, 1 + rng.random(), *rng.choice(_INTERPOLATIONS, 2))
    return image


def _draw_colourfulness(rng: np.random.Generator) -> tuple[float, float]:
    saturation = value = 1.0
    if flip_coin(rng, 0.5):
        saturation = 1 - 0.5 * rng.random() if flip_coin(rng, 0.5) else 1 + 0.15 * rng.random()
    if flip_coin(rng, 0.5):
        value = 1 + rng.random() if flip_coin(rng, 0.5) else 1 - 0.5 * rng.random()
    return saturation, value


def _draw_sigma(rng: np.random.Generator) -> int:
    return int(rng.integers(15, 22) if flip_coin(rng, 0.5) else rng.integers(0, 5))


def _clip(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)


def compress_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress a uint8 image (4:2:0)."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def stretch_levels(image: np.ndarray) -> np.ndarray:
    """Stretch the grey levels over the whole range; float32.

    The 1 is added as a float: in uint8 a full range would wrap around to 0, and the released code then divides by zero
    (NumPy 2; NumPy 1 computed 256).
    """
    low, high = float(image.min()), float(image.max())
    return (image.astype(np.float32) - low) * (255 / (high - low + 1))


def add_grain(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Add coarse grey grain: `noise` (h, w), standard normal, doubled and enlarged to the image size; float32."""
    enlarged = cv2.resize(noise.astype(np.float32) * 2, image.shape[1::-1])
    return np.clip(image + enlarged[..., None], 0, 255, dtype=np.float32)


def scale_colourfulness(image: np.ndarray, saturation: float, value: float) -> np.ndarray:
    """Scale saturation and value (in HSV, clipped); uint8."""
    hsv = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_BGR2HSV)
    scaled = np.minimum(hsv * np.array([1, saturation, value]), 255).astype(np.uint8)
    return cv2.cvtColor(scaled, cv2.COLOR_HSV2BGR)


def apply_gamma(image: np.ndarray, g: float) -> np.ndarray:
    """Return 255 (image / 255)^(1 / g) as uint8."""
    if image.dtype == np.uint8:
        return cv2.LUT(image, apply_gamma(np.arange(256, dtype=np.float64), g))
    return _clip(cv2.pow(np.maximum(image, 0) / 255, 1 / g) * 255)


def make_motion_kernel(angle: int, length: int) -> np.ndarray:
    """Return the kernel for a motion of `length` pixels at `angle` degrees: a line from the centre to one side only.

    So it also shifts the image by half the length, as in the released code.
    """
    x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    side = max(int(2 * length * max(abs(x), abs(y))), 1)
    middle = side // 2
    kernel = np.zeros((side, side))
    cv2.line(kernel, (middle, middle), (int(middle + length * x), int(middle + length * y)), 1.0)
    return kernel / kernel.sum()


def add_noise(image: np.ndarray, sigma: float, noise: np.ndarray) -> np.ndarray:
    """Add `sigma` times `noise` (the image's shape, standard normal); uint8."""
    return _clip(image + noise * np.float32(sigma))


def mix_tone(image: np.ndarray, colour: np.ndarray, share: float) -> np.ndarray:
    """Mix a `share` of a colour (3,) into the image; uint8."""
    return _clip(image * (1 - share) + colour * share)


def shrink_and_enlarge(image: np.ndarray, factor: float, shrink: int, enlarge: int) -> np.ndarray:
    """Shrink an image by `factor` and enlarge it again; `shrink` and `enlarge` are OpenCV interpolations."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (int(width / factor), int(height / factor)), interpolation=int(shrink))
    return cv2.resize(small, (width, height), interpolation=int(enlarge))
