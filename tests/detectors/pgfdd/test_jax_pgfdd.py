"""PG-FDD's JAX port: names and numbers as in the released code, steps as in PyTorch, pairs that stay together."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("flax")
torch = pytest.importorskip("torch")

import jax
import jax.numpy as jnp
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create, create_from
from crossfake.detectors.pgfdd.jax_network import adain, upsample

NARROW = {
    "backbone": "timm:resnet10t",
    "backbone_args": {"channels": [8, 8, 16, 16], "stem_width": 8},
    "width": 32,
    "input_size": 64,
    "checkpointing": False,
}
SGD = {"optimizer": "sgd", "sharpness": "sam", "balance": True, "batch_size": 8}
PLAIN = {**SGD, "sharpness": "none", "lr": 0.01}
PARTS = ("recon_1", "recon_2", "self_recon_1", "self_recon_2")
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def weights(golden, filled):
    shapes = {row["key"]: row["shape"] for row in golden("keys.tsv")}
    sizes = {k: () if v == "scalar" else tuple(map(int, v.split("x"))) for k, v in shapes.items()}
    return filled({k: np.empty(v) for k, v in sizes.items()})


@pytest.fixture(scope="module")
def labels(golden):
    return {k: np.array(v) for k, v in golden("model.json")["cases"]["B8_S64"]["labels"].items()}


@pytest.fixture(scope="module")
def batch(labels):
    return {"image": np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8), **labels}


@pytest.fixture(scope="module")
def frozen(ports):
    """Both ports with the same weights and without randomness."""

    def make(name="pgfdd", **options):
        return tuple(port.freeze_noise() for port in ports(name, **{**NARROW, **options}))

    return make


@pytest.fixture(autouse=True)
def compiled_quickly(request):
    """In tests that aren't slow, compile with little optimisation, which halves the time."""
    jax.config.update("jax_disable_most_optimizations", request.node.get_closest_marker("slow") is None)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pairs(batch, count):
    half = len(batch["label"]) // 2
    return {k: np.concatenate([v[:count], v[half : half + count]]) for k, v in batch.items()}


def assert_same_weights(found, expected, atol):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=atol, err_msg=key)


# ---- the released code


@pytest.mark.parametrize("name", ["pgfdd", "pgfdd_fixed"])
def test_keys_and_shapes_are_the_released_code_s(weights, name):
    detector = create(name, backend="jax")
    assert {k: v.shape for k, v in detector.names().items()} == {k: v.shape for k, v in weights.items()}
    assert len(weights) == 903
    assert detector.parameters_count() == 69_494_227


@pytest.mark.slow
def test_inference_matches_the_released_code_whatever_the_path(weights, golden, image):
    expected = golden("infer.npz")
    for exact in (False, True):
        found = create("pgfdd", backend="jax", exact=exact).load(weights).outputs(image(8, 64))
        for name in ("cls", "feat", "cls_fused", "feat_fused"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def assert_training_outputs(found, expected):
    named = [name for name in expected if name in found]
    assert len(named) == 13
    for name in named:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)
    for name in PARTS:
        drawn = found[name]
        np.testing.assert_allclose(drawn[:, :, ::4, ::4], expected[f"{name}_sub"], atol=1e-5, err_msg=name)
        np.testing.assert_allclose([drawn.mean(), drawn.std()], expected[f"{name}_mean_std"], atol=1e-5)


