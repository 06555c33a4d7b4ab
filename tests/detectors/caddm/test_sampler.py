from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from crossfake.benchmark.core.types import Face, TrainSample
from crossfake.detectors.caddm.alignment import UPRIGHT, align_face, to_frame_landmarks
from crossfake.detectors.caddm.frame_pair import halve, make_frame_pair
from crossfake.detectors.caddm.sampler import GENTLE, PAPER, POLICIES, REFERENCE, CaddmSampler
from crossfake.detectors.caddm.targets import WHOLE, decode, priors, to_corners

SIZES = {"image": (112, 112, 3), "label": (), "loc_targets": (168, 4), "conf_targets": (168,)}


@pytest.fixture
def pair(make_face):
    """A fake and its source, whose context crops start in different places."""
    return TrainSample(make_face("fake", 40, 0, 280, 238), 1, make_face("source", 43, 2, 284, 240))


@pytest.mark.parametrize("seed", [0, 3, 5, 9, 10])
def test_swaps_replay_the_released_code(make_face, preprocessing, replay, seed):
    scene = make_frame_pair(TrainSample(make_face("fake"), 1, make_face("source")))
    sampler = CaddmSampler(policy=REFERENCE)
    image, boxes = sampler.make_fake(scene, replay(seed), train=False)
    expected = preprocessing[f"ptrain_fake_seed{seed}_img"].astype(int)
    assert np.abs(image[::4, ::4, ::-1] - expected).mean() < 0.1
    loc, conf = sampler.make_targets(boxes)
    positive = conf.nonzero()[0]
    assert positive.tolist() == preprocessing[f"ptrain_fake_seed{seed}_conf"].tolist()
    np.testing.assert_allclose(loc[positive], preprocessing[f"ptrain_fake_seed{seed}_loc"], atol=1e-5)


def test_real_example_replays_the_released_code(make_face, preprocessing, replay):
    example = CaddmSampler(policy=REFERENCE)(TrainSample(make_face("source"), 0), replay(1))
    difference = np.abs(example["image"][::2, ::2, ::-1].astype(int) - preprocessing["ptrain_real_seed1_img"])
    assert difference.mean() < 0.1
    assert not example["conf_targets"].any()


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("kind", ["real", "pair", "no source"])
def test_examples_have_fixed_shapes_and_come_from_the_generator_alone(pair, policy, kind):
    sample = {"real": TrainSample(pair.original, 0), "pair": pair, "no source": TrainSample(pair.face, 1)}[kind]
    sampler = pickle.loads(pickle.dumps(CaddmSampler(112, policy)))
    for seed in range(25):
        example, again = (sampler(sample, np.random.default_rng(seed)) for _ in range(2))
        assert {k: v.shape for k, v in example.items()} == SIZES
        assert [v.dtype for v in example.values()] == [np.uint8, np.int64, np.float32, np.int64]
        assert example["conf_targets"].any() == example["label"] == sample.label
        assert all(np.array_equal(example[k], again[k]) for k in SIZES)


def test_without_jitter_a_real_example_is_the_test_crop_unless_stretched(make_face):
    face = make_face("source")
    plain = dataclasses.replace(GENTLE, photometric=0, flip=False, resize=False)
    equal = {}
    for jitter in (0, 1):
        sampler = CaddmSampler(112, dataclasses.replace(plain, jitter=jitter))
        made = [sampler(TrainSample(face, 0), np.random.default_rng(seed))["image"] for seed in range(20)]
        equal[jitter] = sum(np.array_equal(image, align_face(face, 112)) for image in made)
    assert 8 <= equal[0] < 20  # A fifth of the draws stretches each direction.
    assert equal[1] == 0


@pytest.mark.parametrize(
    ("policy", "shares"),
    [
        (PAPER, (400, 200, 200)),
        (GENTLE, (0, 400, 200)),
        (dataclasses.replace(PAPER, partial=0.5, fake_in_genuine=1), (250, 250, 500)),
        (dataclasses.replace(GENTLE, partial=0, fake_in_genuine=0), (0, 0, 0)),
    ],
)
def test_shares_of_the_swaps(pair, monkeypatch, policy, shares):
    """Counts per thousand: the genuine face in the fake frame, the reverse, and partial swaps."""
    counts: Counter[str] = Counter()
    monkeypatch.setattr(
        "crossfake.detectors.caddm.sampler.paste",
        lambda pasted, background, mask, poisson: (
            counts.update(["A" if background is scene.image else "B"]),
            background,
        )[1],
    )
    monkeypatch.setattr(
        CaddmSampler, "_swap_partially", lambda self, *rest: (counts.update(["partial"]), (scene.image, [WHOLE]))[1]
    )
    scene, rng = make_frame_pair(pair), np.random.default_rng(0)
    for _ in range(1000):
        CaddmSampler(32, policy).make_fake(scene, rng)
    assert [counts[k] for k in ("A", "B", "partial")] == pytest.approx(shares, abs=50)


def test_common_rectangle_shows_the_same_place(pair, preprocessing):
    scene = make_frame_pair(pair)
    assert scene.top_left == (43, 2)
    assert scene.image.shape == scene.original.shape == (236, 237, 3)
    np.testing.assert_array_equal(scene.image[..., ::-1], preprocessing["fake"][2:238, 43:280])
    np.testing.assert_array_equal(scene.original[..., ::-1], preprocessing["source"][2:238, 43:280])


