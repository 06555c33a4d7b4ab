from __future__ import annotations

import cv2
import numpy as np
import pytest
from crossfake.detectors.caddm.alignment import compute_align_matrix, warp
from crossfake.detectors.caddm.blend import (
    Box,
    alpha_blend,
    clone_misplaced,
    find_mask_box,
    paste,
    poisson_blend,
    poisson_clone,
    soften_mask,
    solve_membrane,
)
from crossfake.detectors.caddm.dssim import dssim, find_best_window
from crossfake.detectors.caddm.swap import (
    WINDOWS,
    choose_patch,
    deform_elastically,
    find_changed_box,
    find_widened_face,
    make_hull_mask,
    make_patch_mask,
    shake_hull,
)
from scipy import sparse
from scipy.sparse.linalg import splu


@pytest.fixture
def frames(preprocessing):
    return preprocessing["fake"], preprocessing["source"], preprocessing["landmarks"]


def released_patch(frames, window):
    """Displace a patch as the released code does."""
    fake, source, landmarks = frames
    patch, face = choose_patch(fake, source, landmarks, window), find_widened_face(landmarks, fake.shape)
    x, y = landmarks.min(0)
    return patch._replace(x=int(patch.x - face.x + x), y=int(patch.y - face.y + y))


def test_hull_and_its_soft_border_match_the_released_code(frames, preprocessing):
    mask = make_hull_mask(frames[2], frames[0].shape)
    np.testing.assert_array_equal(mask, preprocessing["global_mask"])
    np.testing.assert_array_equal(soften_mask(mask), preprocessing["global_blur"])


def test_alpha_blend_matches_the_released_code(frames, preprocessing):
    fake, source, landmarks = frames
    mask = make_hull_mask(landmarks, fake.shape)
    expected = preprocessing["global_alpha_srcbg"]
    np.testing.assert_array_equal(alpha_blend(fake, source, mask)[::2, ::2], expected)
    np.testing.assert_array_equal(paste(fake, source, mask, poisson=False)[::2, ::2], expected)


def test_misplaced_clone_matches_the_released_code(frames, preprocessing):
    fake, source, landmarks = frames
    cloned = clone_misplaced(fake, source, make_hull_mask(landmarks, fake.shape), (0, 0), (320, 240))
    assert np.abs(cloned[::2, ::2].astype(int) - preprocessing["global_poisson"]).max() <= 1


def test_misplaced_clone_sees_the_frame_not_the_crop(frames):
    fake, source, landmarks = frames
    mask = make_hull_mask(landmarks, fake.shape)
    whole = clone_misplaced(fake, source, mask, (0, 0), (320, 240))
    part = (slice(20, 220), slice(60, 260))  # The clone's rectangle begins left of this crop.
    cropped = clone_misplaced(fake[part], source[part], mask[part], (60, 20), (320, 240))
    assert np.abs(cropped[:, 20:].astype(int) - whole[part][:, 20:]).mean() < 1
    assert clone_misplaced(fake, source, mask, (320, 0), (1280, 480)) is None  # y would be 470: below the frame.


def test_clone_does_not_depend_on_what_was_in_memory(frames):
    fake, source, landmarks = frames
    mask = make_hull_mask(landmarks, fake.shape)
    kept = [poisson_clone(fake, source, mask, (150, 118)) for _ in range(4)]
    assert all(np.array_equal(kept[0], other) for other in kept)
    assert poisson_clone(fake, source, mask, (10, 10)) is None


