"""CADDM's JAX port: names and numbers as in the released code; losses, gradients and steps as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("flax")
torch = pytest.importorskip("torch")

import jax
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from crossfake.detectors.caddm.jax_objective import hard_negatives, multibox_loss
from crossfake.detectors.common_jax.layers import EVALUATION
from flax import nnx

SMALL = {
    "backbone": "timm:resnet10t",
    "backbone_args": {"channels": [8, 8, 16, 16], "stem_width": 8},
    "input_size": 112,
    "scale_input": True,
}


def examples(n: int = 4, size: int = 112, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    conf = np.zeros((n, 168), np.int64)
    conf[n // 2 :, -2:] = conf[-1:, 5:9] = 1
    return {
        "image": rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8),
        "label": (np.arange(n) >= n // 2).astype(np.int64),
        "loc_targets": rng.normal(size=(n, 168, 4)).astype(np.float32),
        "conf_targets": conf,
    }


def filled(backbone, gain, weight):
    detector = create("caddm", backend="jax", backbone=backbone)
    return detector.load({k: weight(k, v.shape, gain) for k, v in detector.to_reference(detector.names()).items()})


@pytest.mark.slow
def test_resnet34_matches_the_released_code(golden, make_input, weight, assert_golden):
    detector, expected = filled("resnet34", 0.8, weight), golden("model_resnet34.npz")
    assert_golden(detector, expected, 1e-4)
    pixels = np.floor(make_input((2, 3, 224, 224), "input255", 0, 256))
    rgb = pixels.transpose(0, 2, 3, 1)[..., ::-1].astype(np.uint8)
    np.testing.assert_allclose(detector.score(rgb), expected["softmax_input255"][:, 1], atol=1e-4)


@pytest.mark.slow
def test_efficientnet_b3_matches_the_released_code(golden, weight, assert_golden):
    assert_golden(filled("efficientnet-b3", 1.4, weight), golden("model_efficientnet-b3.npz"), 1e-4)


@pytest.mark.slow
def test_efficientnet_b4_equals_pytorchs(ports):
    first, second = ports("caddm", backbone="efficientnet-b4")
    x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    expected, outputs = first.outputs(x), second.outputs(x)
    for key, value in expected.items():
        np.testing.assert_allclose(outputs[key], value, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("backbone", ["resnet34", "efficientnet-b3", "efficientnet-b4"])
def test_names_and_shapes_are_the_released_ones(backbone):
    with torch.device("meta"):
        theirs = create("caddm", backend="torch", backbone=backbone)
    ours = create("caddm", backend="jax", backbone=backbone)
    expected = {k: tuple(v.shape) for k, v in theirs.to_reference(theirs.network.state_dict()).items()}
    assert {k: v.shape for k, v in ours.to_reference(ours.names()).items()} == expected
    assert ours.from_reference(ours.to_reference(ours.names())) == ours.names()
    assert ours.parameters_count() == theirs.parameters_count()


def test_the_small_network_equals_pytorchs(ports):
    first, second = ports("caddm", **SMALL)
    x = np.random.default_rng(1).normal(size=(2, 3, 112, 112)).astype(np.float32)
    expected, outputs = first.outputs(x), second.outputs(x)
    assert list(outputs) == sorted(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(outputs[key], value, atol=1e-4, err_msg=key)
    frames = examples()["image"]
    np.testing.assert_allclose(second.score(frames), first.score(frames), atol=1e-4)


@pytest.mark.slow  # Losses are compared below, gradients and statistics on smaller networks in baselines/ and fdd/
def test_a_training_pass_equals_pytorchs(ports, assert_same_pass):
    assert_same_pass(ports("caddm", **SMALL), examples())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet34", "efficientnet-b3"])
def test_a_training_pass_of_the_released_backbones_equals_pytorchs(ports, assert_same_pass, backbone):
    assert_same_pass(ports("caddm", backbone=backbone), examples(2, 224))


@pytest.mark.slow
def test_resnet34_gradients_round_as_pytorchs(ports, assert_rounds_alike):
    assert_rounds_alike(ports("caddm", backbone="resnet34"), [examples(2, 224, seed) for seed in range(4)])


@pytest.mark.slow  # Taken so by all ports, whose training passes are compared in baselines/ and fdd/
def test_normalised_images_are_accepted_channels_first_as_in_pytorch(ports):
    first, second = ports("caddm", **SMALL)
    batch = examples()
    batch["image"] = first.normalise(torch.from_numpy(batch["image"])).numpy()
    losses = jax.jit(lambda *weights: second.losses(nnx.merge(second.graph, *weights, copy=True), batch, EVALUATION))
    first.network.eval()
    expected = first.losses({k: torch.from_numpy(v) for k, v in batch.items()})
    found = {k: float(v) for k, v in losses(*second.weights).items()}
    assert found == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-3)


def test_losses_match_the_released_code(golden):
    v = golden("detection.npz")
    targets = v["mbl_loc_t"], v["mbl_conf_t"].astype(np.int32)
    loss_loc, loss_conf = jax.jit(multibox_loss)(v["mbl_loc"], v["mbl_conf"], *targets)
    assert float(loss_loc) == pytest.approx(float(v["mbl_loss_l"]), abs=1e-6)
    assert float(loss_conf) == pytest.approx(float(v["mbl_loss_c"]), abs=1e-6)
    total = jax.grad(lambda loc, conf: 0.1 * sum(multibox_loss(loc, conf, *targets)), (0, 1))
    grads = jax.jit(total)(v["mbl_loc"], v["mbl_conf"])
    np.testing.assert_allclose(grads[1], v["mbl_grad_conf"], atol=1e-7)
    assert float(np.abs(grads[0]).sum()) == pytest.approx(float(v["mbl_grad_loc_sum"]), abs=1e-6)
    logits = torch.from_numpy(v["mbl_conf"]).transpose(1, 2)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(v["mbl_conf_t"]), reduction="none").numpy()
    np.testing.assert_array_equal(hard_negatives(loss, targets[1] > 0), v["mbl_selected_neg"])


def test_padding_rows_add_nothing_to_the_detection_loss(golden):
    v = golden("detection.npz")
    arrays = [v["mbl_loc"], v["mbl_conf"], v["mbl_loc_t"], v["mbl_conf_t"].astype(np.int32)]
    padded = [np.concatenate([a, np.zeros_like(a[:2])]) for a in arrays]
    compiled = jax.jit(multibox_loss)
    np.testing.assert_allclose(compiled(*padded), compiled(*arrays), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"backbone": "timm:resnet50"},
            "no CADDM backbone in JAX named 'timm:resnet50'.*resnet34, .*Use --backend torch",
        ),
        ({**SMALL, "input_size": 160}, "5x5 map at input_size 160; the ADM needs 7x7. Change input_size to 224"),
        ({**SMALL, "stage": 2}, "14x14 map at input_size 112; the ADM needs 7x7. Change input_size to 56"),
        ({"backbone": "resnet34", "stage": 4}, "are for backbone timm:NAME; 'resnet34' has neither"),
        ({"recipe": "papr"}, "Did you mean 'paper'"),
    ],
)
def test_impossible_networks_are_a_one_line_error(options, message):
    with pytest.raises(BenchError, match=message) as raised:
        create("caddm", backend="jax", **options)
    assert "\n" not in str(raised.value)
