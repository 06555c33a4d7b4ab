"""A self-blended image from recorded draws: everything in section 3 of the paper, without randomness.

The mask is float and eroded exactly, as with the Face X-ray library that the paper used. With an integer mask, as in
the code released without that library, the first blur is rounded and hardly anything is eroded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
ELASTIC_SIGMA, ELASTIC_SIZE = 7, 50
Change = Callable[[np.ndarray], np.ndarray]
"""A colour change of a uint8 (H, W, 3) RGB image."""


@dataclass(frozen=True)
class MaskDraws:
    """Random parameters for softening a mask: the working size, both blur kernels, the second one's sigma."""

    height: int
    width: int
    first_kernel: int
    second_kernel: int
    sigma: float


@dataclass(frozen=True)
class BlendDraws:
    """Random parameters of one self-blended image.

    `change` is applied to the source if `changes_source`, else to the target. `matrix` (2, 3) moves source and mask,
    from old pixels to new ones; `elastic_seed` seeds NumPy's legacy generator; `ratio` scales the mask.
    """

    changes_source: bool
    change: Change
    matrix: np.ndarray
    elastic_seed: int
    mask: MaskDraws
    ratio: float


def make_affine(width: int, height: int, shift: tuple[float, float], scale: tuple[float, float]) -> np.ndarray:
    """Return the (2, 3) matrix that scales about the image's centre, then shifts by pixels (x, y)."""
    centre = np.array([width / 2 - 0.5, height / 2 - 0.5])
    return np.column_stack([np.diag(scale), centre - centre * scale + shift])


def self_blend(image: np.ndarray, hull: np.ndarray, draws: BlendDraws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the real and the fake image, both uint8 (H, W, 3), and the final mask float32 (H, W).

    The real one is changed if the fake's source isn't.

    Args:
        image: uint8 (H, W, 3) RGB.
        hull: (H, W), 1 inside the face: float, or uint8 as in the code released without Face X-ray's library.
        draws: see `BlendDraws`.
    """
    changed = draws.change(image)
    source, target = (changed, image) if draws.changes_source else (image, changed)
    moved, mask = move(source, hull, draws.matrix)
    softened = soften_mask(distort_mask(mask, draws.elastic_seed), draws.mask)
    fake, mask = blend(moved, target, softened, draws.ratio)
    return target, fake.astype(np.uint8), mask


def move(source: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return source (bilinear) and mask (nearest), moved by a (2, 3) matrix; pixels from outside are 0."""
    size = mask.shape[1], mask.shape[0]
    return (
        cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR),
        cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST),
    )


def distort_mask(mask: np.ndarray, seed: int) -> np.ndarray:
    """Return the mask (H, W), with each pixel taken from about one pixel away."""
    state = np.random.RandomState(seed)
    state.uniform(size=6)  # The released code first draws an affine transform of zero extent.
    noise = [state.uniform(size=mask.shape) * 2 - 1 for _ in "xy"]
    dx, dy = (gaussian_filter(n, ELASTIC_SIGMA) * ELASTIC_SIZE for n in noise)
    rows, columns = np.indices(mask.shape)
    x, y = (columns + dx).astype(np.float32), (rows + dy).astype(np.float32)
    return cv2.remap(mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)


def soften_mask(mask: np.ndarray, draws: MaskDraws) -> np.ndarray:
    """Erode a mask (H, W) with the first kernel and blur its edge with the second: float32, 0..1.

    A mask that is empty before or after erosion stays empty.
    """
    size = mask.shape[1], mask.shape[0]
    mask = cv2.resize(mask, (draws.width, draws.height))
    mask = _normalise(cv2.GaussianBlur(mask, (draws.first_kernel,) * 2, 0))
    mask = np.where(mask < 1, 0, mask)
    mask = _normalise(cv2.GaussianBlur(mask, (draws.second_kernel,) * 2, draws.sigma))
    return cv2.resize(mask, size).astype(np.float32)


def _normalise(mask: np.ndarray) -> np.ndarray:
    return mask / (mask.max() or 1)


def blend(
    source: np.ndarray, target: np.ndarray, mask: np.ndarray, ratio: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the source blended into the target, float32 (H, W, 3), and the mask (H, W) used, scaled by `ratio`.

    The paper's equation 1: the source is weighted by the mask, the target by one minus the mask.
    """
    mask = (mask * ratio).astype(np.float32)
    weight = mask[..., None]
    return weight * source + (1 - weight) * target, mask
