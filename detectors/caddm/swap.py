"""Multi-scale facial swap: pasting the face of one frame, or a window of it, into the matching frame (paper section 3.3).

Images are uint8 (H, W, 3) in the same coordinates as the landmarks; masks are (H, W), 0..255.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .alignment import REFERENCE_SIZE
from .dssim import best_window, dssim

WINDOWS = ((40, 80), (80, 120), (120, 160), (224, 224))  # Height, width of partial swaps on a 224 px face.
_BLUR_REACH = 2  # Pixels that the 5x5 blur of a mask reaches.
_SEAM = 4  # Pixels left around a mask for Poisson blending to meet the background.


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return that part of an image, a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def box_around(points: np.ndarray, margin: int, shape: tuple[int, ...]) -> Box:
    """Return the box of (N, 2) points, widened by `margin` and cut to an image's shape."""
    low = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + margin + 1, shape[1::-1])
    return Box(*map(int, low), *map(int, np.maximum(high - low, 0)))


# ---- masks


def hull_mask(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return 255 inside the convex hull of the (81, 2) landmarks, whole pixels, else 0; uint8 (H, W)."""
    mask = np.zeros(shape[:2], np.uint8)
    return cv2.fillPoly(mask, [cv2.convexHull(landmarks.astype(np.float32)).astype(np.int32)], 255)


def elastic_reach(sigma: float, alpha: float) -> int:
    """Return how far, in pixels, `elastic` moves a mask's border: 4 standard deviations of its displacement."""
    return int(np.ceil(4 * alpha * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * sigma)))


def elastic(mask: np.ndarray, sigma: float, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Shake a mask's outline by smooth random displacements; float32 (H, W).

    The displacement is uniform noise in -1..1 at each pixel, blurred by `sigma` pixels, times `alpha`. Four cells a
    sigma carry all of it: each holds the mean of the noise it covers, which is as good as normal. That makes it a
    thousand times cheaper than blurring noise the size of a frame, with the same distribution.
    """
    cell = max(sigma / 4, 1.0)
    blur = sigma / cell
    pad = int(np.ceil(3 * blur))
    rows, columns = (int(np.ceil(n / cell)) + 1 for n in mask.shape)
    height, width = mask.shape
    maps = []
    for grid in np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)):
        noise = rng.standard_normal((rows + 2 * pad, columns + 2 * pad)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), blur)[pad : pad + rows, pad : pad + columns]
        field = cv2.resize(smooth, (int(columns * cell), int(rows * cell)), interpolation=cv2.INTER_CUBIC)
        maps.append(grid + field[:height, :width] * np.float32(alpha / (np.sqrt(3) * cell)))
    return cv2.remap(mask.astype(np.float32), maps[0], maps[1], cv2.INTER_LINEAR)


def patch_mask(patch: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Return 255 inside the box, else 0; uint8 (H, W)."""
    mask = np.zeros(shape[:2], np.uint8)
    patch.of(mask)[:] = 255
    return mask


# ---- blends


def soften(mask: np.ndarray) -> np.ndarray:
    """Blur a mask's border (5x5, sigma 3); float32 0..255, in the whole steps of a uint8 mask."""
    return cv2.GaussianBlur(mask, (5, 5), 3).astype(np.float32)


def alpha_blend(pasted: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mix two images by the softened mask, grey levels truncated; uint8."""
    share = soften(mask)[..., None] / 255
    return (share * pasted + (1 - share) * background).astype(np.uint8)


def poisson_blend(pasted: np.ndarray, background: np.ndarray, mask: np.ndarray, centre: tuple[int, int] | None = None
                  ) -> np.ndarray | None:
    """Paste gradients instead of grey levels (OpenCV's seamless cloning); uint8, or None where it is impossible.

    The mask is uint8. `centre` (x, y) is where the middle of its bounding box goes; left out, it stays where it is.
    """
    x, y, width, height = cv2.boundingRect(mask)
    target = centre or (x + width // 2, y + height // 2)
    try:
        return cv2.seamlessClone(pasted, background, mask, target, cv2.NORMAL_CLONE)
    except cv2.error:  # An empty mask, or one that the centre moves over the border.
        return None


def paste(pasted: np.ndarray, background: np.ndarray, mask: np.ndarray, poisson: bool) -> np.ndarray:
    """Blend where the mask is, in place of the whole image: a copy of `background` with the blended part."""
    x, y, width, height = cv2.boundingRect(np.ceil(mask).astype(np.uint8))
    if not width:
        return background.copy()
    part = box_around(np.array([(x, y), (x + width - 1, y + height - 1)]), max(_SEAM, _BLUR_REACH), mask.shape)
    inner = part.of(mask)
    blended = None
    if poisson:
        hard = np.rint(inner).astype(np.uint8)
        blended = poisson_blend(part.of(pasted), part.of(background), hard)
    result = background.copy()
    part.of(result)[:] = alpha_blend(part.of(pasted), part.of(background), inner) if blended is None else blended
    return result


# ---- partial swaps


def widened_face(landmarks: np.ndarray, shape: tuple[int, ...]) -> Box:
    """Return the landmarks' box, 1.2 times as wide and high, cut to the image: where partial swaps look."""
    x0, y0 = (int(v) for v in landmarks.min(0))
    x1, y1 = (int(v) for v in landmarks.max(0))
    width, height = int((x1 - x0) * 1.2), int((y1 - y0) * 1.2)
    x, y = max(int(x0 - (x1 - x0) * 0.2 // 2), 0), max(int(y0 - (y1 - y0) * 0.2 // 2), 0)
    return Box(x, y, min(width, shape[1] - x), min(height, shape[0] - y))


def choose_patch(pasted: np.ndarray, background: np.ndarray, landmarks: np.ndarray, window: tuple[int, int]
                 ) -> Box | None:
    """Find, within the widened face, where the images differ most: a box in image pixels, or None if none fits.

    `window` is (height, width) on a 224 px face. Differences outside the landmarks' hull don't count.
    """
    face = widened_face(landmarks, pasted.shape)
    heat = dssim(face.of(pasted), face.of(background))
    heat[face.of(hull_mask(landmarks, pasted.shape)) == 0] = 0
    height = int(window[0] * face.height / REFERENCE_SIZE)
    width = int(window[1] * face.width / REFERENCE_SIZE)
    found = best_window(heat, (height, width), (face.height // 5, face.width // 5))
    return None if found is None else Box(face.x + found[1], face.y + found[0], width, height)


def changed_box(blended: np.ndarray, background: np.ndarray, window: tuple[int, int]) -> tuple[int, ...] | None:
    """Find the window of an aligned (S, S, 3) crop that changed most: (x0, y0, x1, y1) pixels.

    None if too little changed: no more than a patch of 40 x 40 of 224 x 224 pixels, in all three channels.
    """
    size = blended.shape[0]
    ratio = size / REFERENCE_SIZE
    heat = dssim(blended, background)
    if np.count_nonzero(heat > 1e-3) <= 40 * 40 * 3 * ratio**2:
        return None
    height, width = (round(n * ratio) for n in window)
    found = best_window(heat, (height, width), (size // 5, size // 5))
    return None if found is None else (found[1], found[0], found[1] + width, found[0] + height)
