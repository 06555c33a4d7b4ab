from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.core.contracts import Trainable
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import TrainSettings, load_settings
from crossfake.benchmark.core.types import TrainSample
from crossfake.detectors.caddm.detector import Caddm
from crossfake.detectors.caddm.sampler import REFERENCE
from torch.nn import functional as F

SMALL = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [16, 32, 64, 128]}, "input_size": 112}


def filled(backbone, gain, weight):
    """Build with the golden weights; skipping the random initialisation saves time for a network this large."""
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


def test_resnet34_matches_the_released_code(resnet34, golden, make_input, assert_golden):
    expected = golden("model_resnet34.npz")
    assert_golden(resnet34, expected, 2e-5)
    assert resnet34.parameters_count() > 4e7
    pixels = np.floor(make_input((2, 3, 224, 224), "input255", 0, 256))
    np.testing.assert_allclose(resnet34.outputs(pixels)["logits"], expected["logits_input255"], atol=1e-4)
    rgb = pixels.transpose(0, 2, 3, 1)[..., ::-1].astype(np.uint8)
    np.testing.assert_allclose(resnet34.score(rgb), expected["softmax_input255"][:, 1], atol=1e-5)


@pytest.mark.slow
def test_efficientnet_b3_matches_the_released_code(golden, weight, assert_golden):
    detector = filled("efficientnet-b3", 1.4, weight)
    assert_golden(detector, golden("model_efficientnet-b3.npz"), 2e-5)
    assert detector.parameters_count() > 4e7


@pytest.mark.slow
def test_efficientnet_b4_gives_the_recorded_outputs(make_input, weight):
    """There are no vectors of the released code for it: these logits are our own, and detect changes."""
    logits = filled("efficientnet-b4", 1.4, weight).outputs(make_input((2, 3, 224, 224)))["logits"]
    np.testing.assert_allclose(logits, [[-0.884710, 0.438711], [-0.859584, 0.427281]], atol=2e-5)


def test_loads_the_released_pickle_and_refuses_others(resnet34, tmp_path):
    state = {k: torch.from_numpy(v) for k, v in resnet34.state().items()}
    moments = {"param_groups": [{"lr": 1e-4, "params": [0]}], "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}}
    torch.save({"network": state, "opt_state": moments, "epoch": 7}, tmp_path / "resnet34.pkl")
    fresh = Caddm(backbone="resnet34").load(tmp_path / "resnet34.pkl")
    assert all(np.array_equal(a, b) for a, b in zip(fresh.state().values(), resnet34.state().values(), strict=True))
    with pytest.raises(BenchError, match=r"another architecture.*Check --detector"):
        Caddm(**SMALL).load(tmp_path / "resnet34.pkl")


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("cut", r"\(20000 bytes\) can't be read as a checkpoint: its end is missing or damaged"),
        (b"", r"\(0 bytes\) can't be read as a checkpoint: it is empty"),
        (b"<html>Quota exceeded</html>", r"it begins with b'<html>Quota exce', unlike any file from torch.save"),
        (pickle.dumps({"network": Evil()}, 2), r"it holds (builtins\.)?print, which is neither a tensor nor"),
        ("renamed", r"1 keys missing \(first: fc.bias\); 1 keys not known \(first: fc.bios\)"),
        ("reshaped", r"1 of another shape \(first: fc.weight, \(3, 64\) instead of \(2, 64\)\)"),
    ],
)
def test_a_wrong_file_is_a_one_line_error(small, tmp_path, content, told, capsys):
    path, state = tmp_path / "wrong.pkl", {k: torch.from_numpy(v) for k, v in small.state().items()}
    if content == "renamed":
        state["fc.bios"] = state.pop("fc.bias")
    if content == "reshaped":
        state["fc.weight"] = torch.zeros(3, 64)
    torch.save({"network": state, "opt_state": {}, "epoch": 1}, path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:20000])
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(BenchError, match=told) as raised:
        small.load(path)
    assert "\n" not in str(raised.value)
    assert "run" not in capsys.readouterr().out


def test_efficientnet_names_convert_both_ways():
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
    assert isinstance(small, Trainable)


