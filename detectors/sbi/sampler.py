"""SBI's training examples: a real face, and the same face blended into itself. NumPy, OpenCV and SciPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import cv2
import numpy as np

from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import REAL, Face, TrainSample
from ..common import pixel_operators as pixels
from .blending import RATIOS, BlendDraws, Change, MaskDraws, make_affine, self_blend
from .geometry import find_context, find_face, mirror_box, mirror_landmarks
from .hulls import KINDS, draw_hull

POINTS = 68  # Fewest landmarks for a face's hull.
LEAST_SIDE = 8  # In pixels: a smaller context is too small to blend in.


@dataclass(frozen=True)
class TightCrop:
    """The face box extended by an eighth on each side, resized to (size, size)."""

    size: int

    def __call__(self, face: Face) -> np.ndarray:
        """Return uint8 (size, size, 3) RGB."""
        return resize(find_face(face.box.tolist(), face.crop.shape).cut(face.crop), self.size)


@dataclass(frozen=True)
class SelfBlendSampler:
    """Makes `image` uint8 (2, S, S, 3) RGB, a real face and its self-blended version, and `label` int64 (2,).

    Empty for a fake, from which this method doesn't learn; None if the face's landmarks enclose nothing.

    Args:
        size: S.
        integer_mask: use the mask of the code released without Face X-ray's library: one hull of all points, not
            eroded.
    """

    uses_original: ClassVar[bool] = False
    size: int
    integer_mask: bool = False

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
        """Return one pair; all draws come from `rng`."""
        if sample.label != REAL:
            return {}
        image, landmarks, box = sample.face.crop, sample.face.landmarks, sample.face.box
        if len(landmarks) < POINTS:
            raise BenchError(
                f"sbi needs {POINTS} or 81 landmarks per face to blend it, and a face has {len(landmarks)}. "
                "Prepare with another --set faces.finder"
            )
        if rng.random() < 0.5 and len(landmarks) == 81:
            width = image.shape[1]
            image, landmarks = np.ascontiguousarray(image[:, ::-1]), mirror_landmarks(landmarks, width)
            box = mirror_box(box.tolist(), width)
        context = find_context(landmarks, image.shape)
        image, landmarks = np.ascontiguousarray(context.cut(image)), context.shift(landmarks)
        if min(image.shape[:2]) < LEAST_SIDE:
            return None
        hull = self._draw_hull(landmarks if rng.random() >= 0.25 else landmarks[:POINTS], image.shape, rng)
        if not hull.any():
            return None
        real, fake, _ = self_blend(image, hull, draw_blend(image.shape, rng))
        change = draw_joint_change(rng)
        window = find_face(
            context.shift(box.reshape(2, 2)).ravel().tolist(), image.shape, rng.uniform(0.2, 0.8, 4).tolist()
        )
        pair = [resize(window.cut(change(picture)), self.size) for picture in (real, fake)]
        return {"image": np.stack(pair), "label": np.array([0, 1], np.int64)}

    def _draw_hull(self, landmarks: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        if self.integer_mask:
            return draw_hull(landmarks, shape, "whole").astype(np.uint8)
        return draw_hull(landmarks, shape, KINDS[rng.integers(len(KINDS))])


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return an image bilinearly resized to (size, size)."""
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def draw_blend(shape: tuple[int, ...], rng: np.random.Generator) -> BlendDraws:
    """Draw everything for a self-blended image of this shape (H, W, ...)."""
    height, width = shape[:2]
    changes_source = rng.random() < 0.5
    change = draw_source_change(rng)
    shift = rng.uniform(-0.03, 0.03) * width, rng.uniform(-0.015, 0.015) * height
    scale = rng.uniform(0.95, 1 / 0.95), rng.uniform(0.95, 1 / 0.95)
    matrix = make_affine(width, height, shift, scale)
    seed, mask_height, mask_width = (int(rng.integers(*limits)) for limits in ((0, 10_001), (192, 257), (192, 257)))
    kernels = [int(rng.choice(np.arange(5, 26, 2))) for _ in range(2)]
    mask = MaskDraws(mask_height, mask_width, kernels[0], kernels[1], float(rng.integers(5, 46)))
    return BlendDraws(changes_source, change, matrix, seed, mask, RATIOS[rng.integers(len(RATIOS))])


def draw_source_change(rng: np.random.Generator) -> Change:
    """Draw how a source (or target) differs from the image: in colour, then coarser or sharper."""
    steps: list[Change] = []
    if rng.random() < 0.3:
        steps.append(partial(pixels.shift_rgb, shifts=rng.uniform(-20, 20, 3).tolist()))
    steps.append(partial(pixels.shift_hsv, shifts=rng.uniform(-0.3, 0.3, 3).tolist()))
    steps.append(partial(pixels.scale_levels, alpha=1 + rng.uniform(-0.1, 0.1), beta=rng.uniform(-0.1, 0.1)))
    if rng.random() < 0.5:
        steps.append(partial(pixels.downscale, factor=int(rng.choice([2, 4]))))
    else:
        kernel = pixels.make_sharpening_kernel(rng.uniform(0.2, 0.5), rng.uniform(0.5, 1.0))
        steps.append(partial(pixels.sharpen, kernel=kernel))
    return partial(_do_all, steps=steps)


def draw_joint_change(rng: np.random.Generator) -> Change:
    """Draw what is applied to both images of a pair: colours and JPEG."""
    steps: list[Change] = []
    if rng.random() < 0.3:
        steps.append(partial(pixels.shift_rgb, shifts=rng.uniform(-20, 20, 3).tolist()))
    if rng.random() < 0.3:
        steps.append(partial(pixels.shift_hsv, shifts=rng.uniform(-0.3, 0.3, 3).tolist()))
    if rng.random() < 0.3:
        steps.append(partial(pixels.scale_levels, alpha=1 + rng.uniform(-0.3, 0.3), beta=rng.uniform(-0.3, 0.3)))
    if rng.random() < 0.5:
        steps.append(partial(pixels.compress_jpeg, quality=int(rng.integers(40, 101))))
    return partial(_do_all, steps=steps)


def _do_all(image: np.ndarray, steps: Sequence[Change]) -> np.ndarray:
    for step in steps:
        image = step(image)
    return image
