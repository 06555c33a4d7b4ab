from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors.caddm.keys import to_reference_key
from crossfake.detectors.caddm.network import CaddmNet
from crossfake.detectors.caddm.objective import hard_negatives, multibox_loss

# Entries, parameters, and the start of the SHA-256 of "key shape" lines in the order of the released state dict.
RELEASED = {
    "resnet34": (299, 44_003_162, "915d95f5ffd7dc0a"),
    "efficientnet-b3": (655, 210_970_178, "e0a9a91b83c0a09d"),
    "efficientnet-b4": (787, 289_736_546, "5683043a8e32c9b4"),
}


@pytest.mark.parametrize("backbone", RELEASED)
def test_names_and_shapes_are_the_released_ones(backbone):
    with torch.device("meta"):
        network = CaddmNet(backbone, 224)
    entries, parameters, digest = RELEASED[backbone]
    state = network.state_dict()
    names = {k: to_reference_key(backbone, k) for k in state}
    lines = [f"{names[k]} {'x'.join(map(str, v.shape))}" for k, v in state.items()]
    assert len(set(names.values())) == entries
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize(("backbone", "rate"), [("efficientnet-b3", 0.3), ("efficientnet-b4", 0.4)])
def test_training_details_of_the_efficientnets(backbone, rate):
    with torch.device("meta"):
        network = CaddmNet(backbone, 224)
    norms = [m for m in network.base_model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}
    assert {(m.eps, m.momentum) for m in network.adm.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {(1e-5, 0.1)}
    assert network.dropout.p == rate
    drops = [
        m.drop_path.drop_prob for stage in network.base_model.blocks for m in stage if hasattr(m.drop_path, "drop_prob")
    ]
    count = sum(len(stage) for stage in network.base_model.blocks)
    assert max(drops) == pytest.approx(0.2 * (count - 1) / count)


def test_efficientnet_b3s_map_matches_the_released_code(golden, make_input, weight):
    """The backbone alone has 6 % of the weights; the whole network is in a slow test of the detector."""
    with torch.device("meta"):
        network = CaddmNet("efficientnet-b3", 224)
    backbone = network.base_model.to_empty(device="cpu").eval()
    ours = {f"base_model.{k}": v for k, v in backbone.state_dict().items()}
    for key in ours:
        theirs = to_reference_key("efficientnet-b3", key)
        ours[key].copy_(torch.from_numpy(np.asarray(weight(theirs, tuple(ours[key].shape), 1.4))))
    with torch.no_grad():
        features = backbone.forward_features(torch.from_numpy(make_input((2, 3, 224, 224))))
    expected = golden("model_efficientnet-b3.npz")
    np.testing.assert_allclose(features[:, :8], expected["feat_slice"], atol=2e-5)
    np.testing.assert_allclose(features.sum((1, 2, 3)), expected["feat_stats"][:, 0], rtol=1e-5)


def test_losses_match_the_released_code(golden):
    v = golden("detection.npz")
    loc, conf = (torch.from_numpy(v[k]).requires_grad_() for k in ("mbl_loc", "mbl_conf"))
    loc_targets, conf_targets = torch.from_numpy(v["mbl_loc_t"]), torch.from_numpy(v["mbl_conf_t"])
    loss_loc, loss_conf = multibox_loss(loc, conf, loc_targets, conf_targets)
    (0.1 * (loss_loc + loss_conf)).backward()
    assert loss_loc.item() == pytest.approx(float(v["mbl_loss_l"]), abs=1e-6)
    assert loss_conf.item() == pytest.approx(float(v["mbl_loss_c"]), abs=1e-6)
    np.testing.assert_allclose(conf.grad.numpy(), v["mbl_grad_conf"], atol=1e-7)
    assert loc.grad.abs().sum().item() == pytest.approx(float(v["mbl_grad_loc_sum"]), abs=1e-6)
    np.testing.assert_array_equal(hard_negatives(conf, conf_targets).numpy(), v["mbl_selected_neg"])


def test_a_batch_of_only_real_faces_has_no_detection_loss():
    loc, conf = torch.randn(2, 168, 4, requires_grad=True), torch.randn(2, 168, 2, requires_grad=True)
    losses = multibox_loss(loc, conf, torch.zeros(2, 168, 4), torch.zeros(2, 168, dtype=torch.long))
    assert [x.item() for x in losses] == [0, 0]
    sum(losses).backward()
    assert not loc.grad.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet43"}, "Did you mean 'resnet34'"),
        ({"backbone": "timm:resnet81"}, "has no model 'resnet81'"),
        ({"backbone": "timm:test_resnet", "input_size": 160}, "no 7x7 map at input_size 160.*Set input_size to"),
        (
            {"backbone": "timm:test_resnet", "input_size": 112, "stage": 1},
            "28x28 map at input_size 112; the ADM needs 7x7",
        ),
        ({"backbone": "timm:test_resnet", "input_size": 112, "stage": 9}, "can't be built"),
        ({"backbone": "timm:test_resnet", "input_size": 112, "backbone_args": {"chanels": [8]}}, "Check backbone_args"),
        ({"backbone": "resnet34", "stage": 3}, "has neither"),
    ],
)
def test_impossible_networks_are_a_one_line_error(arguments, message):
    with pytest.raises(BenchError, match=message) as raised:
        CaddmNet(**{"input_size": 224, **arguments})
    assert "\n" not in str(raised.value)


def test_small_backbone_stops_at_its_tap():
    network = CaddmNet("timm:resnet10t", 112, backbone_args={"channels": [16, 32, 64, 128]})
    assert network.fc.in_features == 64
    assert not any("layer4" in k for k in network.state_dict())
    shapes = {k: tuple(v.shape) for k, v in network(torch.zeros(2, 3, 112, 112)).items()}
    assert shapes == {
        "logits": (2, 2),
        "loc": (2, 168, 4),
        "conf": (2, 168, 2),
        "features": (2, 64, 7, 7),
        "global_features": (2, 64),
        "adm_features": (2, 64),
    }