def test_source_of_another_frame_size_is_resized(pair, make_face):
    large = make_face("source")
    double = Face(large.crop.repeat(2, 0).repeat(2, 1), large.landmarks * 2, large.box * 2, 0, (0, 0), (640, 480))
    scene = make_frame_pair(TrainSample(pair.face, 1, double))
    assert scene.image.shape == scene.original.shape
    np.testing.assert_array_equal(scene.original[50:60, 50:60], large.crop[50:60, 90:100])


def test_source_elsewhere_in_the_frame_is_left_out(pair, make_face):
    scene = make_frame_pair(pair._replace(original=make_face("source", 200, 100, 320, 240)))
    assert scene.original is None
    image, boxes = CaddmSampler(112).make_fake(scene, np.random.default_rng(0))
    assert boxes == [WHOLE]
    assert image.shape == (112, 112, 3)


def test_half_scene_shows_the_same_crop(make_face):
    scene = make_frame_pair(TrainSample(make_face("fake", 41, 3, 281, 239), 1, make_face("source", 41, 3, 281, 239)))
    small = halve(scene, whole_landmarks=False)
    assert small.frame_size == (160, 120)
    full, half = (s.align(s.image, UPRIGHT, 112).astype(int) for s in (scene, small))
    assert np.abs(full[8:-8, 8:-8] - half[8:-8, 8:-8]).mean() < 12  # Whole-pixel eyes move by up to two pixels.
    assert (halve(scene, whole_landmarks=True).landmarks % 1 == 0).all()


@pytest.mark.parametrize("shift", [(-100, 0), (110, 60), (-150, -130), (-230, 0)])
def test_faces_over_the_frames_border(make_face, shift):
    fake, source = (
        dataclasses.replace(f, landmarks=f.landmarks + np.float32(shift))
        for f in (make_face("fake"), make_face("source"))
    )
    for seed in range(40):
        for policy in (PAPER, REFERENCE):
            example = CaddmSampler(112, policy)(TrainSample(fake, 1, source), np.random.default_rng(seed))
            assert not example or example["image"].shape == (112, 112, 3)


def test_failed_partial_swap_is_dropped_or_replaced(make_face, monkeypatch):
    monkeypatch.setattr("crossfake.detectors.caddm.sampler.find_changed_box", lambda *rest: None)
    monkeypatch.setattr("crossfake.detectors.caddm.sampler.flip_coin", lambda rng, probability: False)
    scene = make_frame_pair(TrainSample(make_face("fake"), 1, make_face("source")))
    assert CaddmSampler(policy=REFERENCE).make_fake(scene, np.random.default_rng(0)) is None
    assert CaddmSampler(policy=PAPER).make_fake(scene, np.random.default_rng(0))[1] == [WHOLE]
    sample = TrainSample(make_face("fake"), 1, make_face("source"))
    assert CaddmSampler(policy=REFERENCE)(sample, np.random.default_rng(0)) == {}


def test_mirroring_moves_the_boxes(monkeypatch):
    monkeypatch.setattr("crossfake.detectors.caddm.sampler.augment", lambda image, *rest: image)
    monkeypatch.setattr("crossfake.detectors.caddm.sampler.flip_coin", lambda rng, probability: True)
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    mirrored, boxes = CaddmSampler()._augment(image, [(0.125, 0.25, 0.5, 0.75)], np.random.default_rng(0))
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    assert boxes == [(0.5, 0.25, 0.875, 0.75)]


@pytest.mark.parametrize("boxes_xy", [True, False])
def test_mirrored_boxes_are_where_the_mirrored_change_is(make_face, monkeypatch, boxes_xy):
    """The released code's order of axes applies to the anchors' targets, after mirroring."""
    box, size = (0.0, 0.25, 0.625, 0.5), 224
    image = np.zeros((size, size, 3), np.uint8)
    monkeypatch.setattr(CaddmSampler, "make_fake", lambda *rest: (image, [WHOLE, box]))
    policy = dataclasses.replace(PAPER if boxes_xy else REFERENCE, flip=True, photometric=0.0)
    sample, seen = TrainSample(make_face("fake"), 1, make_face("source")), set()
    for seed in range(8):
        example = CaddmSampler(size, policy)(sample, np.random.default_rng(seed))
        positive = example["conf_targets"] > 0
        told = to_corners(decode(example["loc_targets"][positive], priors()[positive]))
        told = told if boxes_xy else told[:, [1, 0, 3, 2]]
        seen |= {tuple(np.round(b, 4).tolist()) for b in told} - {WHOLE}
    assert seen == {box, (0.375, 0.25, 1.0, 0.5)}


def test_paper_boxes_are_where_the_change_is(make_face):
    """The released code exchanges the axes; the paper's policy must not."""
    scene, found = make_frame_pair(TrainSample(make_face("fake"), 1, make_face("source"))), 0
    background = scene.align(scene.original, UPRIGHT, 224).astype(int)
    for seed in range(60):
        image, boxes = CaddmSampler().make_fake(scene, np.random.default_rng(seed), train=False)
        if len(boxes) == 2 and boxes[1] != WHOLE:
            changed = np.abs(image - background).sum(2)
            x0, y0, x1, y1 = (round(n * 224) for n in boxes[1])
            share = changed[y0:y1, x0:x1].sum() / changed.sum()
            assert share > 1.8 * (x1 - x0) * (y1 - y0) / 224**2
            found += 1
    assert found >= 3


def test_landmarks_of_the_frame(make_face, preprocessing):
    np.testing.assert_array_equal(to_frame_landmarks(make_face("fake", 41, 3, 280, 240)), preprocessing["landmarks"])


def test_sampler_does_not_import_torch():
    code = (
        "import sys, crossfake.detectors.caddm.sampler; "
        "print([m for m in ('torch', 'timm', 'jax') if m in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
