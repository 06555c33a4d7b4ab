"""DAG-FDD and DAW-FDD: losses, gradients and the network against golden vectors; JAX ports against PyTorch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Video
from golden import FIELD, load_filled, read_golden, read_norms, smooth_input

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.detectors import create
from crossfake.detectors.fdd.cvar import compute_cvar, compute_errors, compute_group_cvar

CASES = json.loads((FIELD / "dag_daw.json").read_text())["cases"]
LABEL, GROUP = [0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1], [0, 1, 5, 5, 1, 4, 7, 5, 0, 0, 1, 1]
NARROW = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [4, 4, 8, 8], "stem_width": 8}, "input_size": 32}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.parametrize("name", ["dag", "daw"])
def test_losses_and_gradients_are_exact(case, name):
    want, group = case[name], torch.tensor(case["groups"])
    logits = torch.tensor(case["logits"], requires_grad=True)
    errors = compute_errors(logits[:, None], torch.tensor(case["labels"]))
    np.testing.assert_allclose(errors.detach(), case["per_sample_bce"], atol=1e-6)
    if name == "dag":
        loss = compute_cvar(errors, want["alpha"])
        others = [(compute_cvar(errors, s["alpha"]), s["loss"]) for s in case["dag_sweep"]]
    else:
        loss = compute_group_cvar(errors, group, want["outer_alpha"], want["inner_alpha"])
        sweep = case["daw_alt"]
        others = [(compute_group_cvar(errors, group, s["outer_alpha"], s["inner_alpha"]), s["loss"]) for s in sweep]
    loss.backward()
    np.testing.assert_allclose(logits.grad, want["grad_exact"], atol=1e-6)
    for found, expected in [(loss, want["loss"]), *others]:
        assert found.item() == pytest.approx(expected, abs=5e-5)


def test_the_released_gradient_doubles_where_the_search_stops_below_the_kink():
    case = next(c for c in CASES if c["name"] == "one_group")
    logits = torch.tensor(case["logits"], requires_grad=True)
    errors = compute_errors(logits[:, None], torch.tensor(case["labels"]))
    compute_group_cvar(errors, torch.tensor(case["groups"]), 0.5, 0.9, "released").backward()
    np.testing.assert_allclose(logits.grad, case["daw"]["grad_logits"], atol=1e-6)
    assert logits.grad.abs().sum().item() == pytest.approx(2 * np.abs(case["daw"]["grad_exact"]).sum(), rel=0.02)


def test_a_share_of_one_gives_the_mean_and_a_small_share_the_worst():
    errors = torch.rand(13, generator=torch.Generator().manual_seed(0))
    assert compute_cvar(errors, 1.0).item() == pytest.approx(errors.mean().item(), abs=1e-7)
    assert compute_cvar(errors, 1e-3) == errors.max()
    assert compute_group_cvar(errors, torch.arange(13), 1.0, 0.5).item() == pytest.approx(
        errors.mean().item(), abs=1e-7
    )


@pytest.fixture(scope="module")
def batch():
    image = torch.tensor(smooth_input((12, 3, 64, 64), "dagm"))
    return {"image": image, "label": torch.tensor(LABEL), "group": torch.tensor(GROUP)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dag_fdd", "daw_fdd"])
def test_the_network_and_its_losses_are_the_released_ones(name, batch):
    expected = read_golden("dag_daw_model")
    with torch.device("meta"):
        detector = create(name, input_size=64)
    detector.network.to_empty(device="cpu")
    load_filled(detector, 1.0)
    np.testing.assert_allclose(detector.outputs(batch["image"].numpy())["logits"], expected["eval_logits"], atol=2e-5)
    assert detector.losses(batch)["loss"].item() == pytest.approx(float(expected[f"{name}_eval_loss"]), abs=1e-5)
    detector.network.train()
    loss = detector.losses(batch)["loss"]
    assert loss.item() == pytest.approx(float(expected[f"{name}_train_loss"]), abs=1e-5)
    if name == "dag_fdd":  # The reference doubles the other loss's gradient at kinks.
        loss.backward()
        found = {k: p.grad.norm().item() for k, p in detector.network.named_parameters()}
        for key, norm in detector.to_reference(found).items():
            assert norm == pytest.approx(read_norms("dag_fdd")[key], rel=0.02, abs=2e-5), key


def test_names_are_the_released_ones_and_unused_ones_are_allowed():
    with torch.device("meta"):
        detector = create("dag-fdd")
    names = detector.to_reference(detector.names())
    assert len(names) == 276  # 276 of 283: the others belong to adjust_channel.
    assert tuple(names["backbone.last_linear.weight"].shape) == (1, 2048)
    assert detector.is_unused("backbone.adjust_channel.0.weight")


def test_scores_are_the_sigmoid_of_the_one_logit():
    detector = create("daw-fdd", **NARROW)
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    logits = detector.outputs_of(frames)["logits"]
    assert logits.shape == (3, 1)
    np.testing.assert_allclose(detector.score(frames), 1 / (1 + np.exp(-logits[:, 0])), atol=1e-6)


def test_daw_needs_groups_and_says_so():
    video = Video("a.mp4", None, 0, "real", "train")
    with pytest.raises(BenchError, match=r"daw-fdd learns from gender .* known for 0 of 1 training videos"):
        create("daw-fdd", **NARROW).inspect_training_set([video], {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha must be from 1e-06 to 1"),
        ({"variant": "deepfakebench"}, "no daw-fdd variant"),
        ({"gradient": "exct"}, "Did you mean 'exact'"),
    ],
)
def test_impossible_options_are_a_one_line_error(options, message):
    with pytest.raises(BenchError, match=message):
        create("daw-fdd", **{**NARROW, **options})


@pytest.mark.parametrize("name", [pytest.param("dag-fdd", marks=pytest.mark.slow), "daw-fdd"])
def test_the_jax_ports_losses_and_gradients_equal_pytorchs(name):
    pytest.importorskip("flax")
    import jax
    from crossfake.detectors.fdd import jax_cvar

    rng = np.random.default_rng(3)
    logits, label, group = rng.normal(size=(9, 1)).astype(np.float32), rng.integers(0, 2, 9), rng.integers(-1, 3, 9)
    present = np.arange(9) < 7

    def compute(x):
        errors = jax_cvar.compute_errors(x, label)
        if name == "dag-fdd":
            return jax_cvar.compute_cvar(errors, present, 0.5)
        return jax_cvar.compute_group_cvar(errors, np.where(present, group, -2), 0.5, 0.9)

    x = torch.tensor(logits[:7], requires_grad=True)
    errors, groups = compute_errors(x, torch.tensor(label[:7])), torch.tensor(group[:7])
    loss = compute_cvar(errors, 0.5) if name == "dag-fdd" else compute_group_cvar(errors, groups, 0.5, 0.9)
    loss.backward()
    value, gradient = jax.jit(jax.value_and_grad(compute))(logits)
    assert float(value) == pytest.approx(loss.item(), abs=1e-6)
    np.testing.assert_allclose(gradient[:7], x.grad, atol=1e-6)
    assert not np.any(gradient[7:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dag-fdd", "daw-fdd"])
def test_a_training_pass_in_jax_equals_pytorchs(ports, assert_same_pass, name):
    pytest.importorskip("flax")
    image = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    batch = {"image": image, "label": np.array([0, 1] * 3), "group": np.array([0, 0, 1, 1, 2, 2])}
    assert_same_pass(ports(name, **NARROW), batch)


def test_jax_has_no_released_gradient():
    pytest.importorskip("flax")
    with pytest.raises(BenchError, match="only in PyTorch"):
        create("dag-fdd", "jax", variant="released")
