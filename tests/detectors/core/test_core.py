"""CORE against golden vectors of the released code: losses, network and gradients; and its two views."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Face, TrainSample
from crossfake.detectors import create
from crossfake.detectors.core.detector import VIEWS
from crossfake.detectors.core.objective import consistency_loss, weighted_cross_entropy
from golden import assert_trains_as_released, load_filled, make_face, read_golden, smooth_input


@pytest.fixture(scope="module")
def expected():
    return read_golden("core")


@pytest.mark.parametrize(("distance", "key"), [("cosine", "cos"), ("l2", "l2"), ("l1", "l1")])
def test_consistency_is_the_released_one(expected, distance, key):
    found = consistency_loss(torch.tensor(expected["tiny_feat"]), distance)
    assert found.item() == pytest.approx(float(expected[f"tiny_{key}"]), abs=1e-6)


def test_reals_count_four_times_as_much(expected):
    found = weighted_cross_entropy(torch.tensor(expected["tiny_logits"]), torch.tensor(expected["tiny_labels"]))
    assert found.item() == pytest.approx(float(expected["tiny_ce_4_1"]), abs=1e-6)


@pytest.mark.slow
def test_the_network_and_its_gradients_are_the_released_ones(expected):
    x, label = smooth_input((8, 3, 64, 64), "core"), [0, 1, 1, 0] * 2
    detector = load_filled(create("core", input_size=64, consistency=1.0), 1.0)
    out = detector.outputs(x)
    np.testing.assert_allclose(out["logits"], expected["eval_logits"], atol=2e-5)
    np.testing.assert_allclose(out["features"][:, :64], expected["eval_feature_slice"], atol=2e-5)
    batch = {"image": x, "label": label}
    losses = assert_trains_as_released(detector, batch, "core", float(expected["train_total_lambda1"]))
    total = losses["ce"].item() + 100 * losses["cons"].item()
    assert total == pytest.approx(float(expected["train_total_lambda100"]), abs=1e-4)


def test_names_are_the_released_ones():
    with torch.device("meta"):
        paper, bench = create("core"), create("core", variant="deepfakebench")
    assert {"conv1.weight", "fc.bias"} < set(paper.to_reference(paper.names()))
    assert {"backbone.conv1.weight", "backbone.last_linear.bias"} < set(bench.to_reference(bench.names()))
    with pytest.raises(BenchError, match="another architecture"):
        paper.load({"backbone.last_linear.weight": np.zeros((2, 2048), np.float32), "head": np.zeros(1, np.float32)})


@pytest.mark.parametrize("views", VIEWS)
def test_a_sample_is_two_views_of_one_face(views):
    landmarks = np.random.default_rng(0).uniform(30, 90, (81, 2)).astype(np.float32)
    face = Face(make_face(120, 120, "core"), landmarks, np.float32([30, 30, 90, 90]), 0, (0, 0), (120, 120))
    detector = create("core", input_size=64, views=views)
    sample = detector.sampler()(TrainSample(face, 1), np.random.default_rng(3))
    assert sample["image"].shape == (2, 64, 64, 3)
    assert not np.array_equal(*sample["image"])
    batch = {k: torch.tensor(np.stack([v, v])) for k, v in sample.items()}
    assert torch.isfinite(detector.losses(batch)["loss"])
