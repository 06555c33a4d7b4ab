"""Steps in pieces against whole steps: the same losses, gradients and weights without batch norm."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.shared_steps import check_pieces
from crossfake.detectors import create
from crossfake.detectors.caddm.targets import assign
from crossfake.detectors.common_torch.pieces import cut_batch
from crossfake.detectors.core.objective import add_weights, weighted_cross_entropy

TINY_VIT = {"input_size": 42, "arch_args": {"depth": 1, "embed_dim": 64, "num_heads": 1}}
TINY_RESNET = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [8, 16, 16, 16], "stem_width": 8}}
XCEPTION = {"input_size": 32}
CASES = {
    "caddm": {**TINY_RESNET, "input_size": 112, "scale_input": True},
    "meso4": {"input_size": 64},
    "mesoinception4": {"input_size": 64},
    "timm:resnet10t": {"input_size": 64, "arch_args": {"channels": (8, 8, 16, 16)}},
    "sbi": {"backbone": "timm:resnet10t", "backbone_args": {"channels": [8, 8, 16, 16]}, "input_size": 64},
    "effort": TINY_VIT,
    "clip-probe": TINY_VIT,
    "core": XCEPTION,
    "spsl": XCEPTION,
    "f3net": XCEPTION,
    "recce": {**XCEPTION, "variant": "deepfakebench"},
}
BOUND = {
    "core": {**XCEPTION, "variant": "deepfakebench"},
    "recce": XCEPTION,
    "ucf": XCEPTION | {"input_size": 64},
    "pgfdd": {**TINY_RESNET, "input_size": 64, "width": 16},
    "dag-fdd": TINY_RESNET,
    "daw-fdd": TINY_RESNET,
    "gend": TINY_VIT,
    "forensics-adapter": {"input_size": 64, "sizes": {"layers": 8, "width": 64}},
}


def made(name: str):
    """Make a detector without random draws in training, whose batch norms use their running statistics."""
    torch.manual_seed(0)
    detector = create(name, backend="torch", **CASES[name])
    if hasattr(detector, "materialise"):
        detector.materialise()
    for module in detector.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval().train = lambda mode=True, module=module: module
    return detector


def examples(name: str, rows: int) -> dict[str, np.ndarray]:
    """Make a batch whose real faces and anchors are in the last rows, so that pieces average over different counts."""
    rng, size = np.random.default_rng(0), CASES[name]["input_size"]
    views = (2,) if name in ("core", "sbi") else ()
    label = (np.arange(rows) < rows - 2).astype(np.int64)
    whole = np.array([[0, 0, 1, 1]], np.float32)
    loc, conf = zip(*(assign(whole[: 1 - fake]) for fake in label), strict=True)
    return {
        "image": rng.integers(0, 256, (rows, *views, size, size, 3), dtype=np.uint8),
        "label": np.stack([label * 0, label * 0 + 1], 1) if name == "sbi" else label,
        "loc_targets": np.stack(loc),
        "conf_targets": np.stack(conf),
    }


def settings(**others) -> TrainSettings:
    return TrainSettings(**{"batch_size": 5, "threads": 1, "lr": 1e-2, "optimizer": "sgd", **others})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if o.get("input_size") == 32 else []) for n, o in CASES.items()]
)
def test_gradients_of_pieces_add_up_to_the_batchs(name):
    batch = examples(name, 5)
    losses, whole = made(name).training(settings(), 1, 1).gradients(batch)
    found, pieces = made(name).training(settings(micro_batch=2), 1, 1).gradients(batch)
    assert found == pytest.approx(losses, rel=1e-5)
    assert pieces.keys() == whole.keys()
    largest = max(np.linalg.norm(g) for g in whole.values())
    for key, g in whole.items():
        assert np.linalg.norm(pieces[key] - g) < 1e-5 * max(np.linalg.norm(g), 1e-2 * largest), key


@pytest.mark.parametrize("sharpness", ["none", "sam"])
def test_a_training_in_pieces_reaches_the_same_weights(sharpness):
    batch, weights, losses = examples("meso4", 5), [], []
    for most in (None, 2):
        detector = made("meso4")
        session = detector.training(settings(micro_batch=most, sharpness=sharpness), 4, 4)
        losses.append([session.step(batch)["loss"] for _ in range(4)])
        weights.append(detector.state())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0][-1] < losses[0][0] - 1e-3
    for key, value in weights[0].items():
        np.testing.assert_allclose(weights[1][key], value, atol=1e-5, err_msg=key)


def test_pieces_are_as_equal_as_possible_and_share_out_the_batchs_counts():
    tensors = {"x": torch.arange(7), "y": torch.arange(14).reshape(7, 2)}
    pieces = list(cut_batch(tensors, 3, lambda batch: {"things": batch["x"].sum(), "none": batch["x"].sum() * 0}))
    assert [p.tensors["x"].tolist() for p in pieces] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [p.share for p in pieces] == [3 / 7, 2 / 7, 2 / 7]
    assert pieces[1].tensors["y"].tolist() == [[6, 7], [8, 9]]
    assert {float(p.tensors["things"]) for p in pieces} == {3.0}
    assert float(pieces[0].tensors["none"]) == pytest.approx(1 / 7), "what there is none of is divided by nothing else"
    (whole,) = cut_batch(tensors, 7, lambda _: {})
    assert whole.tensors is tensors
    assert whole.share == 1


@pytest.mark.parametrize("name", BOUND)
def test_losses_that_need_the_whole_batch_refuse_pieces(name):
    with torch.device("cpu" if name in ("gend", "forensics-adapter") else "meta"):  # These two are empty.
        detector = create(name, backend="torch", **BOUND[name])
    with pytest.raises(BenchError, match=rf"^{name} can't use train\.micro_batch: its .*batch.*\. Leave it out$"):
        check_pieces(detector, name, "train.micro_batch")
    if name == "pgfdd":
        with pytest.raises(BenchError, match="Pgfdd can't use"):
            detector.training(settings(micro_batch=2, balance=True, batch_size=4), 1, 1)


def test_a_detector_that_does_not_declare_pieces_refuses_them():
    with pytest.raises(BenchError, match=r"^mine has no train\.micro_batch, which is for PyTorch detectors"):
        check_pieces(object(), "mine", "train.micro_batch")


def test_reals_have_the_same_weight_in_pieces_as_in_the_batch():
    logits, label = torch.randn(8, 2, generator=torch.manual_seed(0)), torch.tensor([0, 1, 1, 1, 1, 1, 1, 0])
    whole, total = weighted_cross_entropy(logits, label), add_weights(label)
    parts = [weighted_cross_entropy(logits[at], label[at], total) for at in (slice(3), slice(3, 8))]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)
