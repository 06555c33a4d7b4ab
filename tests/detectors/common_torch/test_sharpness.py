"""Sharpness-aware minimisation against golden steps, and a resumed session against an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors.common_torch.detector import TorchDetector
from torch import nn
from torch.nn import functional as F

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "fairness" / "sam.json").read_text())


class Tiny(TorchDetector):
    """Two linear layers, optionally with a batch norm between them; it records the weights of each pass."""

    def __init__(self, normed: bool, dropout: float = 0.0):
        super().__init__()
        middle = [nn.BatchNorm1d(4)] if normed else []
        self.network = nn.Sequential(nn.Linear(3, 4), *middle, nn.ReLU(), nn.Linear(4, 2), nn.Dropout(dropout))
        self.passes = []

    def losses(self, batch):
        loss = F.cross_entropy(self.network(batch["x"]), batch["y"])
        self.passes.append((loss.item(), self.state()))
        return {"loss": loss}


BATCH = {"x": np.array(GOLDEN["data"]["X"], np.float32), "y": np.array(GOLDEN["data"]["y"])}


def settings(case, **others):
    given = {k: case[k] for k in ("rho", "lr", "momentum", "weight_decay")}
    sharpness = "asam" if case["adaptive"] else "sam"
    return TrainSettings(optimizer="sgd", sharpness=sharpness, lr_steps=[(1, 0.9 * case["lr"])], **given, **others)


def assert_state(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["plain", "bn", "adaptive"])
def test_three_steps_match(name):
    case = GOLDEN[name]
    detector = Tiny(normed=name == "bn").load({k: np.array(v, np.float32) for k, v in case["init"].items()})
    session = detector.training(settings(case), 4, 2)
    for expected in case["steps"]:
        detector.passes.clear()
        assert session.learning_rate() == pytest.approx(expected["lr_used"])
        found = session.step(BATCH)
        (first, _), (second, perturbed) = detector.passes
        assert found["loss"] == pytest.approx(first)
        assert [first, second] == pytest.approx([expected["loss_first"], expected["loss_second"]], abs=1e-6)
        assert_state(perturbed, expected["perturbed_params"])
        assert_state(detector.state(), expected["state_after"])


def test_sharpness_none_is_one_pass():
    detector = Tiny(normed=True)
    detector.training(TrainSettings(optimizer="sgd"), 4, 2).step(BATCH)
    assert len(detector.passes) == 1


def test_a_resumed_session_equals_an_unbroken_one(assert_resumes):
    torch.manual_seed(0)
    start = Tiny(normed=True).state()
    case = settings(GOLDEN["bn"], threads=1)
    assert_resumes(lambda: Tiny(normed=True, dropout=0.3).load(start), case, BATCH, 6, 3, torch.manual_seed)
