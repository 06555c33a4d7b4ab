"""UCF against golden vectors of its code: scores, losses with and without shuffling, gradients; pairs; methods."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.types import Face, TrainSample, Video
from crossfake.detectors import create
from crossfake.detectors.pgfdd.objective import rotate_within_kinds
from golden import assert_trains_as_released, load_filled, make_face, read_golden, smooth_input

PARTS = ("loss", "sha", "spe", "rec", "con")


@pytest.fixture(scope="module")
def detector():
    with torch.device("meta"):
        made = create("ucf", input_size=64)
    made.network.to_empty(device="cpu")
    return load_filled(made, 1.0)


@pytest.fixture(scope="module")
def batch():
    image = torch.tensor(smooth_input((8, 3, 64, 64), "ucf"))
    return {"image": image, "label": torch.tensor([0] * 4 + [1] * 4), "label_spe": torch.tensor([0] * 4 + [1, 2, 2, 4])}


def rotate(batch, shuffled):
    """Return the golden vectors' substitute for random draws: each list rotated left by one."""
    order = rotate_within_kinds(batch["label"]) if shuffled else None
    return order, (rotate_within_kinds(batch["label"]), rotate_within_kinds(batch["label_spe"], popped=True))


def test_scoring_is_the_released_one(detector, batch):
    expected = read_golden("ucf")
    out = detector.outputs(batch["image"].numpy())
    np.testing.assert_allclose(out["logits"], expected["infer_logits"], atol=2e-5)
    np.testing.assert_allclose(out["features"][:, :32], expected["infer_feat_slice"], atol=2e-5)


@pytest.mark.parametrize(
    ("shuffled", "key", "cls"),
    [
        (False, "eval_losses_overall_sha_spe_rec_con", "cls"),
        pytest.param(True, "shuffled_losses", "shuffled_cls", marks=pytest.mark.slow),
    ],
)
def test_losses_are_the_released_ones(detector, batch, shuffled, key, cls):
    expected = read_golden("ucf")
    detector.network.eval()
    with torch.no_grad():
        out, losses = detector.learn(batch, *rotate(batch, shuffled))
    np.testing.assert_allclose([losses[k].item() for k in PARTS], expected[key], rtol=1e-5)
    np.testing.assert_allclose(out["cls"], expected[cls], atol=2e-5)
    if not shuffled:
        np.testing.assert_allclose(out["cls_spe"], expected["cls_spe"], atol=2e-5)
        names = ("recon_1", "recon_2", "self_recon_1", "self_recon_2")
        drawn = [[out[k].mean().item(), out[k].std().item()] for k in names]
        np.testing.assert_allclose(drawn, expected["rec_stats"][:, :2], atol=1e-5)


@pytest.mark.slow
def test_gradients_are_the_released_ones(detector, batch, monkeypatch):
    monkeypatch.setattr(detector, "losses", lambda b: detector.learn(b, *rotate(b, False))[1])
    assert_trains_as_released(detector, batch, "ucf", float(read_golden("ucf")["train_losses"][0]))


def test_names_are_the_released_ones(detector):
    names = detector.to_reference(detector.names())
    assert len(names) == 600
    assert {"encoder_f.adjust_channel.0.weight", "encoder_c.last_linear.bias", "head_spe.mlp.2.weight"} < set(names)


def test_methods_are_numbered_and_batches_are_pairs(detector):
    fakes = [Video(f"{m}.mp4", None, 1, m, "train") for m in ("swap", "lips")]
    assert detector.inspect_training_set([Video("r.mp4", None, 0, "real", "train"), *fakes], {})[0][1:] == fakes
    landmarks = np.random.default_rng(0).uniform(30, 90, (81, 2)).astype(np.float32)
    face = Face(make_face(120, 120, "ucf"), landmarks, np.float32([30, 30, 90, 90]), 0, (0, 0), (120, 120))
    sampler, rng = detector.sampler(), np.random.default_rng(1)
    codes = [int(sampler(TrainSample(face, 1, method=m), rng)["label_spe"]) for m in ("lips", "swap")]
    assert codes == [1, 2]
    assert int(sampler(TrainSample(face, 0, method="real"), rng)["label_spe"]) == 0
    with pytest.raises(BenchError, match="ucf trains on pairs of a real and a fake, got balance=False"):
        detector.check_training(TrainSettings())
    arranged = detector.arrange_batch({"label": np.array([0, 0, 1]), "place": np.arange(3)})
    assert arranged["place"].tolist() == [0, 2]
