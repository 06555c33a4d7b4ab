"""The square face box: its position, padding beyond the frame, and scaling in one step."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from crossfake.benchmark.core.types import Face
from crossfake.detectors.common.crops import BoxCrop
from hypothesis import given
from hypothesis import strategies as st


def face_of(image: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> Face:
    """A face whose 68 landmarks fill a rectangle; the 13 of the forehead are far away and must not matter."""
    t = np.linspace(0, 1, 34)
    edges = [np.stack([x0 + t * (x1 - x0), y0 + 0 * t], 1), np.stack([x0 + t * (x1 - x0), y1 + 0 * t], 1)]
    landmarks = np.concatenate([*edges, np.full((13, 2), -500.0)]).astype(np.float32)
    size = image.shape[1], image.shape[0]
    return Face(image, landmarks, np.array([x0, y0, x1, y1], np.float32), 0, (0, 0), size)


@pytest.fixture
def ramp() -> np.ndarray:
    """Red is x, green is y."""
    image = np.zeros((100, 120, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(120)[None], np.arange(100)[:, None]
    return image


@pytest.mark.parametrize(
    ("box", "margin", "corner", "side"),
    [
        ((40, 30, 60, 50), 1.0, (40, 30), 20),
        ((40, 30, 60, 50), 1.5, (35, 25), 30),
        ((40, 30, 50, 50), 1.0, (35, 30), 20),  # the larger side, around the middle
        ((40, 30, 60, 40), 1.3, (37, 22), 26),
        ((40, 30, 40, 30), 1.3, (38, 28), 4),  # never smaller than 4 px
    ],
)
def test_the_square_is_around_the_68_points(ramp, box, margin, corner, side):
    found, length = BoxCrop(32, margin).square(face_of(ramp, *box))
    assert (tuple(int(v) for v in found), length) == (corner, side)


def test_a_crop_at_its_own_size_keeps_the_pixels(ramp):
    crop = BoxCrop(20, 1.0)(face_of(ramp, 40, 30, 60, 50))
    assert np.array_equal(crop, ramp[30:50, 40:60])
    assert crop.dtype == np.uint8


@pytest.mark.parametrize("size", [10, 40])
def test_a_scaled_crop_keeps_the_gradient(ramp, size):
    crop = BoxCrop(size, 1.0)(face_of(ramp, 40, 30, 60, 50))
    assert crop.shape == (size, size, 3)
    expected = 40 + (np.arange(size) + 0.5) * 20 / size - 0.5
    assert crop[size // 2, 2:-2, 0] == pytest.approx(expected[2:-2], abs=0.75)


def test_the_picture_is_mirrored_beyond_the_frame(ramp):
    crop = BoxCrop(20, 1.0)(face_of(ramp, -5, 30, 15, 50))
    assert np.array_equal(crop[:, 5:], ramp[30:50, :15])
    assert np.array_equal(crop[:, :5], ramp[30:50, :5][:, ::-1])
    corner = BoxCrop(20, 1.0)(face_of(ramp, 110, 90, 130, 110))
    assert np.array_equal(corner[:10, :10], ramp[90:, 110:])
    assert np.array_equal(corner[10:, :10], ramp[90:, 110:][::-1])


@given(
    st.integers(-60, 180), st.integers(-60, 160), st.integers(0, 120), st.integers(0, 120), st.sampled_from([1.0, 1.3])
)
def test_every_box_gives_a_picture_of_the_right_shape_from_the_frames_own_colours(x, y, width, height, margin):
    image = np.full((100, 120, 3), (10, 20, 30), np.uint8)
    crop = BoxCrop(16, margin)(face_of(image, x, y, x + width, y + height))
    assert crop.shape == (16, 16, 3)
    assert (crop == (10, 20, 30)).all()


def test_the_frame_is_left_unchanged(ramp):
    before = ramp.copy()
    crop = BoxCrop(20, 1.0)(face_of(ramp, 40, 30, 60, 50))
    crop[:] = 0
    BoxCrop(20, 3.0)(face_of(ramp, -40, -30, 60, 50))
    assert np.array_equal(ramp, before)


def test_croppers_travel_to_workers_without_torch():
    assert pickle.loads(pickle.dumps(BoxCrop(32, 1.1))) == BoxCrop(32, 1.1)
    code = "import sys, crossfake.detectors.common.crops; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