@pytest.mark.slow
def test_a_training_pass_matches_the_released_code(weights, golden, image, labels):
    detector, facts = create("pgfdd", backend="jax").load(weights).freeze_noise(), golden("model.json")
    found = detector.training_pass(image(8, 64), **labels, batch_statistics=False)
    assert_training_outputs(found.outputs, golden("evalmode.npz"))
    assert found.losses == pytest.approx(facts["cases"]["B8_S64"]["losses_evalmode"], rel=1e-4)
    assert np.array_equal(detector.state()["encoder_f.bn1.running_mean"], weights["encoder_f.bn1.running_mean"])
    found = detector.training_pass(image(8, 64), **labels)
    assert_training_outputs(found.outputs, golden("trainmode.npz"))
    assert found.losses == pytest.approx(facts["trainmode_B8_S64"]["losses"], rel=1e-4)
    rows = {row["param"]: row["grad_l2"] for row in golden("gradients.tsv")}
    assert {k for k, norm in rows.items() if norm != "None"} == set(found.gradients)
    for name, gradient in found.gradients.items():
        # Gradients of biases before a batch norm are only rounding errors.
        assert np.linalg.norm(gradient) == pytest.approx(float(rows[name]), rel=0.02, abs=1e-6), name
    state = detector.state()
    for name, value in facts["trainmode_B8_S64"]["bn_after_one_forward_first8"].items():
        np.testing.assert_allclose(state[name].ravel()[:8], value, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_one_sam_step_of_the_whole_model_matches(weights, golden, image, labels):
    expected = golden("model.json")["sam_full_model_one_step"]
    detector = create("pgfdd", backend="jax").load(weights).freeze_noise()
    settings = TrainSettings(**SGD, **{k: expected[k] for k in ("lr", "momentum", "weight_decay", "rho")})
    found = detector.training(settings, 1, 1).step({"image": image(8, 64), **labels})
    assert found.pop("loss") == pytest.approx(expected["loss_first"].pop("overall"), rel=1e-4)
    assert found == pytest.approx(expected["loss_first"], rel=1e-4)
    state = detector.state()
    for name, size in expected["delta_l2"].items():
        assert np.linalg.norm(state[name] - weights[name]) == pytest.approx(size, rel=0.02), name
    np.testing.assert_allclose(state["encoder_f.bn1.running_mean"][:8], expected["bn1_running_mean_first8"], atol=1e-6)
    assert state["encoder_f.bn1.num_batches_tracked"] == 2


def test_adain_matches(golden, signed):
    """Unbiased variances: over 16 pixels, biased ones would be a sixteenth smaller."""
    content, style = (
        signed(f"adain_{k}", (2, 3, 4, 4), scale).transpose(0, 2, 3, 1) for k, scale in (("x", 2), ("y", 3))
    )
    found = np.asarray(adain(content, style))
    np.testing.assert_allclose(
        found.transpose(0, 3, 1, 2).ravel(), golden("losses.json")["adain"]["out_flat"], atol=1e-5
    )
    np.testing.assert_allclose(found.mean((1, 2)), style.mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize(("shape", "factor"), [((2, 2, 3, 5), 2), ((1, 8, 8, 2), 2), ((2, 4, 7, 3), 4)])
def test_enlarging_keeps_corners_in_place_like_pytorch(shape, factor):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), scale_factor=factor, mode="bilinear", align_corners=True
    )
    found = np.asarray(upsample(jnp.asarray(x), factor))
    np.testing.assert_allclose(found, theirs.permute(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_allclose(
        found[:, [0, 0, -1, -1], [0, -1, 0, -1]], x[:, [0, 0, -1, -1], [0, -1, 0, -1]], atol=1e-6
    )


# ---- PyTorch's port


@pytest.mark.parametrize(
    ("name", "exact", "score"),
    [
        ("pgfdd", True, "logit1"),
        ("pgfdd_fixed", False, "softmax"),
        pytest.param("pgfdd", False, "softmax", marks=pytest.mark.slow),
    ],
)
def test_scores_and_outputs_equal_pytorchs(frozen, image, batch, name, exact, score):
    first, second = frozen(name, exact=exact, reference_score=score)
    expected, found = first.outputs(image(4, 64)), second.outputs(image(4, 64))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4, err_msg=key)
    np.testing.assert_allclose(second.score(batch["image"]), first.score(batch["image"]), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pgfdd", "pgfdd_fixed"])
def test_a_training_pass_equals_pytorchs(frozen, assert_same_pass, batch, name):
    assert_same_pass(frozen(name), batch)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet34", "efficientnet-b3"])
def test_other_backbones_equal_pytorchs(frozen, image, backbone):
    first, second = frozen(backbone=backbone, backbone_args=None, exact=True)
    assert {k: v.shape for k, v in second.names().items()} == {k: v.shape for k, v in first.state().items()}
    expected, found = first.outputs(image(2, 64)), second.outputs(image(2, 64))
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4, err_msg=key)


@pytest.mark.slow
def test_a_pass_with_recomputing_equals_pytorchs_without(frozen, image, labels):
    (first, _), (_, second) = frozen(), frozen(checkpointing=True)
    expected, found = (port.training_pass(image(8, 64), **labels) for port in (first, second))
    assert found.outputs.keys() == expected.outputs.keys()
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)
    assert found.gradients.keys() == expected.gradients.keys()
    for key, value in expected.outputs.items():
        np.testing.assert_allclose(found.outputs[key], value, atol=1e-3, err_msg=key)
    largest = max(np.linalg.norm(g) for g in expected.gradients.values())
    for key, value in expected.gradients.items():
        assert np.linalg.norm(found.gradients[key] - value) < 1e-2 * (np.linalg.norm(value) + 1e-3 * largest), key
    assert second.state()["encoder_c.bn1.num_batches_tracked"] == 1
    np.testing.assert_allclose(
        second.state()["encoder_c.bn1.running_var"], first.state()["encoder_c.bn1.running_var"], rtol=1e-4
    )


