"""Training examples for plain classifiers: a jittered face box with mild photometric changes. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ...benchmark.core.types import TrainSample
from ..common.crops import BoxCrop


@dataclass(frozen=True)
class ClassifierSampler:
    """Turns a frame into `image` uint8 (S, S, 3) RGB and `label` int64.

    Every draw comes from the generator passed in: flip (1/2), a box of 0.9 to 1 times the size inside the full one,
    brightness and contrast (+-10 %), blur (1/10), JPEG quality 70 to 95 (1/7). Stronger compression and blur would hide
    the weak traces that recent manipulations leave.
    """

    uses_original: ClassVar[bool] = False
    crop: BoxCrop

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one augmented example."""
        corner, side = self.crop.square(sample.face)
        smaller = max(4, int(side * rng.uniform(0.9, 1.0)))
        moved = corner + rng.integers(0, side - smaller + 1, 2)
        image = self.crop.cut(sample.face.crop, moved, smaller)
        return {"image": _augment_photometric(image, rng), "label": np.array(sample.label, np.int64)}


def _augment_photometric(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        image = image[:, ::-1]
    contrast, brightness = rng.uniform(0.9, 1.1), rng.uniform(-25.5, 25.5)
    table = np.clip(np.arange(256) * contrast + brightness, 0, 255).astype(np.uint8)
    image = cv2.LUT(np.ascontiguousarray(image), table)
    if rng.random() < 0.1:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.7))
    if rng.random() < 1 / 7:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
    return image