def test_poisson_blend_is_near_opencvs_and_leaves_the_rest(frames):
    fake, source, landmarks = frames
    brighter = np.minimum(fake.astype(int) + 25, 255).astype(np.uint8)
    mask = make_hull_mask(landmarks, fake.shape)
    box = find_mask_box(mask)
    blended = paste(brighter, source, mask, poisson=True)
    theirs = poisson_clone(brighter, source, mask, (box.x + box.width // 2, box.y + box.height // 2))
    assert np.abs(blended[mask > 0].astype(int) - theirs[mask > 0]).mean() < 4
    np.testing.assert_array_equal(blended[mask == 0], source[mask == 0])


def exact_blend(pasted, background, mask):
    """Solve the discrete Poisson equation directly, one row per pixel under the mask."""
    inside = mask > 127
    number = np.where(inside, inside.cumsum().reshape(mask.shape) - 1, -1)
    y, x = inside.nonzero()
    rows, right = [sparse.identity(len(y)) * 4], np.zeros((len(y), 3))
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        there = y + step[0], x + step[1]
        right += pasted[y, x].astype(float) - pasted[there]
        known = number[there] < 0
        right[known] += background[there][known]
        own = (~known).nonzero()[0]
        rows.append(sparse.coo_array((-np.ones(len(own)), (own, number[there][own])), (len(y), len(y))))
    solved = background.astype(float)
    solved[y, x] = splu(sparse.csc_matrix(sum(rows))).solve(right)
    return np.clip(np.rint(solved), 0, 255)


def test_poisson_blend_is_nearer_to_the_exact_one_than_opencvs(frames):
    fake, source, landmarks = frames
    mask = make_hull_mask(landmarks, fake.shape)
    box = find_mask_box(mask)
    for pasted, background in ((fake, source), (source, fake)):
        exact = exact_blend(pasted, background, mask)[mask > 0]
        theirs = poisson_clone(pasted, background, mask, (box.x + box.width // 2, box.y + box.height // 2))
        ours, theirs = (np.abs(i[mask > 0] - exact) for i in (paste(pasted, background, mask, True), theirs))
        assert ours.mean() < 0.6 < 1.2 < theirs.mean()
        assert ours.max() <= 3 < theirs.max()


def test_poisson_blend_of_equal_images_changes_nothing(frames):
    _, source, landmarks = frames
    mask = make_hull_mask(landmarks, source.shape)
    np.testing.assert_array_equal(poisson_blend(source, source, mask), source)


def test_membrane_is_harmonic():
    y, x = np.mgrid[:40, :60].astype(np.float32)
    slope = np.repeat((x + 2 * y)[..., None], 3, 2)
    inside = make_patch_mask(Box(5, 5, 45, 30), (40, 60)) // 255
    np.testing.assert_allclose(solve_membrane(np.where(inside[..., None] > 0, 0, slope), inside), slope, atol=3)


def test_empty_mask_pastes_nothing(frames):
    fake, source, _ = frames
    empty = np.zeros(fake.shape[:2], np.uint8)
    np.testing.assert_array_equal(paste(fake, source, empty, poisson=False), source)
    np.testing.assert_array_equal(paste(fake, source, empty, poisson=True), source)


@pytest.mark.parametrize("window", WINDOWS)
def test_partial_swap_matches_the_released_code(frames, preprocessing, window):
    fake, source, landmarks = frames
    key = f"partial_{window[0]}x{window[1]}_"
    face, patch = find_widened_face(landmarks, fake.shape), choose_patch(fake, source, landmarks, window)
    i, j = patch.y - face.y, patch.x - face.x
    assert [i, j, i + patch.height, j + patch.width] == preprocessing[key + "bbox"].tolist()
    mask = make_patch_mask(released_patch(frames, window), fake.shape)
    np.testing.assert_array_equal(mask, preprocessing[key + "mask"])
    matrix = compute_align_matrix(landmarks)
    crop, background = (warp(i, matrix) for i in (paste(fake, source, mask, poisson=False), source))
    x0, y0, x1, y1 = find_changed_box(crop, background, window)
    assert [y0, x0, y1, x1] == preprocessing[key + "boxes"][1].tolist()
    if key + "crop" in preprocessing:
        assert np.abs(crop[::4, ::4].astype(int) - preprocessing[key + "crop"]).max() <= 1


def test_too_little_change_has_no_box(frames):
    crop = warp(frames[1], compute_align_matrix(frames[2]))
    assert find_changed_box(crop, crop, (40, 80)) is None


def test_dssim_matches_the_released_code(frames, preprocessing):
    matrix = compute_align_matrix(frames[2])
    heat = dssim(*(warp(i, matrix) for i in frames[:2]))
    np.testing.assert_allclose(heat[::16, ::16], preprocessing["dssim_rows"], atol=6e-3)  # Crops differ by a level.
    assert heat.sum() == pytest.approx(5223.5, rel=1e-3)
    found = [find_best_window(heat, window, (44, 44)) for window in WINDOWS[1:]]  # Two of the smallest nearly tie.
    assert np.array_equal(found, preprocessing["sliding"][1:, :2])


def test_dssim_matches_a_plain_calculation():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 30, 40, 3)).astype(float)
    kernel = cv2.getGaussianKernel(11, 1.5)
    mean = {
        k: cv2.filter2D(v, -1, kernel @ kernel.T)
        for k, v in {"a": a, "b": b, "aa": a * a, "bb": b * b, "ab": a * b}.items()
    }
    covariance = mean["ab"] - mean["a"] * mean["b"]
    variances = mean["aa"] + mean["bb"] - mean["a"] ** 2 - mean["b"] ** 2
    ssim = (2 * mean["a"] * mean["b"] + 6.5025) * (2 * covariance + 58.5225)
    ssim /= (mean["a"] ** 2 + mean["b"] ** 2 + 6.5025) * (variances + 58.5225)
    np.testing.assert_allclose(dssim(a.astype(np.uint8), b.astype(np.uint8)), (1 - ssim) / 2, atol=1e-4)


def test_best_window_takes_the_first_of_equals_and_stays_inside():
    assert find_best_window(np.zeros((20, 20)), (8, 8), (4, 4)) == (0, 0)
    heat = np.zeros((20, 20))
    heat[12:, 8:] = 1
    assert find_best_window(heat, (8, 8), (4, 4)) == (12, 8)
    assert find_best_window(heat, (30, 8), (4, 4)) is None


@pytest.mark.parametrize("sigma", [8.0, 20.0])
def test_elastic_moves_as_far_as_blurred_noise(sigma, monkeypatch):
    moved = []
    monkeypatch.setattr(cv2, "remap", lambda image, x, y, how: moved.append((x, y)) or image)
    rng = np.random.default_rng(0)
    for _ in range(40):
        deform_elastically(np.zeros((90, 120), np.uint8), sigma, 400, rng)
    x = np.array([m[0] for m in moved]) - np.arange(120)
    assert x.std() == pytest.approx(400 * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * sigma), rel=0.2)
    lag = int(sigma)
    assert (x[:, :, lag:] * x[:, :, :-lag]).mean() / (x**2).mean() == pytest.approx(np.exp(-0.25), abs=0.1)


def test_shaken_hull_is_reproducible_and_keeps_its_place(frames):
    mask = make_hull_mask(frames[2], frames[0].shape)
    one, two, other = (shake_hull(mask, 19.2, 400, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert ((one > 127) & (mask > 0)).sum() > 0.8 * (mask > 0).sum()
