"""Training examples: face boxes, and forged regions, found by comparison with originals. No backend."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...benchmark.core.types import TrainSample
from ..caddm.frame_pair import make_frame_pair
from ..common.crops import BoxCrop
from .targets import label_patches, make_boundary

CHANGED = 12  # Grey levels by which a forged pixel differs from its original after blurring both.
CLIP_SIDE, PATCH = 16, 16


@dataclass(frozen=True)
class ForensicsSampler:
    """Makes `image` uint8 (S, S, 3) RGB, `label` int64, `boundary` float32 (S, S), `patches` and `clip_patches` (256,).

    Empty for a fake whose original is unknown or doesn't show the region: its forged region is then unknown.
    """

    crop: BoxCrop

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example; nothing is random, since the paper doesn't augment."""
        pair = make_frame_pair(sample)
        if sample.label and pair.original is None:
            return {}
        face = replace(sample.face, crop=pair.image, landmarks=pair.points.astype(np.float32))
        corner, side = self.crop.square(face)
        image = self.crop.cut(pair.image, corner, side)
        size = self.crop.size
        mask = np.zeros((size, size), np.uint8)
        if pair.original is not None:
            mask = find_forgery(image, self.crop.cut(pair.original, corner, side))
        return {
            "image": image,
            "label": np.array(sample.label, np.int64),
            "boundary": make_boundary(mask),
            "patches": label_patches(mask, size // PATCH).astype(np.float32),
            "clip_patches": label_patches(cv2.resize(mask, (224, 224)), CLIP_SIDE).astype(np.float32),
        }


def find_forgery(image: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return where two images of the same region differ, uint8 (H, W), 255 where they do."""
    blurred = (cv2.GaussianBlur(picture, (5, 5), 0).astype(np.int16) for picture in (image, original))
    first, second = blurred
    changed = (np.abs(first - second).max(2) > CHANGED).astype(np.uint8) * 255
    return cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
