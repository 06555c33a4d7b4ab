from __future__ import annotations

import numpy as np
import pytest
from crossfake.detectors.caddm.alignment import (
    Jitter,
    align_face,
    compute_align_matrix,
    draw_jitter,
    make_template,
    reduce_to_five_points,
    warp,
)

AUGMENTED = Jitter(0.85, (10, -7), 12, 1.02, 0.98)


def move_landmarks(landmarks, matrix):
    """Map landmarks as the released code does: without the perspective division."""
    return landmarks @ matrix[:2, :2].T + matrix[:2, 2]


def assert_alike(image, expected):
    """Warps by different OpenCV versions agree within one grey level."""
    difference = np.abs(image.astype(int) - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def test_template_and_fit_match_the_released_code(preprocessing):
    np.testing.assert_allclose(make_template(0.9), preprocessing["align_test_template"], atol=1e-6)
    np.testing.assert_allclose(
        compute_align_matrix(preprocessing["landmarks"])[:2], preprocessing["align_test_M"], atol=2e-4
    )


def test_test_crop_matches_the_released_code(preprocessing):
    matrix = compute_align_matrix(preprocessing["landmarks"])
    assert_alike(warp(preprocessing["fake"], matrix), preprocessing["align_test_crop"])
    moved = move_landmarks(preprocessing["landmarks"], matrix)
    np.testing.assert_allclose(moved, preprocessing["align_test_ld"], atol=1e-6)


def test_jittered_landmarks_match_the_released_code(preprocessing):
    moved = move_landmarks(preprocessing["landmarks"], compute_align_matrix(preprocessing["landmarks"], AUGMENTED))
    np.testing.assert_allclose(moved, preprocessing["align_aug_ld"], atol=1e-6)


def test_eyes_are_truncated_to_pixels_of_the_frame(preprocessing):
    landmarks = preprocessing["landmarks"] + 0.6
    eyes = reduce_to_five_points(landmarks)[:2]
    np.testing.assert_array_equal(eyes, np.floor([landmarks[36:42].mean(0), landmarks[42:48].mean(0)]))


@pytest.mark.parametrize("size", [112, 224])
@pytest.mark.parametrize("rectangle", [(40, 0, 277, 237), (39, 1, 280, 240), (0, 0, 320, 240)])
def test_context_crop_gives_the_frames_crop(make_face, size, rectangle):
    whole = align_face(make_face("fake"), size).astype(int)
    crop = align_face(make_face("fake", *rectangle), size)
    assert crop.shape == (size, size, 3)
    assert np.abs(crop - whole).max() <= 1
    assert np.abs(crop - whole).mean() < 0.5


def test_smaller_canvas_shows_the_same_part(preprocessing):
    large = move_landmarks(preprocessing["landmarks"], compute_align_matrix(preprocessing["landmarks"], AUGMENTED))
    small = move_landmarks(preprocessing["landmarks"], compute_align_matrix(preprocessing["landmarks"], AUGMENTED, 112))
    np.testing.assert_allclose(small, large / 2, atol=1e-3)


def test_weaker_jitter_is_the_same_draw_made_smaller():
    whole, weak = draw_jitter(np.random.default_rng(3)), draw_jitter(np.random.default_rng(3), 0.3)
    assert weak.scale - 0.9 == pytest.approx(0.3 * (whole.scale - 0.9))
    assert weak.translation == pytest.approx([0.3 * t for t in whole.translation])
    assert weak.rotation == pytest.approx(0.3 * whole.rotation)
    assert (weak.stretch_x, weak.stretch_y) == (whole.stretch_x, whole.stretch_y)


def test_jitter_stays_in_its_ranges():
    rng = np.random.default_rng(0)
    drawn = [draw_jitter(rng) for _ in range(500)]
    assert all(abs(t) <= 25 for j in drawn for t in j.translation)
    assert all(abs(j.rotation) <= 30 for j in drawn)
    assert 0.7 < np.mean([j.stretch_x == 1 for j in drawn]) < 0.9
    assert np.mean([j.scale for j in drawn]) == pytest.approx(0.9, abs=0.02)
