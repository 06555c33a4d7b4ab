"""RECCE against golden vectors of the released code: components, losses, network and gradients."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from crossfake.detectors.recce import network
from crossfake.detectors.recce.network import GraphReasoning, GuidedAttention
from crossfake.detectors.recce.objective import metric_loss, reconstruction_loss
from golden import (
    FIELD,
    assert_trains_as_released,
    load_filled,
    make_input,
    make_weight,
    read_golden,
    smooth_input,
)

METRIC = json.loads((FIELD / "recce_mlloss.json").read_text())


def fill_module(module, gain, start):
    state = {k: torch.tensor(make_weight(start + k, tuple(v.shape), gain)) for k, v in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


@torch.no_grad()
def test_graph_and_attention_are_the_released_ones():
    expected = read_golden("recce_parts")
    shapes = {"a": (2, 6, 3, 3), "b": (2, 5, 6, 6), "c": (2, 3, 12, 12), "x": (2, 3, 17, 17), "p": (2, 3, 17, 17)}
    given = {k: torch.tensor(make_input(s, f"rparts/{k}")) for k, s in (shapes | {"e": (2, 5, 4, 4)}).items()}
    graph = fill_module(GraphReasoning((6, 4), (5, 4), (3, 4), (2, 4)), 3.0, "graph.")
    np.testing.assert_allclose(graph(given["a"], given["b"], given["c"]), expected["graph_out"], atol=2e-5)
    attention = fill_module(GuidedAttention(5), 2.0, "att.")
    np.testing.assert_allclose(attention(given["x"], given["p"], given["e"])[0], expected["att_out"], atol=2e-5)


@pytest.mark.parametrize("i", range(len(METRIC)))
def test_the_metric_loss_is_the_released_one(i):
    label = torch.tensor(METRIC[i]["labels"])
    drawn = [torch.tensor(make_input((len(label),) * 2, f"mll{i}/{j}", 0, 1)) for j in range(3)]
    found = metric_loss([(m + m.T) / 2 for m in drawn], label)
    assert found.item() == pytest.approx(METRIC[i]["loss"], abs=1e-6)


def test_the_reconstruction_loss_counts_only_reals():
    x, drawn = torch.zeros(3, 3, 4, 4), torch.stack([torch.full((3, 4, 4), v) for v in (0.5, 9.0, 0.1)])
    assert reconstruction_loss(drawn, x, torch.tensor([0, 1, 0])).item() == pytest.approx(0.3)
    assert reconstruction_loss(drawn, x, torch.ones(3)).item() == 0


def test_the_network_and_its_losses_are_the_released_ones():
    expected, x = read_golden("recce"), smooth_input((4, 3, 64, 64), "recce")
    detector = load_filled(create("recce", input_size=64), 1.0)
    out = detector.outputs(x)
    for name in ("logits", "corr_embedding", "corr_d2", "corr_d4", "gate"):
        np.testing.assert_allclose(out[name], expected[name], atol=2e-5, err_msg=name)
    for name in ("reason", "att"):
        np.testing.assert_allclose(out[name][:, :8], expected[f"{name}_slice"], atol=2e-5, err_msg=name)
    np.testing.assert_allclose(out["recons"][:, :, ::8, ::8], expected["recons_slice"], atol=2e-5)
    detector.network.eval()
    with torch.no_grad():
        losses = detector.losses({"image": torch.tensor(x), "label": torch.tensor([0, 0, 1, 1])})
    found = [losses[k].item() for k in ("bce", "flooded", "rec", "ml", "loss")]
    np.testing.assert_allclose(found, expected["losses_bce_flood_rec_con_total"], atol=1e-5)


@pytest.mark.slow
def test_gradients_are_the_released_ones(monkeypatch):
    monkeypatch.setattr(network, "NOISE", 0.0)
    detector = load_filled(create("recce", input_size=64), 1.0)
    batch = {"image": smooth_input((4, 3, 64, 64), "recce"), "label": [0, 0, 1, 1]}
    assert_trains_as_released(detector, batch, "recce", float(read_golden("recce")["train_losses"][-1]))


def test_names_and_variants():
    with torch.device("meta"):
        paper, bench = create("recce"), create("recce", variant="deepfakebench")
    names = paper.to_reference(paper.names())
    assert len(names) == 362 - 2  # Without the encoder's classifier, which isn't used.
    assert {f"model.{k}" for k in names} == set(bench.to_reference(bench.names()))
    assert all(bench.is_unused(k) for k in ("backbone.conv1.weight", "model.encoder.fc.weight"))
    with pytest.raises(BenchError, match="another architecture"):
        paper.load({"fc.weight": np.zeros((2, 2048), np.float32), "fc.bias": np.zeros(2, np.float32)})
