"""`train.remat` gives the same step from fewer stored values, in every network that JAX trains."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.shared_steps import check_step_settings
from crossfake.detectors import create, create_from
from crossfake.detectors.baselines.jax_plain import JaxPlainClassifier
from crossfake.detectors.common.network_detector import NetworkDetector
from crossfake.detectors.common.training import NetworkTraining
from crossfake.detectors.common_jax.detector import flatten_state
from crossfake.detectors.common_jax.layers import BatchNorm, Conv, Linear, dropout, run_block
from kept_values import count_kept

SMALL = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [4, 4, 8, 8], "stem_width": 8}}
PAIRS = {"label_spe": np.array([0, 1]), "intersec_label": np.array([0, 1])}
ANCHORS = {"loc_targets": np.zeros((2, 168, 4), np.float32), "conf_targets": np.zeros((2, 168), np.int64)}


class Block(nnx.Module):
    """A block with batch norm and dropout, followed by dropout."""

    def __init__(self, init):
        self.conv1, self.bn1, self.fc = Conv(3, 4, 3, init, stride=4), BatchNorm(4, init), Linear(4, 2, init)

    def __call__(self, x, mode):
        def run(conv, norm, x, mode):
            return dropout(norm(jax.nn.relu(conv(x)), mode), 0.5, mode)

        x = run_block(run, self.conv1, self.bn1, x, mode=mode).mean((1, 2))
        return {"logits": self.fc(dropout(x, 0.5, mode))}


def start_session(detector, **settings):
    batch = {
        "image": np.random.default_rng(0).integers(0, 256, (2, *[detector.input_size] * 2, 3), dtype=np.uint8),
        "label": np.array([0, 1]),
    }
    return detector.training(TrainSettings(batch_size=2, optimizer="sgd", balance=True, **settings), 1, 1), batch


def trace(detector, remat: bool, more=()):
    """Return how many blocks run again, and the bytes kept for gradients without the weights; nothing is run."""
    session, batch = start_session(detector, remat=remat)
    given = batch | dict(more)
    (params, rest, _), placed, *_ = session.make_step_arguments(given)
    program = jax.make_jaxpr(session.compute_losses)(params, rest, placed, jax.random.key(0))
    return str(program).count("prevent_cse="), count_kept(session, given)


def test_gradients_and_statistics_are_the_same_with_dropout():
    """The random draws are repeated, and the second run of a block isn't counted as another batch."""
    found = []
    for remat in (False, True):
        session, batch = start_session(JaxPlainClassifier(Block, 32), remat=remat)
        (params, rest, _), batch, *_ = session.make_step_arguments(batch)
        differentiate = jax.jit(jax.value_and_grad(session.compute_losses, has_aux=True))
        (loss, (_, rest)), gradients = differentiate(params, rest, batch, jax.random.key(0))
        found.append({"loss": loss, **flatten_state(gradients), **flatten_state(rest)})
    assert found[1].keys() == found[0].keys()
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert found[1]["bn1.num_batches_tracked"] == 1
    assert np.abs(found[1]["conv1.weight"]).min() > 0


def test_a_block_keeps_its_input_alone(capsys):
    """The compiler for CPUs may undo that, and a message says so."""
    (runs, kept), (runs_again, kept_again) = (trace(JaxPlainClassifier(Block, 32), remat) for remat in (False, True))
    assert (runs, runs_again) == (0, 1)
    size_of_input = 2 * 32 * 32 * 3 * 4
    assert 0 <= kept_again - size_of_input < 200 < 8000 < kept - size_of_input  # Labels and logits too.
    assert capsys.readouterr().err.count("train.remat saves no memory on a processor") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "more", "runs", "factor"),
    [
        ("meso4", {"input_size": 32}, {}, 4, 8),
        ("mesoinception4", {"input_size": 32}, {}, 4, 12),
        ("xception", {"input_size": 32, "pretrained": False}, {}, 15, 20),
        ("efficientnet-b4", {"input_size": 32, "pretrained": False}, {}, 34, 75),
        ("dag-fdd", {**SMALL, "input_size": 32}, PAIRS, 5, 8),
        ("caddm", {**SMALL, "input_size": 112}, ANCHORS, 4, 7),
        ("pgfdd", {**SMALL, "width": 16, "input_size": 64, "checkpointing": False}, PAIRS, 15, 4),
    ],
)
def test_every_network_runs_its_blocks_again(name, options, more, runs, factor):
    (none, kept), (found, kept_again) = (trace(create(name, "jax", **options), remat, more) for remat in (False, True))
    assert (none, found) == (0, runs)
    assert kept_again < kept / factor


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", ["none", "sam"])
def test_steps_are_the_same(sharpness):
    states = []
    for remat in (False, True):
        detector = create_from(detectors.find("caddm", "jax"), 0, **SMALL, input_size=112)
        session, batch = start_session(detector, lr=0.01, sharpness=sharpness, remat=remat)
        states.append({"loss": session.step(batch | ANCHORS)["loss"], **detector.state()})
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert states[1]["base_model.bn1.num_batches_tracked"] == (1 if sharpness == "none" else 2)


@pytest.mark.slow
def test_pg_fdd_runs_blocks_again_instead_of_whole_encoders():
    options = {**SMALL, "width": 16, "input_size": 64}
    assert trace(create("pgfdd", "jax", **options), True, PAIRS)[0] == 15


def test_detectors_of_other_backends_refuse_it():
    with pytest.raises(BenchError, match=r"^mine has no train\.remat, which is for JAX detectors\. Leave it out$"):
        check_step_settings(object(), "mine", TrainSettings(remat=True))
    with pytest.raises(BenchError, match=r"^NetworkDetector has no train\.remat"):
        NetworkTraining(NetworkDetector(), TrainSettings(remat=True), 1, 1, fast_bf16=False)
