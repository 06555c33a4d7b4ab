"""Training examples: real faces, fakes, and multi-scale facial swaps between the two. numpy and OpenCV, no backend.

Two recipes. `paper` does what the paper describes; `reference` does what the released code does, its slips included.
docs/caddm.md lists each difference with its evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...benchmark.types import TrainSample
from .alignment import REFERENCE_SIZE, Jitter, draw_jitter
from .photometric import augment
from .scene import Scene, halved, scene_of
from .swap import (
    WINDOWS,
    Box,
    alpha_blend,
    changed_box,
    choose_patch,
    elastic,
    elastic_reach,
    grow,
    hull_mask,
    paste,
    patch_mask,
    poisson_blend,
    widened_face,
)
from .targets import WHOLE, assign

Example = tuple[np.ndarray, list[tuple[float, ...]]]