@pytest.mark.slow
def test_steps_equal_pytorchs_in_full_and_smaller_batches(frozen, double, batch):
    """The second pass doesn't change running statistics, and the empty fourth pair of a batch has no effect."""
    first, second = frozen()
    sessions = [port.training(TrainSettings(**SGD, lr=0.01, threads=1), 4, 2) for port in (double(first), second)]
    for count in (4, 3):
        expected, found = (session.step(pairs(batch, count)) for session in sessions)
        assert found == pytest.approx(expected, rel=1e-3)
    assert first.state()["encoder_f.bn1.num_batches_tracked"] == 4
    assert_same_weights(second.state(), first.state(), 1e-4)


def as_ai_face(state):
    rows = {"head_spe.mlp.2": 4, "head_fused.mlp.2": 1}
    return {k: v[: rows.get(k.rpartition(".")[0])] if v.ndim else v for k, v in state.items()}


def test_the_ai_face_family_is_recognised_by_its_shapes(frozen, image):
    first, second = frozen()
    state = first.state()
    expected, found = (port.load(as_ai_face(state)).outputs(image(4, 64)) for port in (first, second))
    assert found.keys() == expected.keys()
    assert found["cls"].shape == (4, 1)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4, err_msg=key)
    assert second.load(state).outputs(image(2, 64))["cls"].shape == (2, 2)  # And back.


@pytest.mark.slow
def test_a_training_pass_of_the_ai_face_family_equals_pytorchs(frozen, image, labels):
    first, second = frozen()
    ai_face = as_ai_face(first.state())
    given = {**labels, "label_spe": np.minimum(labels["label_spe"], 3)}
    expected, found = (port.load(ai_face).training_pass(image(8, 64), **given) for port in (first, second))
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)
    assert found.outputs.keys() == expected.outputs.keys()
    assert found.gradients.keys() == expected.gradients.keys()


# ---- in the harness


def fresh(seed=0, name="pgfdd", **options):
    return create_from(detectors.find(name, "jax"), seed, **{**NARROW, **options})


def test_a_lost_frame_removes_its_partner_too(batch):
    """Two reals and four fakes give two pairs, padded to three."""
    rows = [1, 3, 4, 5, 6, 7]
    found = fresh().arrange_batch({k: v[rows] for k, v in batch.items()}, 6)
    assert found["present"].tolist() == [1, 1, 0, 1, 1, 0]
    assert found["intersec_label"].tolist() == [
        *batch["intersec_label"][[1, 3]],
        0,
        *batch["intersec_label"][[4, 5]],
        0,
    ]
    np.testing.assert_array_equal(found["image"][[0, 1, 3, 4]], batch["image"][[1, 3, 4, 5]])


