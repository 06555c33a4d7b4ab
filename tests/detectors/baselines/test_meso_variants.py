"""MesoInception4 and Meso4 against golden vectors of DeepfakeBench and the paper's sizes; and the JAX port."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from golden import assert_trains_as_released, load_filled, read_golden, smooth_input


@pytest.mark.parametrize(("name", "key"), [("mesoinception4", "mi"), ("meso4", "m4")])
def test_networks_and_gradients_equal_deepfakebenchs(name, key):
    expected, x = read_golden(name), smooth_input((2, 3, 256, 256), key)
    detector = load_filled(create(name, variant="deepfakebench"), 1.5)
    out = detector.outputs(x)
    np.testing.assert_allclose(out["logits"], expected["logits"], atol=2e-5)
    np.testing.assert_allclose(out["feat"][:, ::8], expected["feat"], atol=2e-5)
    if name == "mesoinception4":
        for part in ("inc1", "inc2"):
            step = out[part].shape[-1] // 8
            np.testing.assert_allclose(out[part][:, :, ::step, ::step], expected[f"{part}_slice"], atol=2e-5)
    assert_trains_as_released(detector, {"image": x, "label": [0, 1]}, name, float(expected["train_loss"]))
    after = detector.state()["backbone.bn1.running_mean"]
    np.testing.assert_allclose(after, expected["bn1_running_mean_after"], atol=1e-6)


def test_mesoinception4_has_the_published_size_and_one_logit():
    detector = create("mesoinception4")
    assert detector.parameters_count() == 28_615
    assert create("mesoinception4", variant="deepfakebench").parameters_count() == 28_525
    assert detector.outputs(np.zeros((2, 3, 256, 256)))["logits"].shape == (2, 1)


def test_weights_of_the_other_variant_or_size_are_refused():
    paper, bench = create("mesoinception4"), create("mesoinception4", variant="deepfakebench", input_size=128)
    with pytest.raises(BenchError, match="another architecture"):
        bench.load(paper.state())
    larger = create("mesoinception4", variant="deepfakebench")
    with pytest.raises(BenchError, match=r"1 of another shape \(first: backbone\.fc1\.weight"):
        bench.load(larger.state())


@pytest.mark.parametrize("variant", ["paper", pytest.param("deepfakebench", marks=pytest.mark.slow)])
def test_the_jax_port_equals_pytorchs(ports, variant):
    pytest.importorskip("flax")
    first, second = ports("mesoinception4", variant=variant, input_size=32)
    image = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    expected, outputs = first.outputs_of(image), second.outputs_of(image)
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(outputs[key], value, atol=1e-4, err_msg=key)
    np.testing.assert_allclose(second.score(image), first.score(image), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "deepfakebench"])
def test_a_training_pass_in_jax_equals_pytorchs(ports, assert_same_pass, variant):
    pytest.importorskip("flax")
    image = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    assert_same_pass(
        ports("mesoinception4", variant=variant, input_size=32), {"image": image, "label": np.arange(4) % 2}
    )
