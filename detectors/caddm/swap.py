"""Multi-scale facial swap: which part of one frame is pasted into the matching one.

Images are uint8 (H, W, 3) in the same coordinates as the landmarks; masks are uint8 (H, W), 0 or 255.
"""

from __future__ import annotations

import cv2
import numpy as np

from .alignment import REFERENCE_SIZE
from .blend import Box, find_mask_box
from .dssim import dssim, find_best_window

WINDOWS = ((40, 80), (80, 120), (120, 160), (224, 224))  # Height, width of partial swaps on a 224 px face.


def make_hull_mask(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return 255 inside the convex hull of the (81, 2) landmarks, whole pixels, else 0; uint8 (H, W)."""
    mask = np.zeros(shape[:2], np.uint8)
    return cv2.fillPoly(mask, [cv2.convexHull(landmarks.astype(np.float32)).astype(np.int32)], 255)


def shake_hull(mask: np.ndarray, sigma: float, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Deform a mask's outline (see `deform_elastically`), processing only its surroundings; uint8 (H, W)."""
    reach = 4 * alpha * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * sigma)  # Four standard deviations of the displacement.
    part = find_mask_box(mask).widen(int(np.ceil(reach)), mask.shape)
    shaken = np.zeros_like(mask)
    part.crop(shaken)[:] = np.rint(deform_elastically(part.crop(mask), sigma, alpha, rng))
    return shaken


def deform_elastically(mask: np.ndarray, sigma: float, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Deform a mask's outline by smooth random displacements; float32 (H, W).

    The displacement is uniform noise in -1..1 at each pixel, blurred by `sigma` pixels, times `alpha`. Four cells per
    sigma are enough: each holds the mean of the noise it covers, which is practically normal. This is a thousand times
    cheaper than blurring noise of the frame's size, and has the same distribution.
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


def make_patch_mask(patch: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Return 255 inside the box, else 0; uint8 (H, W)."""
    mask = np.zeros(shape[:2], np.uint8)
    patch.crop(mask)[:] = 255
    return mask


def find_widened_face(landmarks: np.ndarray, shape: tuple[int, ...]) -> Box:
    """Return the landmarks' box, enlarged 1.2 times and clipped to the image: where partial swaps search."""
    x0, y0 = (int(v) for v in landmarks.min(0))
    x1, y1 = (int(v) for v in landmarks.max(0))
    width, height = int((x1 - x0) * 1.2), int((y1 - y0) * 1.2)
    x, y = max(int(x0 - (x1 - x0) * 0.2 // 2), 0), max(int(y0 - (y1 - y0) * 0.2 // 2), 0)
    return Box(x, y, max(min(width, shape[1] - x), 0), max(min(height, shape[0] - y), 0))


def choose_patch(
    pasted: np.ndarray, background: np.ndarray, landmarks: np.ndarray, window: tuple[int, int]
) -> Box | None:
    """Find, within the widened face, where the images differ most: a box in image pixels, or None if none fits.

    `window` is (height, width) on a 224 px face. Differences outside the landmarks' hull don't count.
    """
    face = find_widened_face(landmarks, pasted.shape)
    if not face.width or not face.height:
        return None
    heat = dssim(face.crop(pasted), face.crop(background))
    heat[face.crop(make_hull_mask(landmarks, pasted.shape)) == 0] = 0
    height = int(window[0] * face.height / REFERENCE_SIZE)
    width = int(window[1] * face.width / REFERENCE_SIZE)
    found = find_best_window(heat, (height, width), (face.height // 5, face.width // 5))
    return None if found is None else Box(face.x + found[1], face.y + found[0], width, height)


def find_changed_box(blended: np.ndarray, background: np.ndarray, window: tuple[int, int]) -> tuple[int, ...] | None:
    """Find the window of an aligned (S, S, 3) crop that changed most: (x0, y0, x1, y1) in pixels.

    None if too little changed: no more than a patch of 40 x 40 of 224 x 224 pixels, in all three channels.
    """
    size = blended.shape[0]
    ratio = size / REFERENCE_SIZE
    heat = dssim(blended, background)
    if np.count_nonzero(heat > 1e-3) <= 40 * 40 * 3 * ratio**2:
        return None
    height, width = (round(n * ratio) for n in window)
    found = find_best_window(heat, (height, width), (size // 5, size // 5))
    return None if found is None else (found[1], found[0], found[1] + width, found[0] + height)
