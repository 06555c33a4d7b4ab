"""Augmentations shared by several published recipes, on uint8 (S, S, 3) RGB face crops. No backend.

Every draw comes from the generator passed in. If a recipe resizes a square crop to its own size, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ...benchmark.core.contracts import Cropper
from ...benchmark.core.types import TrainSample
from . import pixel_operators as pixels

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Returns a changed copy of an image."""


def mirror(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of the images."""
    return np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image


def keep(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Do nothing."""
    return image


def augment_as_deepfakebench(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, rotate by up to 10 degrees, blur, change colours and compress, each half of the time."""
    image = mirror(image, rng)
    if rng.random() < 0.5:
        image = transform(image, angle=rng.uniform(-10, 10))
    if rng.random() < 0.5:
        image = blur(image, int(rng.choice([3, 5, 7])))
    if rng.random() < 0.5:
        image = change_colours(image, rng, 0.1)
    return pixels.compress_jpeg(image, int(rng.integers(40, 101))) if rng.random() < 0.5 else image


def augment_as_selim(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment like the DFDC winner: compress, add noise, blur, mirror, change colours, turn grey, move."""
    if rng.random() < 0.5:
        image = pixels.compress_jpeg(image, int(rng.integers(60, 101)))
    if rng.random() < 0.1:
        noise = rng.normal(0, rng.uniform(10, 50) ** 0.5, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.05:
        image = blur(image, 3)
    image = mirror(image, rng)
    if rng.random() < 0.7:
        image = change_colours(image, rng, 0.2)
    if rng.random() < 0.2:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.5:
        image = transform(image, rng.uniform(-10, 10), rng.uniform(0.8, 1.2), rng.uniform(-0.1, 0.1, 2))
    return image


def erase(image: np.ndarray, rng: np.random.Generator, probability: float = 0.8) -> np.ndarray:
    """Blacken a rectangle of 2 to 20 % of the area, with an aspect ratio of up to 2."""
    if rng.random() >= probability:
        return image
    height, width = image.shape[:2]
    while True:
        area, ratio = rng.uniform(0.02, 0.2) * height * width, np.exp(rng.uniform(np.log(0.5), np.log(2)))
        h, w = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
        if 0 < h < height and 0 < w < width:
            break
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    erased = image.copy()
    erased[y : y + h, x : x + w] = 0
    return erased


def crop_and_resize(image: np.ndarray, rng: np.random.Generator, least: float, ratio: float) -> np.ndarray:
    """Crop a part of `least` to 1 of the area, with an aspect ratio of up to `ratio`, and enlarge it to full size."""
    height, width = image.shape[:2]
    area, shape = rng.uniform(least, 1), np.exp(rng.uniform(-np.log(ratio), np.log(ratio)))
    h, w = (
        min(n, max(1, round(n * float(side))))
        for n, side in ((height, np.sqrt(area / shape)), (width, np.sqrt(area * shape)))
    )
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    return cv2.resize(image[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)


def change_colours(image: np.ndarray, rng: np.random.Generator, limit: float) -> np.ndarray:
    """Change brightness and contrast (by up to `limit`), or the principal colours, or hue, saturation and value."""
    kind = rng.integers(3)
    if kind == 0:
        return pixels.scale_levels(image, 1 + rng.uniform(-limit, limit), rng.uniform(-limit, limit))
    if kind == 1:
        return shift_principal_colours(image, rng.normal(0, 0.1, 3))
    return pixels.shift_hsv(image, [rng.uniform(-20, 20), rng.uniform(-30, 30), rng.uniform(-20, 20)])


def shift_principal_colours(image: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Add to each pixel the principal components of the image's colours, times their variances and factors (3,).

    "Fancy PCA" of Krizhevsky et al. 2012, section 4.1.
    """
    colours = image.reshape(-1, 3) / 255
    values, vectors = np.linalg.eigh(np.cov(colours.T))
    return np.clip((image / 255 + vectors @ (amounts * values)) * 255, 0, 255).astype(np.uint8)


def transform(
    image: np.ndarray,
    angle: float = 0.0,
    scale: float = 1.0,
    shift: np.ndarray | tuple[float, float] = (0.0, 0.0),
    border: str = "reflected",
) -> np.ndarray:
    """Rotate (in degrees) and scale about the centre, then shift by fractions of the sides.

    Pixels from outside are `reflected` or `black`.
    """
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), float(angle), float(scale))
    matrix[:, 2] += np.asarray(shift) * (width, height)
    mode = cv2.BORDER_CONSTANT if border == "black" else cv2.BORDER_REFLECT_101
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=mode)


def blur(image: np.ndarray, kernel: int, sigma: float = 0.0) -> np.ndarray:
    """Apply a Gaussian blur; sigma 0 lets OpenCV choose it from the kernel size."""
    return cv2.GaussianBlur(image, (kernel, kernel), sigma)


@dataclass(frozen=True)
class AugmentedSampler:
    """Makes `image` uint8 (S, S, 3) RGB, an augmented face, and `label` int64.

    With `views`, makes that many differently augmented images of it: (views, S, S, 3).
    """

    uses_original: ClassVar[bool] = False
    uses_face: ClassVar[bool] = False
    crop: Cropper
    augment: Augment
    views: int = 0

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example."""
        image = sample.cut(self.crop)
        made = [self.augment(image, rng) for _ in range(self.views or 1)]
        return {"image": np.stack(made) if self.views else made[0], "label": np.array(sample.label, np.int64)}


def augment_mildly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half, and change contrast and brightness by up to 10 %."""
    return pixels.scale_levels(mirror(image, rng), rng.uniform(0.9, 1.1), rng.uniform(-0.1, 0.1))
