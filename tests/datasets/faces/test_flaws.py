"""Flaws that make a face unusable for training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossfake.benchmark.core.types import Face
from crossfake.datasets.faces.quality import find_quality_flaw

SPREAD = np.linspace(4, 12, 162, dtype=np.float32).reshape(81, 2)
FEATURELESS = np.where((np.arange(81) >= 17) & (np.arange(81) < 68), 8, SPREAD.T).T  # Only a jaw and a forehead.


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({}, ""),
        ({"landmarks": np.full((81, 2), np.nan, np.float32)}, "it has no landmarks"),
        ({"landmarks": np.full((81, 2), np.inf, np.float32)}, "it has no landmarks"),
        ({"top_left": (20, 0)}, "its landmarks, around [28.0, 8.0], are outside of the frame"),
        ({"top_left": (0, -20)}, "its landmarks, around [8.0, -12.0], are outside of the frame"),
        ({"top_left": (7, 0)}, ""),  # over the border
        ({"landmarks": np.full((81, 2), 5, np.float32)}, "a face of 0 x 0 pixels"),
        ({"crop": np.zeros((1, 1, 3), np.uint8)}, "a picture of 1 x 1 pixels"),
        ({"landmarks": FEATURELESS}, "eyes, nose and mouth within 0 x 0 pixels"),
    ],
)
def test_flaws_of_faces(changes, flaw):
    face = Face(np.zeros((16, 16, 3), np.uint8), SPREAD, np.array([4, 4, 12, 12], np.float32), 0, (0, 0), (16, 16))
    assert find_quality_flaw(replace(face, **changes)) == flaw
