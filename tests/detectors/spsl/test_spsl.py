"""SPSL against golden vectors of DeepfakeBench's code, in the deep and the shallow variant."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.detectors import create
from crossfake.detectors.spsl.detector import compute_phase
from golden import assert_trains_as_released, load_filled, read_golden, smooth_input


@pytest.mark.parametrize(
    ("variant", "name"), [pytest.param("deepfakebench", "spsl", marks=pytest.mark.slow), ("paper", "spsl_shallow")]
)
def test_the_network_and_its_gradients_are_the_released_ones(variant, name):
    expected, x = read_golden(name), smooth_input((2, 3, 64, 64), "spsl")
    detector = load_filled(create("spsl", variant=variant, input_size=64), 1.0)
    out = detector.outputs(x)
    np.testing.assert_allclose(out["phase"], expected["phase"], atol=1e-6)
    np.testing.assert_allclose(out["feat"][:, :8], expected["feat_slice"], atol=2e-5)
    np.testing.assert_allclose(out["logits"], expected["logits"], atol=2e-5)
    assert_trains_as_released(detector, {"image": x, "label": [0, 1]}, name, float(expected["train_loss"]))
    after = detector.state()["backbone.bn1.running_mean"]
    np.testing.assert_allclose(after, expected["bn1_running_mean_after"], atol=1e-6)


def test_the_phase_image_has_waves_of_equal_strength_and_moves_with_the_picture():
    x = torch.tensor(smooth_input((1, 3, 32, 32), "phase"))
    phase = compute_phase(x)
    np.testing.assert_allclose(torch.fft.fft2(phase).abs(), 1, atol=1e-4)
    np.testing.assert_allclose(compute_phase(3 * x), phase, atol=1e-5)
    np.testing.assert_allclose(compute_phase(x.roll(5, 3)), phase.roll(5, 3), atol=1e-4)
