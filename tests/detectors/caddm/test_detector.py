from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.config import TrainSettings, load_settings  # noqa: E402
from crossfake.benchmark.errors import BenchError  # noqa: E402
from crossfake.benchmark.registry import detectors  # noqa: E402
from crossfake.benchmark.types import Detector, TrainSample  # noqa: E402
from crossfake.detectors.caddm.detector import Caddm  # noqa: E402
from crossfake.detectors.caddm.sampler import REFERENCE  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SMALL = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [16, 32, 64, 128]}, "input_size": 112}


def assert_outputs(detector, expected, make_input):
    out = detector.outputs(make_input((2, 3, 224, 224)))
    np.testing.assert_allclose(out["features"][:, :8], expected["feat_slice"], atol=2e-5)
    named = {"global_features": "global_feat", "adm_features": "adm_final", "loc": "loc", "conf": "conf"}
    for ours, theirs in {**named, "logits": "logits"}.items():
        np.testing.assert_allclose(out[ours], expected[theirs], atol=2e-5, err_msg=ours)
    assert detector.parameters_count() > 4e7


def filled(backbone, gain, weight):
    """Build with the golden weights; only here is the random start a waste worth avoiding."""
    with torch.device("meta"):
        detector = Caddm(backbone=backbone)
    detector.network.to_empty(device="cpu")
    state = detector.to_reference(detector.network.state_dict())
    return detector.load({k: weight(k, tuple(v.shape), gain) for k, v in state.items()})


@pytest.fixture(scope="module")
def resnet34(weight):
    return filled("resnet34", 0.8, weight)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Caddm(**SMALL, scale_input=True)


@pytest.fixture
def batch(make_face, small):
    samples = [TrainSample(make_face("source"), 0), TrainSample(make_face("fake"), 1, make_face("source"))] * 2
    examples = [small.sampler()(s, np.random.default_rng(i)) for i, s in enumerate(samples)]
    return {k: torch.from_numpy(np.stack([e[k] for e in examples])) for k in examples[0]}


def test_resnet34_matches_the_released_code(resnet34, golden, make_input):
    expected = golden("model_resnet34.npz")
    assert_outputs(resnet34, expected, make_input)
    pixels = np.floor(make_input((2, 3, 224, 224), "input255", 0, 256))
    np.testing.assert_allclose(resnet34.outputs(pixels)["logits"], expected["logits_input255"], atol=1e-4)
    rgb = pixels.transpose(0, 2, 3, 1)[..., ::-1].astype(np.uint8)
    np.testing.assert_allclose(resnet34.score(rgb), expected["softmax_input255"][:, 1], atol=1e-5)


@pytest.mark.slow
def test_efficientnet_b3_matches_the_released_code(golden, make_input, weight):
    assert_outputs(filled("efficientnet-b3", 1.4, weight), golden("model_efficientnet-b3.npz"), make_input)


def test_loads_the_released_pickle_and_refuses_others(resnet34, tmp_path):
    state = {k: torch.from_numpy(v) for k, v in resnet34.state().items()}
    moments = {"param_groups": [{"lr": 1e-4, "params": [0]}], "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}}
    torch.save({"network": state, "opt_state": moments, "epoch": 7}, tmp_path / "resnet34.pkl")
    fresh = Caddm(backbone="resnet34").load(tmp_path / "resnet34.pkl")
    assert all(np.array_equal(a, b) for a, b in zip(fresh.state().values(), resnet34.state().values(), strict=True))
    with pytest.raises(BenchError, match=r"another architecture.*Check --detector"):
        Caddm(**SMALL).load(tmp_path / "resnet34.pkl")


def test_efficientnet_names_go_there_and_back():
    with torch.device("meta"):
        detector = Caddm()
    ours = dict(detector.network.state_dict())
    theirs = detector.to_reference(ours)
    assert "base_model._blocks.31._project_conv.weight" in theirs
    assert list(detector.from_reference(theirs)) == list(ours)


def test_normalise_is_raw_bgr_or_scaled(resnet34, small):
    rgb = torch.arange(2 * 4 * 4 * 3, dtype=torch.uint8).reshape(2, 4, 4, 3)
    raw = resnet34.normalise(rgb)
    assert raw.dtype == torch.float32
    np.testing.assert_array_equal(raw[1, :, 2, 3], rgb[1, 2, 3].flip(0))
    np.testing.assert_allclose(small.normalise(rgb), (raw - 127.5) / 64)


def test_crop_and_score(small, make_face):
    crop = small.crop(make_face("fake"))
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    scores = small.score(np.stack([crop, crop[:, ::-1]]))
    assert scores.shape == (2,)
    assert scores.dtype == np.float32
    assert isinstance(small, Detector)


def test_loss_is_the_sum_of_its_parts(small, batch):
    small.network.eval()
    losses = small.losses(batch)
    expected = losses["loss_cls"] + 0.1 * (losses["loss_loc"] + losses["loss_conf"])
    torch.testing.assert_close(losses["loss"], expected)
    logits = small.forward(small.normalise(batch["image"]))["logits"]
    torch.testing.assert_close(losses["loss_cls"], F.cross_entropy(logits, batch["label"]))
    normalised = small.losses({**batch, "image": small.normalise(batch["image"])})
    torch.testing.assert_close(normalised["loss"], losses["loss"])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_lowers_the_loss(small, batch, precision):
    settings = TrainSettings(lr=1e-3, clip_value=2, weight_decay=4e-3, precision=precision)
    session = small.training(settings, 8, 8)
    losses = [session.step({k: v.numpy() for k, v in batch.items()}) for _ in range(8)]
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert set(losses[0]) == {"loss", "loss_cls", "loss_loc", "loss_conf"}


def test_reference_recipe_and_size_reach_the_sampler():
    sampler = Caddm(**SMALL, recipe="reference").sampler()
    assert sampler.recipe == REFERENCE
    assert sampler.size == 112
    with pytest.raises(BenchError, match="Did you mean 'paper'"):
        Caddm(**SMALL, recipe="papr")


def test_building_downloads_nothing_unless_asked(monkeypatch):
    asked = []

    def create(name, pretrained, **arguments):
        asked.append(pretrained)
        if pretrained:
            raise OSError("no route to host")
        return original(name, pretrained=False, **arguments)

    original = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    Caddm(**SMALL)
    assert not any(asked)
    with pytest.raises(BenchError, match=r"resnet34.tv_in1k can't be built: no route to host.*pretrained: false"):
        Caddm(backbone="resnet34", pretrained=True)


def test_registered_with_its_recipe():
    entry = detectors.find("caddm", "torch")
    assert entry.card["year"] == 2023
    assert load_settings("caddm", demo=False).options["backbone"] == "efficientnet-b4"
