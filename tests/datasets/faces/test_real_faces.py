"""Photographs of real people from installed packages: faces are found, with landmarks in the right places."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.datasets.faces.finder import load_finder
from crossfake.datasets.faces.landmarks import TABLE

# The centres of the eyes, the left one in the picture first, and of the mouth, read off by eye.
SEEN = {
    "astronaut": np.array([[203, 101], [246, 103], [224, 145]]),
    "hopper": np.array([[220, 192], [307, 188], [268, 279]]),
}


@pytest.fixture(scope="module")
def finder():
    return load_finder("mediapipe")


def parts(landmarks: np.ndarray) -> np.ndarray:
    return np.array([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[48:68].mean(0)])


@pytest.mark.parametrize("name", SEEN)
def test_a_real_face_is_found_with_its_points_in_place(name, finder, request):
    (found,) = finder.find(request.getfixturevalue(name))
    seen = SEEN[name]
    apart = np.linalg.norm(seen[1] - seen[0])
    assert np.linalg.norm(parts(found.landmarks) - seen, axis=1).max() < 0.05 * apart
    assert found.score > 0.9
    assert found.landmarks.shape == (len(TABLE), 2)
    x, y = found.landmarks.T
    assert y[8] == max(y[:17])  # the chin is the lowest of the jaw
    assert (np.diff(x[:17]) > 0).all()  # the jaw runs from the picture's left to its right
    assert (np.diff(x[68:]) > 0).all()  # and so does the forehead
    assert y[68:].max() < y[36:48].mean()  # which is above the eyes


def test_everybody_in_a_group_is_found_in_thorough_mode(finder, astronaut, hopper):
    face, portrait = astronaut[20:260, 90:330], hopper[:512]
    group = np.full((1000, 1600, 3), 120, np.uint8)
    group[60:572, 40:552] = portrait
    for row, column in ((100, 700), (100, 1000), (100, 1300), (500, 700), (500, 1000), (700, 1300)):
        group[row : row + 240, column : column + 240] = face
    found = finder.find(group, thorough=True)
    assert len(found) == 7
    assert len(finder.find(group)) <= 4


def test_both_of_two_people_are_found(finder, astronaut, hopper):
    pair = np.hstack([astronaut, hopper[:512]])
    left, right = sorted(finder.find(pair, thorough=True), key=lambda d: d.box[0])
    shift = np.array([512, 0])
    for found, seen in ((left, SEEN["astronaut"]), (right, SEEN["hopper"] + shift)):
        assert np.abs(parts(found.landmarks) - seen).max() < 8
