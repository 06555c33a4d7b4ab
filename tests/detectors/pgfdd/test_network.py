"""The network against golden vectors of the released code, and the parts that do or don't affect its decision."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors.pgfdd import network
from crossfake.detectors.pgfdd.detector import Pgfdd, PgfddFixed
from crossfake.detectors.pgfdd.network import adain
from crossfake.detectors.pgfdd.shared import TrainingPass

NARROW = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [8, 8, 16, 16], "stem_width": 8}, "width": 32}
PARTS = ("recon_1", "recon_2", "self_recon_1", "self_recon_2")


def built(cls=Pgfdd, **options):
    """Build without the random start, which golden weights replace."""
    with torch.device("meta"):
        detector = cls(**options)
    detector.network.to_empty(device="cpu")
    return detector


@pytest.fixture(scope="module")
def weights(filled):
    detector = built()
    return filled(detector.to_reference(detector.network.state_dict()))


@pytest.fixture(scope="module")
def labels(golden):
    return golden("model.json")["cases"]["B8_S64"]["labels"]


@pytest.fixture(scope="module")
def trained_once(weights, image, labels):
    """A pass in training mode with recomputed activations, and the detector afterwards."""
    detector = built().load(weights).freeze_noise()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "measure_free_memory", lambda device: 0)
        return detector.training_pass(image(8, 64), **labels), detector


def assert_training_outputs(found, expected):
    for name, value in expected.items():
        if name in found:
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
    for name in PARTS:
        drawn = found[name]
        np.testing.assert_allclose(drawn[:, :, ::4, ::4], expected[f"{name}_sub"], atol=1e-5, err_msg=name)
        np.testing.assert_allclose([drawn.mean(), drawn.std()], expected[f"{name}_mean_std"], atol=1e-5)
    assert len([name for name in expected if name in found]) == 13


def assert_running_statistics(state, expected):
    for name, value in expected["bn_after_one_forward_first8"].items():
        np.testing.assert_allclose(state[name].ravel()[:8], value, atol=1e-6, err_msg=name)


def test_keys_and_shapes_are_the_released_code_s(weights, golden):
    expected = {row["key"]: row["shape"] for row in golden("keys.tsv")}
    assert {k: "x".join(map(str, v.shape)) or "scalar" for k, v in weights.items()} == expected
    assert len(expected) == 903
    assert built().parameters_count() == 69_494_227


def test_inference_matches_the_released_code_whatever_the_path(weights, golden, image):
    detector, expected = built().load(weights), golden("infer.npz")
    short = detector.outputs(image(8, 64))
    detector.exact = True
    exact = detector.outputs(image(8, 64))
    for name in ("cls", "feat", "cls_fused", "feat_fused"):
        np.testing.assert_allclose(short[name], expected[name], atol=1e-5)
        np.testing.assert_allclose(exact[name], expected[name], atol=1e-5)
    assert not np.array_equal(short["cls_fused"], exact["cls_fused"])  # The computations differ.


@pytest.mark.slow
def test_training_outputs_and_losses_match_with_running_statistics(weights, golden, image, labels):
    detector = built().load(weights).freeze_noise()
    before = detector.state()["encoder_f.bn1.running_mean"]
    found = detector.training_pass(image(8, 64), **labels, batch_statistics=False)
    assert_training_outputs(found.outputs, golden("evalmode.npz"))
    expected = golden("model.json")["cases"]["B8_S64"]["losses_evalmode"]
    assert found.losses == pytest.approx(expected, rel=1e-4)
    assert np.array_equal(detector.state()["encoder_f.bn1.running_mean"], before)


def test_training_outputs_and_losses_match_with_batch_statistics(weights, golden, image, labels):
    detector, expected = built().load(weights).freeze_noise(), golden("model.json")["trainmode_B8_S64"]
    detector.network.train()
    batch = {"image": image(8, 64), **{k: np.array(v) for k, v in labels.items()}}
    with torch.no_grad():
        outputs, losses = detector._learn({k: torch.from_numpy(v) for k, v in batch.items()})
    outputs, losses = {k: v.numpy() for k, v in outputs.items()}, {k: v.item() for k, v in losses.items()}
    found = TrainingPass.from_outputs(outputs, losses, {})
    assert_training_outputs(found.outputs, golden("trainmode.npz"))
    assert found.losses == pytest.approx(expected["losses"], rel=1e-4)
    assert_running_statistics(detector.state(), expected)


@pytest.mark.slow
def test_training_outputs_losses_and_gradients_match_with_batch_statistics(trained_once, golden):
    found = trained_once[0]
    assert_training_outputs(found.outputs, golden("trainmode.npz"))
    assert found.losses == pytest.approx(golden("model.json")["trainmode_B8_S64"]["losses"], rel=1e-4)
    rows = {row["param"]: row["grad_l2"] for row in golden("gradients.tsv")}
    assert {k for k, norm in rows.items() if norm != "None"} == set(found.gradients)
    for name, gradient in found.gradients.items():
        # Gradients of biases before a batch norm are only rounding errors.
        assert np.linalg.norm(gradient) == pytest.approx(float(rows[name]), rel=0.02, abs=1e-7), name


@pytest.mark.slow
def test_running_statistics_count_a_recomputed_batch_once(trained_once, golden):
    assert trained_once[1].network.checkpointing
    assert_running_statistics(trained_once[1].state(), golden("model.json")["trainmode_B8_S64"])


@pytest.mark.slow
def test_one_sam_step_of_the_whole_model_matches(weights, golden, image, labels):
    expected = golden("model.json")["sam_full_model_one_step"]
    detector = built(checkpointing=False).load(weights).freeze_noise()
    names = ("lr", "momentum", "weight_decay", "rho")
    settings = TrainSettings(
        optimizer="sgd", sharpness="sam", balance=True, batch_size=8, **{k: expected[k] for k in names}
    )
    batch = {"image": image(8, 64), **{k: np.array(v) for k, v in labels.items()}}
    found = detector.training(settings, 1, 1).step(batch)
    assert found.pop("loss") == pytest.approx(expected["loss_first"].pop("overall"), rel=1e-4)
    assert found == pytest.approx(expected["loss_first"], rel=1e-4)
    state = detector.state()
    for name, size in expected["delta_l2"].items():
        assert np.linalg.norm(state[name] - weights[name]) == pytest.approx(size, rel=0.02), name
    bn1 = {k: state[f"encoder_f.bn1.{k}"] for k in ("running_mean", "num_batches_tracked")}
    np.testing.assert_allclose(bn1["running_mean"][:8], expected["bn1_running_mean_first8"], atol=1e-6)
    assert bn1["num_batches_tracked"] == 2


@pytest.mark.slow
def test_the_ai_face_family_is_recognised_by_its_shapes(weights, image, labels, filled, narrow):
    ai_face = dict(weights)
    for name, shape in {"head_spe": (4, 512), "head_fused": (1, 512)}.items():
        for leaf in ("weight", "bias"):
            key = f"{name}.mlp.2.{leaf}"
            ai_face |= filled({key: np.empty(shape if leaf == "weight" else shape[:1])})
    detector = built().load(ai_face).freeze_noise()
    state = detector.state()
    assert all(np.array_equal(state[k], v) for k, v in ai_face.items())
    out = detector.outputs(image(4, 64))
    assert {k: v.shape for k, v in out.items()} == {
        "cls_ag": (4, 2),
        "feat": (4, 256),
        "cls": (4, 1),
        "feat_fused": (4, 256),
        "cls_fused": (4, 1),
        "logits": (4, 2),
    }
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    logit = detector.outputs(detector.normalise(torch.from_numpy(frames)).numpy())["cls"][:, 0]
    np.testing.assert_allclose(detector.score(frames), 1 / (1 + np.exp(-logit)), rtol=1e-5)
    spe = np.minimum(labels["label_spe"], 3)
    small = narrow()
    small.load(small.state() | {k: v for k, v in ai_face.items() if v.shape != weights[k].shape})
    found = small.freeze_noise().training_pass(image(8, 64), labels["label"], spe, labels["intersec_label"])
    assert found.outputs["cls_spe"].shape == (8, 4)
    assert not any(k.startswith("prob") for k in found.outputs)
    with pytest.raises(BenchError, match="another architecture"):
        built(**NARROW).load(ai_face)
    assert detector.load(weights).outputs(image(2, 64))["cls"].shape == (2, 2)  # And back.


@pytest.fixture(scope="module")
def narrow(filled):
    """Small detectors with weights of realistic size; with random ones an image gives almost constant features."""

    def make(cls=Pgfdd, **options):
        detector = cls(**NARROW, input_size=64, **options)
        return detector.load(filled(detector.state()))

    return make


@pytest.mark.parametrize("cls", [Pgfdd, PgfddFixed])
@pytest.mark.parametrize("exact", [False, True])
def test_only_the_repaired_detector_decides_by_demographics(cls, exact, narrow, filled):
    frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    detector = narrow(cls, exact=exact)
    before, state = detector.score(frames), detector.state()
    change = {}
    for part in ("encoder_fair.", "encoder_f."):
        others = {k: v + 0.1 if k.startswith(part) and k.endswith("weight") else v for k, v in state.items()}
        change[part] = np.abs(detector.load(others).score(frames) - before).max()
    assert change["encoder_f."] > 1e-4
    assert (change["encoder_fair."] > 1e-4) if cls is PgfddFixed else (change["encoder_fair."] < 1e-6)


def test_only_repaired_fusion_trains_the_demographic_encoder(image, narrow):
    norms = {}
    for cls in (Pgfdd, PgfddFixed):
        network = narrow(cls).network.train()
        outputs = network.training_outputs(torch.from_numpy(image(8, 64)))
        outputs["cls_fused"].square().sum().backward()
        norms[cls] = {
            part: torch.stack([p.grad.norm() for p in getattr(network, part).parameters() if p.grad is not None]).norm()
            for part in ("encoder_f", "encoder_fair")
        }
    assert norms[Pgfdd]["encoder_fair"] < 1e-5 * norms[Pgfdd]["encoder_f"]
    assert norms[PgfddFixed]["encoder_fair"] > 0.1 * norms[PgfddFixed]["encoder_f"]


def test_adain_matches(golden, signed):
    expected = golden("losses.json")["adain"]
    content = torch.from_numpy(signed("adain_x", (2, 3, 4, 4), 2))
    style = torch.from_numpy(signed("adain_y", (2, 3, 4, 4), 3))
    np.testing.assert_allclose(adain(content, style).ravel(), expected["out_flat"], atol=1e-5)
    torch.testing.assert_close(adain(content, style).mean((2, 3)), style.mean((2, 3)))


@pytest.mark.parametrize(
    ("backbone", "checkpointing"), [("resnet34", False), pytest.param("efficientnet-b3", True, marks=pytest.mark.slow)]
)
def test_other_backbones_have_the_same_interface(backbone, checkpointing, image):
    detector = Pgfdd(backbone=backbone, width=16, input_size=64, checkpointing=checkpointing).freeze_noise()
    found = detector.training_pass(image(2, 64), [0, 1], [0, 2], [3, 4])
    assert found.outputs["recon_1"].shape == (1, 3, 64, 64)
    assert found.outputs["feat_content"].shape == (2, 16, 2, 2)
    assert np.isfinite(found.losses["overall"])


def test_recomputing_changes_no_gradient_or_statistic_and_happens_only_when_memory_is_short(
    image, labels, narrow, monkeypatch
):
    computed: list[object] = []
    checkpoint = network.checkpoint
    monkeypatch.setattr(network, "checkpoint", lambda *a, **k: (computed.append(a), checkpoint(*a, **k))[1])

    def differentiate(free: int, **options: bool):
        monkeypatch.setattr(network, "measure_free_memory", lambda device: free)
        computed.clear()
        detector = narrow(**options).freeze_noise()
        gradients = detector.training_pass(image(8, 64), **labels).gradients
        return gradients | {k: v for k, v in detector.state().items() if "running" in k or "tracked" in k}

    needed = 2 * network._BYTES_A_PIXEL * 8 * 64 * 64
    plain = differentiate(needed)
    assert not computed
    again = differentiate(needed - 1)
    assert len(computed) == 3
    differentiate(0, checkpointing=False)
    assert not computed
    assert plain.keys() == again.keys()
    for name in plain:
        np.testing.assert_allclose(again[name], plain[name], atol=1e-5, err_msg=name)


def test_wrong_options_are_a_one_line_error(narrow):
    with pytest.raises(BenchError, match=r"no pgfdd backbone 'xceptoin'.* Did you mean 'xception'"):
        Pgfdd(backbone="xceptoin")
    with pytest.raises(BenchError, match="with backbone_args"):
        Pgfdd(backbone="resnet34", backbone_args={"in_chans": 1})
    with pytest.raises(BenchError, match="Did you mean 'logit1'"):
        Pgfdd(reference_score="logit")
    with pytest.raises(BenchError, match="input_size must be a multiple of 32, at least 64, got 100"):
        Pgfdd(**NARROW, input_size=100)
    with pytest.raises(BenchError, match=r"balance=False and batch_size=32.*train.balance=true"):
        narrow().training(TrainSettings(), 1, 1)
