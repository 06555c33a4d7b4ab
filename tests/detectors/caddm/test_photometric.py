from __future__ import annotations

import numpy as np
import pytest
from crossfake.detectors.caddm import photometric
from crossfake.detectors.caddm.photometric import (
    add_grain,
    apply_gamma,
    augment,
    make_motion_kernel,
    mix_tone,
    shrink_and_enlarge,
    stretch_levels,
)


@pytest.fixture
def crop(preprocessing):
    return preprocessing["align_test_crop"]


@pytest.mark.parametrize("g", [0.6, 1.0, 1.4])
def test_gamma_matches_the_released_code(crop, preprocessing, g):
    for image in (crop[::4, ::4], crop[::4, ::4].astype(np.float32)):
        assert np.abs(apply_gamma(image, g).astype(int) - preprocessing[f"gamma_{g}"]).max() <= 2


def test_tone_matches_the_released_code(crop, preprocessing):
    toned = mix_tone(crop[::4, ::4], np.array([100, 150, 200]), 0.2)
    np.testing.assert_array_equal(toned, preprocessing["tone"])


@pytest.mark.parametrize(("angle", "length"), [(0, 5), (45, 10), (200, 3), (359, 1)])
def test_motion_kernel_matches_the_released_code(preprocessing, angle, length):
    np.testing.assert_allclose(make_motion_kernel(angle, length), preprocessing[f"motion_kernel_{angle}_{length}"])


@pytest.mark.parametrize("seed", [0, 5])
def test_whole_sequence_replays_the_released_code(crop, preprocessing, replay, seed):
    image = augment(crop[56:168, 56:168], replay(seed), resize=False)
    assert np.abs(image.astype(int) - preprocessing[f"add_noise_seed{seed}"]).mean() < 0.2


def test_spread_of_a_full_range_does_not_wrap():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    spread_image = stretch_levels(image)
    assert np.isfinite(spread_image).all()
    np.testing.assert_allclose(spread_image, np.arange(256).reshape(16, 16) * 255 / 256, rtol=1e-5)


def test_grain_is_coarse_and_grey():
    image = np.full((32, 32, 3), 100, np.uint8)
    noise = np.random.default_rng(0).standard_normal((8, 8))
    grained = add_grain(image, noise)
    np.testing.assert_array_equal(grained[..., 0], grained[..., 2])
    assert 0.5 < grained.std() < 3


def test_resize_keeps_the_shape():
    image = np.random.default_rng(0).integers(0, 256, (31, 33, 3)).astype(np.uint8)
    assert shrink_and_enlarge(image, 1.7, 0, 3).shape == image.shape


def test_never_augmenting_changes_nothing(crop):
    for seed in range(5):
        np.testing.assert_array_equal(augment(crop, np.random.default_rng(seed), resize=True, often=0), crop)


def test_every_step_runs_and_returns_bytes(monkeypatch, crop):
    monkeypatch.setattr(photometric, "flip_coin", lambda rng, probability: True)
    image = augment(crop, np.random.default_rng(0), resize=True)
    assert image.shape == crop.shape
    assert image.dtype == np.uint8