def test_loss_is_the_sum_of_its_parts(small, batch):
    small.network.eval()
    losses = small.losses(batch)
    expected = losses["loss_cls"] + 0.1 * (losses["loss_loc"] + losses["loss_conf"])
    torch.testing.assert_close(losses["loss"], expected)
    small.detection_weight = 0
    torch.testing.assert_close(small.losses(batch)["loss"], losses["loss_cls"])
    logits = small.forward(small.normalise(batch["image"]))["logits"]
    torch.testing.assert_close(losses["loss_cls"], F.cross_entropy(logits, batch["label"]))
    normalised = small.losses({**batch, "image": small.normalise(batch["image"])})
    torch.testing.assert_close(normalised["loss"], losses["loss_cls"])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_lowers_the_loss(small, batch, precision):
    settings = TrainSettings(lr=1e-3, clip_value=2, weight_decay=4e-3, precision=precision)
    session = small.training(settings, 8, 8)
    losses = [session.step({k: v.numpy() for k, v in batch.items()}) for _ in range(8)]
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert set(losses[0]) == {"loss", "loss_cls", "loss_loc", "loss_conf"}


def test_gradients_are_those_of_the_next_step_and_change_nothing(small, batch):
    arrays = {k: v.numpy() for k, v in batch.items()}
    settings = TrainSettings(optimizer="adamw", lr=1e-3, clip_value=2, weight_decay=4e-3)
    session, before = small.training(settings, 8, 8), small.state()
    losses, gradients = session.gradients(arrays)
    assert all(np.array_equal(v, before[k]) for k, v in small.state().items())
    assert session.step(arrays) == pytest.approx(losses, rel=1e-5)
    assert set(gradients) == {k for k, _ in small.network.named_parameters()}
    # The first step of AdamW: decay by lr x weight decay, then lr x g / (|g| + eps), g being the clipped gradient.
    after = small.state()
    for name, g in gradients.items():
        g = np.clip(g, -2, 2)
        expected = before[name] * (1 - 1e-3 * 4e-3) - 1e-3 * g / (np.abs(g) + 1e-8)
        sure = np.abs(g) > 1e-5
        np.testing.assert_allclose(after[name][sure], expected[sure], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "precision", [pytest.param("float32", marks=pytest.mark.slow), pytest.param("bf16", marks=pytest.mark.slow), "auto"]
)
def test_a_resumed_session_continues_as_if_unbroken(small, batch, precision):
    arrays = {k: v.numpy() for k, v in batch.items()}
    settings = TrainSettings(optimizer="adamw", lr=1e-3, precision=precision, threads=1)
    session = small.training(settings, 8, 8)
    session.step(arrays)
    packed = session.state()
    expected = [session.step(arrays) for _ in range(2)]
    other = Caddm(**SMALL, scale_input=True).training(settings, 8, 8)
    other.restore(packed)
    assert [other.step(arrays) for _ in range(2)] == expected
    weights = zip(other.detector.state().values(), small.state().values(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_auto_uses_bf16_where_the_cpu_has_it(small, monkeypatch):
    for has, taken in (({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32"), ({}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has, raising=False)
        assert small.training(TrainSettings(precision="auto"), 1, 1).precision == taken
    assert small.training(TrainSettings(), 1, 1).precision == "fp32"
    assert load_settings("caddm", demo=False).train.precision == "auto"
    assert load_settings("caddm", demo=True).train.precision == "fp32"  # The demo has the same numbers everywhere.


def test_reference_policy_and_size_reach_the_sampler():
    sampler = Caddm(**SMALL, recipe="reference").sampler()
    assert sampler.policy == REFERENCE
    assert sampler.size == 112
    with pytest.raises(BenchError, match="Did you mean 'paper'"):
        Caddm(**SMALL, recipe="papr")
    assert Caddm(**SMALL, recipe_args={"partial": 0.5}).sampler().policy.partial == 0.5
    with pytest.raises(BenchError, match=r"no recipe_args 'partail'\. Did you mean 'partial'"):
        Caddm(**SMALL, recipe_args={"partail": 0.5})


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
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(BenchError, match=r"no weights resnet34\.tv_in1k, .*BENCH_OFFLINE is set.*pretrained=false"):
        Caddm(backbone="resnet34", pretrained=True)


def test_registered_with_its_recipe():
    entry = detectors.find("caddm", "torch")
    assert entry.card["year"] == 2023
    assert load_settings("caddm", demo=False).options["backbone"] == "efficientnet-b4"
