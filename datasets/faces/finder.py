"""What finds faces: a small protocol, and the finders known by name, imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np

from ...benchmark.errors import BenchError, did_you_mean

# Part of every face store's key: raise it whenever a change here or in a finder changes what is found or cut.
FINDER_VERSION = 1

FINDERS = {"mediapipe": ".mediapipe:MediaPipe"}


class Detection(NamedTuple):
    """A face in a frame: box (4,) float32 x0, y0, x1, y1 and landmarks (81, 2) float32 in pixels; score in [0, 1]."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class FaceFinder(Protocol):
    """Finds every face of one frame, (H, W, 3) uint8 RGB, on its own: nothing is kept from frame to frame."""

    def find(self, frame: np.ndarray) -> list[Detection]:
        """Return the faces, most certain first."""


def load_finder(name: str) -> FaceFinder:
    """Load a finder's code and model files.

    Raises:
        BenchError: no finder is named so, or its model files can't be had.
    """
    if name not in FINDERS:
        raise BenchError(f"no face finder named '{name}'.{did_you_mean(name, FINDERS)} Known: {', '.join(FINDERS)}")
    module, _, attribute = FINDERS[name].partition(":")
    make: Callable[[], FaceFinder] = getattr(import_module(module, __package__), attribute)
    return make()
