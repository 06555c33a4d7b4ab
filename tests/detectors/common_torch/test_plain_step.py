"""A training step against a simple one written here: contiguous NCHW, torch's optimizer, no session code."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create
from crossfake.detectors.caddm.targets import assign
from torch.nn import functional as F

BACKBONE = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [8, 16, 16, 16], "stem_width": 8}}
CASES = {
    "caddm": {**BACKBONE, "input_size": 112},
    "meso4": {"input_size": 64},
    "timm:resnet10t": {"input_size": 64, "arch_args": {"channels": (8, 8, 16, 16)}},
    "pgfdd": {**BACKBONE, "input_size": 64, "width": 16},
    "pgfdd_fixed": {**BACKBONE, "input_size": 64, "width": 16},
}
SETTINGS = TrainSettings(optimizer="adamw", lr=3.6e-4, weight_decay=4e-3, clip_value=0.02, batch_size=8, threads=1)
PIECE = (40 / 224, 88 / 224, 120 / 224, 128 / 224)
WHOLE = (0, 0, 1, 1)


def made(name: str):
    """Make a detector without random draws in training, whose weights keep their memory layout."""
    torch.manual_seed(0)
    detector = create(name, backend="torch", **CASES[name])
    for module in detector.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return detector.freeze_noise() if hasattr(detector, "freeze_noise") else detector


def examples(size: int, n: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    boxes = [[]] * (n // 2) + [[WHOLE], [WHOLE, PIECE]] * (n // 4)
    loc, conf = zip(*(assign(np.array(b, np.float32)) for b in boxes), strict=True)
    return {
        "image": rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8),
        "label": np.arange(n) * 2 // n,
        "loc_targets": np.stack(loc),
        "conf_targets": np.stack(conf),
        "label_spe": np.arange(n) * 2 // n * rng.integers(1, 6, n),
        "intersec_label": np.arange(n) % 8,
    }


def loss_of_caddm(network, batch) -> dict:
    """Cross entropy and MultiBox loss, image by image, on BGR of 0..255."""
    image = np.ascontiguousarray(batch["image"][..., ::-1].transpose(0, 3, 1, 2), np.float32)
    out = network(torch.from_numpy(image))
    loc_targets, conf_targets = torch.from_numpy(batch["loc_targets"]), torch.from_numpy(batch["conf_targets"])
    loc, conf, count = 0, 0, (conf_targets > 0).sum()
    for i, target in enumerate(conf_targets):
        positive = target > 0
        loss = -out["conf"][i].log_softmax(-1).gather(-1, target[:, None])[:, 0]
        hardest = loss.detach().masked_fill(positive, 0).argsort(descending=True, stable=True)
        chosen = [*positive.nonzero()[:, 0], *hardest[: min(2 * positive.sum(), 167)]]
        conf = conf + sum(loss[k] for k in chosen)
        away = (out["loc"][i] - loc_targets[i])[positive].abs()
        loc = loc + torch.where(away < 1, 0.5 * away**2, away - 0.5).sum()
    cls = F.cross_entropy(out["logits"], torch.from_numpy(batch["label"]))
    parts = {"loss_cls": cls, "loss_loc": loc / count, "loss_conf": conf / count}
    return {"loss": cls + 0.1 * (parts["loss_loc"] + parts["loss_conf"]), **parts}


def loss_of_classifier(network, batch) -> dict:
    image = torch.from_numpy(np.ascontiguousarray(batch["image"].transpose(0, 3, 1, 2), np.float32))
    return {"loss": F.cross_entropy(network((image - 127.5) / 127.5), torch.from_numpy(batch["label"]))}


@pytest.mark.parametrize("name", ["caddm", "meso4", "timm:resnet10t"])
def test_a_step_is_the_plain_one(name):
    detector, batch = made(name), examples(CASES[name]["input_size"])
    plain = deepcopy(detector.network).train()
    losses = (loss_of_caddm if name == "caddm" else loss_of_classifier)(plain, batch)
    losses["loss"].backward()
    norms = {k: p.grad.norm().item() for k, p in plain.named_parameters()}
    # AdamW's first step is the rate times the gradient's sign, which rounding decides where the gradient should be 0.
    clear = {k: p.grad.abs().numpy() > 1e-4 * max(norms.values()) for k, p in plain.named_parameters()}
    for p in plain.parameters():
        p.grad.clamp_(-SETTINGS.clip_value, SETTINGS.clip_value)
    torch.optim.AdamW(plain.parameters(), SETTINGS.lr, weight_decay=SETTINGS.weight_decay).step()

    session = detector.training(SETTINGS, 1, 1)
    assert session.step(batch) == pytest.approx({k: v.item() for k, v in losses.items()}, rel=1e-6)
    _, gradients = made(name).training(SETTINGS, 1, 1).gradients(batch)
    found = {k: float(np.linalg.norm(v)) for k, v in gradients.items()}
    assert found == pytest.approx(norms, rel=1e-4, abs=1e-4 * max(norms.values()))
    for key, value in plain.state_dict().items():
        at = clear.get(key, ...)
        np.testing.assert_allclose(
            detector.network.state_dict()[key].numpy()[at], value.numpy()[at], 1e-5, 1e-6, err_msg=key
        )
    assert sum(c.sum() for c in clear.values()) > 0.3 * sum(c.size for c in clear.values())


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_double_precision(name):
    """In channels-last, single-precision sums of batch norms would be wrong by up to one percent."""
    batch = examples(CASES[name]["input_size"])
    settings = SETTINGS.model_copy(update={"balance": True})
    losses, single = made(name).training(settings, 1, 1).gradients(batch)
    detector = made(name)
    detector.network.double()
    detector.normalise = lambda frames: type(detector).normalise(detector, frames).double()
    expected, double = detector.training(settings, 1, 1).gradients(batch)
    assert losses == pytest.approx(expected, rel=1e-5)
    largest = max(np.linalg.norm(g) for g in double.values())
    for key, g in double.items():  # Gradients of biases before a batch norm are only rounding errors.
        assert np.linalg.norm(single[key] - g) < 3e-4 * max(np.linalg.norm(g), 1e-3 * largest), key


@pytest.mark.parametrize("name", CASES)
def test_no_network_is_left_channels_last(name, tmp_path):
    """Neither training nor loading a checkpoint with such weights changes that, as a plain step would be slower."""
    detector = made(name)
    detector.network.to(memory_format=torch.channels_last)
    weights = {k: v.clone() for k, v in detector.to_reference(detector.network.state_dict()).items()}
    assert not all(v.is_contiguous() for v in weights.values())
    torch.save(weights, tmp_path / "weights.pkl")
    for other in (made(name).load(tmp_path / "weights.pkl"), made(name).load(weights)):
        assert all(p.is_contiguous() for p in other.network.parameters())
    session = detector.training(SETTINGS.model_copy(update={"balance": True}), 1, 1)
    session.step(examples(CASES[name]["input_size"]))
    assert all(p.is_contiguous() for p in detector.network.parameters())
    frames = examples(CASES[name]["input_size"])["image"]
    detector.score(frames)
    assert all(p.is_contiguous() for p in detector.network.parameters())


@pytest.mark.parametrize("name", ["caddm", "meso4", pytest.param("pgfdd", marks=pytest.mark.slow)])
def test_scores_do_not_depend_on_the_layout(name):
    """Frames are scored in channels-last, which is faster; batch norms don't sum in evaluation."""
    detector = made(name)
    session = detector.training(SETTINGS.model_copy(update={"balance": True}), 4, 4)
    batch = examples(CASES[name]["input_size"])
    for _ in range(4):
        session.step(batch)
    x = detector.normalise(torch.from_numpy(batch["image"])).numpy()
    logits = detector.outputs(np.ascontiguousarray(x))["logits"]
    np.testing.assert_allclose(detector.outputs_of(batch["image"])["logits"], logits, atol=2e-5)
    np.testing.assert_allclose(detector.score(batch["image"]), np.exp(logits[:, 1]) / np.exp(logits).sum(1), atol=2e-5)
