"""Targets of Forensics Adapter's losses, from masks of the forgery. No backend."""

from __future__ import annotations

import cv2
import numpy as np

FORGED, SHARE = 40, 0.1  # A patch is forged if more than SHARE of its pixels is lighter than FORGED.


def make_boundary(mask: np.ndarray) -> np.ndarray:
    """Return the boundary of a forgery, float32 (H, W) in 0..1: 4 m (1 - m) of its blurred mask, uint8 (H, W)."""
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (3, 3), 0)
    return 4 * soft * (1 - soft)


def label_patches(mask: np.ndarray, side: int) -> np.ndarray:
    """Return which of a mask's side x side patches are forged, bool (side^2,); the mask is uint8 (H, W)."""
    forged = mask > FORGED
    height, width = (n // side for n in mask.shape)
    share = forged[: height * side, : width * side].reshape(side, height, side, width).mean((1, 3)).ravel()
    return share > SHARE
