"""What Forensics Adapter's losses are computed against, from masks of the forgery. No backend."""

from __future__ import annotations

import cv2
import numpy as np

FORGED, SHARE = 40, 0.1  # A patch is forged where more than this share of its pixels is lighter than this.


def make_boundary(mask: np.ndarray) -> np.ndarray:
    """Return where a forgery ends, float32 (H, W) within 0..1, of its mask, uint8 (H, W): 4 m (1 - m) of it blurred."""
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (3, 3), 0)
    return 4 * soft * (1 - soft)


def label_patches(mask: np.ndarray, side: int) -> np.ndarray:
    """Return which of side x side patches of a mask, uint8 (H, W), are forged, bool (side^2,)."""
    forged = mask > FORGED
    height, width = (n // side for n in mask.shape)
    share = forged[: height * side, : width * side].reshape(side, height, side, width).mean((1, 3)).ravel()
    return share > SHARE