@pytest.mark.slow
def test_twenty_steps_and_a_smaller_one_compile_once(batch):
    seen: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: seen.append(event))
    session = fresh().training(TrainSettings(**PLAIN), 30, 5)
    losses = [session.step(batch)["loss"]]
    first = seen.count(COMPILED)
    losses += [session.step(batch)["loss"] for _ in range(19)]
    session.step(pairs(batch, 3))
    jax.monitoring.clear_event_listeners()
    assert seen.count(COMPILED) == first > 0
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.slow
@pytest.mark.slow
def test_seeds_fix_dropout_and_anchors(batch):
    runs = []
    for seed in (0, 0, 1):
        session = fresh().training(TrainSettings(**PLAIN), 2, 2)
        session.detector.seed = seed
        runs.append([session.step(batch)["loss"] for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.slow
def test_steps_lower_for_accelerators(batch):
    detector, platforms = fresh(checkpointing=True), ("tpu", "cuda")
    scoring = jax.export.export(jax.jit(detector.probabilities), platforms=platforms)(*detector.weights, batch["image"])
    assert scoring.platforms == platforms
    session = detector.training(TrainSettings(**SGD, precision="bf16"), 1, 1)
    step = jax.export.export(session.update, platforms=platforms)(*session.make_step_arguments(batch))
    assert step.platforms == platforms
    assert "stablehlo.convolution" in step.mlir_module()
    assert "bf16" in step.mlir_module()


TWO_DEVICES = """
import json, sys, numpy as np, jax
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.registry import detectors
from crossfake.detectors import create_from
batch = dict(np.load(sys.argv[1]))
detector = create_from(detectors.find("pgfdd", "jax"), 0, **json.loads(sys.argv[3])).freeze_noise()
session = detector.training(TrainSettings(**json.loads(sys.argv[4])), 2, 2)
losses = session.step(batch)
found = {"devices": len(jax.devices()), "scores": detector.score(batch["image"]), **losses, **detector.state()}
np.savez(sys.argv[2], **found)
"""


@pytest.mark.slow
def test_two_devices_take_the_step_of_one(batch, tmp_path):
    """Each device has the reals or the fakes of three pairs and one more row; reconstructions need both."""
    import json

    np.savez(tmp_path / "batch.npz", **pairs(batch, 3))
    results = []
    for count in (1, 2):
        flags = f"--xla_force_host_platform_device_count={count}"
        given = [tmp_path / "batch.npz", tmp_path / f"{count}.npz", json.dumps(NARROW), json.dumps(PLAIN)]
        subprocess.run([sys.executable, "-c", TWO_DEVICES, *given], check=True, env={**os.environ, "XLA_FLAGS": flags})
        results.append(dict(np.load(tmp_path / f"{count}.npz")))
    one, two = results
    assert (one.pop("devices"), two.pop("devices")) == (1, 2)
    assert_same_weights(two, one, 1e-5)


@pytest.mark.slow
def test_neither_backend_imports_the_other():
    code = (
        "import sys\nfor name in {0!r}: sys.modules[name] = None\n"
        "from crossfake.detectors import create\ncreate('pgfdd', backend={1!r}, input_size=64, width=16)"
    )
    for absent, backend in ((("torch", "timm", "torchvision"), "jax"), (("jax", "flax", "optax"), "torch")):
        subprocess.run([sys.executable, "-c", code.format(absent, backend)], check=True)


@pytest.mark.slow
def test_trains_and_scores_on_the_demo_world(tiny_world, tmp_path, capsys):
    import json

    settings = [f"--set=options.{k}={json.dumps(v)}" for k, v in NARROW.items()]
    asked = "run --backend jax --detector fair_df_detector --train ff++ --test celebdf --workers 0"
    quick = "--set score.draws=20 --set train.epochs=1 --set train.steps_per_epoch=2"
    assert bench(f"{asked} {quick}", *settings, data=tiny_world, runs=tmp_path) == 0
    folder = next((tmp_path / "demo" / "pgfdd.small").glob("ff*"))
    report = json.loads((folder / "training.json").read_text())
    assert {"loss", "common", "specific", "reconstruction", "contrastive", "fairness", "fusion"} < set(
        report["epochs"][0]
    )
    again = create("pgfdd", backend="torch", **NARROW).load(folder / "checkpoint.safetensors")
    assert again.state()["head_spe.mlp.2.weight"].shape == (6, 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet50"}, "no pgfdd backbone in JAX named 'resnet50'.*xception, .*Use --backend torch"),
        ({"backbone": "resnet34", "backbone_args": {"a": 1}}, "are for backbone timm:NAME; 'resnet34' has none"),
        ({"input_size": 100}, "input_size must be a multiple of 32, at least 64, got 100"),
        ({"reference_score": "logit"}, "Did you mean 'logit1'"),
    ],
)
def test_wrong_options_are_a_one_line_error(options, message):
    with pytest.raises(BenchError, match=message) as raised:
        create("pgfdd", backend="jax", **options)
    assert "\n" not in str(raised.value)


def test_batches_that_are_not_pairs_are_refused():
    with pytest.raises(BenchError, match=r"balance=False and batch_size=32.*train.balance=true"):
        fresh().training(TrainSettings(), 1, 1)
