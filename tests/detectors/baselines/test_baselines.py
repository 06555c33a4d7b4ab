"""Plain classifiers: published sizes, scores that follow the logits, samples that depend only on their draws."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.types import Face, TrainSample
from crossfake.detectors import create, create_from
from crossfake.detectors.baselines.augment import ClassifierSampler
from crossfake.detectors.common.crops import BoxCrop

TINY = {"input_size": 32, "arch_args": {"channels": (4, 4, 8, 8)}}


@pytest.fixture(scope="module")
def face() -> Face:
    rng = np.random.default_rng(0)
    image = np.clip(np.linspace(40, 200, 120)[:, None, None] + rng.normal(0, 20, (120, 120, 3)), 0, 255)
    landmarks = rng.uniform(30, 90, (81, 2)).astype(np.float32)
    return Face(image.astype(np.uint8), landmarks, np.array([30, 30, 90, 90], np.float32), 0, (0, 0), (120, 120))


def drawn(face: Face, seed: int, label: int = 1, size: int = 48) -> dict[str, np.ndarray]:
    return ClassifierSampler(BoxCrop(size))(TrainSample(face, label), np.random.default_rng(seed))


def test_a_sample_depends_only_on_its_generator(face):
    first, again, other = drawn(face, 1), drawn(face, 1), drawn(face, 2)
    assert np.array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])


def test_samples_have_one_shape_and_keep_their_label(face):
    for seed in range(60):  # Enough to reach every branch: flip, blur, JPEG.
        example = drawn(face, seed, label=seed % 2)
        assert example["image"].shape == (48, 48, 3)
        assert example["image"].dtype == np.uint8
        assert example["label"].dtype == np.int64
        assert example["label"] == seed % 2


def test_augmentation_is_mild(face):
    plain = BoxCrop(48)(face).astype(float)
    means = [drawn(face, seed)["image"].mean() for seed in range(60)]
    assert abs(np.mean(means) - plain.mean()) < 5
    assert np.abs(np.array(means) - plain.mean()).max() < 45
    assert np.std(means) > 5


def test_about_half_the_samples_are_mirrored():
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 50:] = 200
    landmarks = np.tile(np.array([[20, 20], [80, 80], [50, 50]], np.float32), (27, 1))
    face = Face(image, landmarks, np.array([20, 20, 80, 80], np.float32), 0, (0, 0), (100, 100))
    mirrored = [drawn(face, seed)["image"][:, :8].mean() > 100 for seed in range(200)]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_the_sampler_travels_to_workers_and_needs_no_torch(face):
    sampler = ClassifierSampler(BoxCrop(48))
    assert pickle.loads(pickle.dumps(sampler)) == sampler
    code = "import sys, crossfake.detectors.baselines.augment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_meso4_has_the_size_in_the_paper():
    pytest.importorskip("torch")
    # 27,977 as published, with one sigmoid unit and biased convolutions; two logits and no biases here.
    assert create("meso4").parameters_count() == 27_946
    assert create("meso4").input_size == 256


@pytest.mark.parametrize("size", [32, 64, 96])
def test_meso4_accepts_multiples_of_32(size):
    pytest.importorskip("torch")
    detector = create("mesonet", input_size=size)
    outputs = detector.outputs(np.zeros((3, 3, size, size)))
    assert outputs["logits"].shape == (3, 2)
    assert outputs["logits"].dtype == np.float32


@pytest.mark.parametrize(("name", "options"), [("meso4", {"input_size": 32}), ("timm:resnet10t", TINY)])
def test_scores_are_the_softmax_of_the_logits_of_scaled_pixels(name, options):
    pytest.importorskip("torch")
    detector = create(name, **options)
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    logits = detector.outputs(frames.transpose(0, 3, 1, 2) / 127.5 - 1)["logits"]
    assert detector.score(frames) == pytest.approx(1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), abs=1e-5)
    assert detector.score(frames).shape == (4,)
    assert detector.score(frames[:, :, ::-1]).shape == (4,)  # A view with negative strides also works.


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("meso4", {"input_size": 32}, "last_linear"),
        ("timm:resnet10t", TINY, "fc"),
        ("xception", {"input_size": 64}, "fc"),
    ],
)
def test_logits_are_linear_in_the_features(name, options, head):
    pytest.importorskip("torch")
    detector = create(name, **options)
    frames = np.random.default_rng(0).integers(0, 256, (2, *[options["input_size"]] * 2, 3), dtype=np.uint8)
    outputs, weights = detector.outputs_of(frames), detector.state()
    expected = outputs["features"] @ weights[f"{head}.weight"].T + weights[f"{head}.bias"]
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)


def test_the_detectors_crop_is_the_square_face_box(face):
    pytest.importorskip("torch")
    detector = create("meso4", input_size=64)
    assert detector.cropper() == BoxCrop(64, 1.3)
    assert np.array_equal(detector.crop(face), BoxCrop(64)(face))


def test_training_fits_a_handful_of_frames():
    torch = pytest.importorskip("torch")
    from crossfake.benchmark.core.settings import TrainSettings

    torch.manual_seed(0)
    detector = create("timm:resnet10t", **TINY)
    session = detector.training(TrainSettings(lr=3e-3, batch_size=8, threads=1), 30, 30)
    labels = np.arange(8) % 2
    frames = np.random.default_rng(0).integers(0, 60, (8, 32, 32, 3)) + 120 * labels[:, None, None, None]
    batch = {"image": frames.astype(np.uint8), "label": labels}
    losses = [session.step(batch)["loss"] for _ in range(30)]
    assert losses[-1] < 0.2 < losses[0]


@pytest.mark.parametrize("backend", ["torch", ""])
def test_a_seed_fixes_the_weights_whether_or_not_a_card_names_the_backend(tmp_path, backend):
    pytest.importorskip("torch")
    path = tmp_path / "mine.py"
    path.write_text(
        "from crossfake.benchmark.core.registry import detectors\n"
        "from crossfake.detectors.baselines.meso import Meso4\n"
        f"@detectors.register('mine', backend={backend!r})\n"
        "class Mine(Meso4): ...\n"
    )
    entry = detectors.find(f"{path}:Mine")
    first, again, other = (create_from(entry, seed, input_size=32).state()["fc1.weight"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_unknown_names_options_and_models_are_refused():
    pytest.importorskip("torch")
    with pytest.raises(BenchError, match=r"has no model 'resnet10q'\. Did you mean 'resnet"):
        create("timm:resnet10q")
    with pytest.raises(BenchError, match=r"no detector named 'timm:'"):
        create("timm:")
