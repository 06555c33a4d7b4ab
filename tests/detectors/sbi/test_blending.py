"""Self-blending with recorded random draws against golden vectors of the released code."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Face, TrainSample
from crossfake.detectors.common import pixel_operators as pixels
from crossfake.detectors.sbi.blending import (
    RATIOS,
    BlendDraws,
    MaskDraws,
    blend,
    distort_mask,
    make_affine,
    move,
    self_blend,
    soften_mask,
)
from crossfake.detectors.sbi.geometry import find_context, find_face, mirror_box, mirror_landmarks
from crossfake.detectors.sbi.hulls import KINDS, draw_hull
from crossfake.detectors.sbi.sampler import SelfBlendSampler
from golden import FIELD, make_face, read_golden

VECTORS, DRAWS = read_golden("sbi"), json.loads((FIELD / "sbi.json").read_text())
# The vectors come from OpenCV 4.11; OpenCV 5 differs by up to 5 grey levels, which blending reduces to 2.
MOVED, BLENDED = (5, 2) if int(cv2.__version__.split(".")[0]) >= 5 else (0, 0)


def change(picture: np.ndarray, steps: list[dict[str, Any]]) -> np.ndarray:
    for step in steps:
        match step["op"]:
            case "RGBShift":
                picture = pixels.shift_rgb(picture, [step[f"{c}_shift"] for c in "rgb"])
            case "HueSaturationValue":
                picture = pixels.shift_hsv(picture, [step[f"{c}_shift"] for c in ("hue", "sat", "val")])
            case "RandomBrightnessContrast":
                picture = pixels.scale_levels(picture, step["alpha"], step["beta"])
            case "Sharpen":
                picture = pixels.sharpen(picture, np.float32(step["sharpening_matrix"]))
            case "Downscale":
                picture = pixels.downscale(picture, step["factor"])
    return picture


def draws_of(case: dict[str, Any]) -> BlendDraws:
    steps = [s for s in case["albu"] if s["op"] not in ("Affine", "ElasticTransform")]
    drawn = [value for _, value in case["np_draws"]]
    if not any(s["op"] == "Sharpen" for s in steps):
        steps.append({"op": "Downscale", "factor": (2, 4)[drawn[2]]})
    affine, elastic = case["albu"][-2:]
    *mask, ratio = drawn[-6:]
    return BlendDraws(
        not case["source_unchanged(target_transformed)"],
        partial(change, steps=steps),
        np.array(affine["matrix"])[:2],
        elastic["random_state"],
        MaskDraws(*mask),
        RATIOS[ratio],
    )


@pytest.mark.parametrize("case", DRAWS["blend"], ids=lambda c: c["kind"])
def test_masks_are_softened_by_dtype_as_in_the_released_code(case):
    *drawn, ratio = (value for _, value in case["draws"])
    i = case["index"]
    softened = soften_mask(VECTORS[f"blend{i}_mask_in"], MaskDraws(*drawn))
    np.testing.assert_allclose(softened, VECTORS[f"blend{i}_blend_mask"], atol=1e-6)
    faces = (make_face(case["H"], case["W"], case["key"] + end) for end in ("/src", "/tgt"))
    _, mask = blend(*faces, softened, RATIOS[ratio])
    np.testing.assert_allclose(mask, VECTORS[f"blend{i}_mask_final"], atol=1e-6)


@pytest.mark.parametrize("case", DRAWS["full"], ids=lambda c: c["key"])
def test_a_whole_self_blend_is_the_released_one(case):
    i, draws = case["index"], draws_of(case)
    want = {k.removeprefix(f"full{i}_"): v.astype(int) for k, v in VECTORS.items() if k.startswith(f"full{i}_")}
    hull = want["mask_hull"].astype(np.uint8)
    moved, mask = move(want["source_before_affine"].astype(np.uint8), hull, draws.matrix)
    real, fake, _ = self_blend(make_face(case["H"], case["W"], case["key"]), hull, draws)
    np.testing.assert_array_equal(real, want["img_real"])
    np.testing.assert_array_equal(distort_mask(mask, draws.elastic_seed), want["mask_affine_elastic"])
    np.testing.assert_allclose(moved, want["source_affine"], atol=MOVED)
    np.testing.assert_allclose(fake, want["img_fake"], atol=BLENDED + 4 * bool(MOVED))
    np.testing.assert_array_equal(change(real, case["albu_joint"]), want["aug_real"])
    assert (np.abs(fake - want["img_fake"]) > BLENDED).mean() < 0.002


def test_operators_are_the_released_ones():
    picture = VECTORS["op_img"]
    makers = {
        "rgbshift": lambda *v: pixels.shift_rgb(picture, v),
        "hsv": lambda *v: pixels.shift_hsv(picture, v),
        "bc": lambda *v: pixels.scale_levels(picture, *v),
        "downscale": lambda v: pixels.downscale(picture, int(v)),
        "sharpen": lambda *v: pixels.sharpen(picture, pixels.make_sharpening_kernel(*v)),
    }
    for name, expected in VECTORS.items():
        kind, *values = name.removeprefix("op_").replace("alpha", "").replace("beta", "").split("_")
        if name.startswith("op_") and kind in makers and "kernel" not in values:
            np.testing.assert_array_equal(makers[kind](*map(float, values)), expected, err_msg=name)


def test_a_tiny_negative_shift_is_a_whole_level_and_a_positive_one_none():
    grey = np.full((2, 2, 3), 100, np.uint8)
    assert pixels.shift_hsv(grey, (0, 0, -0.3))[0, 0].tolist() == [99, 99, 99]
    assert pixels.shift_hsv(grey, (0, 0, 0.3))[0, 0].tolist() == [100, 100, 100]


def test_float_masks_are_eroded_and_integer_ones_hardly():
    y, x = np.indices((256, 256))
    disc = ((x - 128) ** 2 + (y - 128) ** 2 <= 70**2).astype(np.float32)
    draws = MaskDraws(256, 256, 15, 5, 5)
    kept = [(soften_mask(mask, draws) > 0.999).sum() for mask in (disc, disc.astype(np.uint8))]
    eroded = cv2.erode(disc, np.ones((15, 15))).sum()
    assert kept[0] < eroded < kept[1]


def test_an_empty_mask_stays_empty():
    assert not soften_mask(np.zeros((40, 40), np.float32), MaskDraws(200, 200, 15, 15, 9)).any()


def test_geometry_is_the_released_one():
    want = DRAWS["geometry"]
    landmarks, shape = np.array(want["lm"]), (want["H"], want["W"], 3)
    window = find_context(landmarks, shape)
    assert list(window) == want["landmark_margin"]
    assert window.shift(landmarks)[:3].tolist() == want["landmark_after_margin_crop_first3"]
    box, draws = np.ravel(want["bbox"][:2]), want["train_draws_w0_w1_h0_h1"]
    assert list(find_face(box, shape)) == want["test_bbox"]
    assert list(find_face(box, shape, [0.2 + 0.6 * d for d in draws])) == want["train_bbox"]


def test_a_mirrored_face_is_the_released_one():
    want = DRAWS["geometry"]
    mirrored = mirror_landmarks(np.array(want["lm"], float), want["W"])
    np.testing.assert_allclose(mirrored[:68], np.array(want["hflip_landmark"])[:68])
    box = mirror_box(np.ravel(want["bbox"][:2]).tolist(), want["W"])
    np.testing.assert_allclose(box, np.ravel(want["hflip_bbox"][:2]))


def test_an_affine_matrix_keeps_the_centre_except_for_its_shift():
    matrix = make_affine(80, 60, (2.0, -1.0), (1.03, 0.97))
    np.testing.assert_allclose(matrix @ [39.5, 29.5, 1], [41.5, 28.5])


@pytest.fixture
def face() -> Face:
    angle = np.linspace(0, 2 * np.pi, 81, endpoint=False)
    landmarks = np.stack([100 + 40 * np.cos(angle), 110 + 50 * np.sin(angle)], 1).astype(np.float32)
    return Face(make_face(220, 200, "face"), landmarks, np.float32([60, 60, 140, 160]), 0, (0, 0), (200, 220))


def test_samples_are_pairs_and_depend_only_on_their_draws(face):
    sampler = SelfBlendSampler(48)
    first, again, other = (sampler(TrainSample(face, 0), np.random.default_rng(s)) for s in (1, 1, 2))
    assert first["image"].shape == (2, 48, 48, 3)
    assert first["label"].tolist() == [0, 1]
    assert np.array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])
    assert not np.array_equal(*first["image"])


def test_fakes_are_left_out_and_faces_without_landmarks_refused(face):
    sampler, rng = SelfBlendSampler(48), np.random.default_rng(0)
    assert sampler(TrainSample(face, 1), rng) == {}
    five = Face(face.crop, face.landmarks[:5], face.box, 0, (0, 0), (200, 220))
    with pytest.raises(BenchError, match="68 or 81 landmarks per face to blend it, and a face has 5"):
        sampler(TrainSample(five, 0), rng)


@pytest.mark.parametrize("kind", KINDS)
def test_hulls_are_masks_of_0_and_1_within_the_whole(face, kind):
    mask, whole = (draw_hull(face.landmarks, (220, 200), k) for k in (kind, "whole"))
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {0, 1}
    assert 0 < (mask * whole).sum() / whole.sum() <= 1
