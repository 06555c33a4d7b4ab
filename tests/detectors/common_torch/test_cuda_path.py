"""CUDA-only parts of training, tested without a GPU through their calls to torch and unchanged results."""

from __future__ import annotations

import io
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create
from crossfake.detectors.common_torch import training as training_module
from crossfake.detectors.common_torch.cuda_settings import choose_cuda_settings
from crossfake.detectors.common_torch.folding import choose_training_layout
from crossfake.detectors.common_torch.transfers import Feed, fetch_later

SMALL = {"input_size": 32, "arch_args": {"channels": (4, 4, 8, 8)}}
CUDA = torch.device("cuda")


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    return {"image": images, "label": np.arange(6) % 2}


def start(steps: int = 3, **settings):
    torch.manual_seed(0)
    detector = create("timm:resnet10t", **SMALL)
    return detector, detector.training(TrainSettings(batch_size=6, lr=0.01, **settings), steps, steps)


@pytest.fixture
def asked(monkeypatch):
    """Replace CUDA's streams and copies, and record the calls."""
    asked: list[str] = []
    at = ["computing"]

    @contextmanager
    def work_on(stream):
        at[0] = stream.name
        yield
        at[0] = "computing"

    def note(what):
        return lambda tensor, *given, **options: asked.append(f"{what} on {at[0]} {options or ''}".strip()) or tensor

    def make_stream(name):
        return SimpleNamespace(name=name, wait_stream=lambda other: asked.append(f"{name} waits for {other.name}"))

    def make_event():
        return SimpleNamespace(record=lambda s: asked.append("event"), synchronize=lambda: asked.append("waited"))

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: make_stream("copying"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: make_stream("computing"))
    monkeypatch.setattr(torch.cuda, "stream", work_on)
    monkeypatch.setattr(torch.cuda, "Event", make_event)
    monkeypatch.setattr(torch.Tensor, "pin_memory", note("pin"))
    monkeypatch.setattr(torch.Tensor, "to", note("copy"))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: asked.append(f"kept for {stream.name}"))
    return asked


def test_a_batch_is_pinned_and_copied_on_a_separate_stream(asked):
    sent = Feed(CUDA).send({"image": np.arange(6)})
    assert sent["image"].tolist() == list(range(6))
    assert asked == [
        "pin on copying",
        "copy on copying {'non_blocking': True}",
        "computing waits for copying",
        "kept for computing",
    ]


def test_losses_are_fetched_at_once_and_waited_for_later(asked):
    values = SimpleNamespace(device=CUDA, to=lambda *_, **options: asked.append(str(options)) or torch.ones(2))
    read = fetch_later(values)
    assert asked == ["{'non_blocking': True}", "event"]
    assert read() == [1.0, 1.0]
    assert asked[-1] == "waited"


def test_nothing_is_copied_on_the_cpu(batch):
    sent = Feed(torch.device("cpu")).send(batch)
    assert all(np.shares_memory(sent[name].numpy(), batch[name]) for name in batch)
    assert fetch_later(torch.ones(2))() == [1.0, 1.0]


def test_steps_that_are_read_late_are_the_same(batch):
    (one, prompt), (other, late) = start(), start()
    expected = [prompt.step(batch) for _ in range(3)]
    assert [read() for read in [late.launch(batch) for _ in range(3)]] == expected
    assert all(np.array_equal(value, other.state()[name]) for name, value in one.state().items())


def test_maps_are_channels_last_on_cuda_and_steps_agree_to_rounding(batch, monkeypatch):
    assert choose_training_layout(CUDA) == torch.channels_last
    assert choose_training_layout(torch.device("cpu")) == torch.contiguous_format
    expected = start()[1].gradients(batch)
    for module in ("training", "detector"):
        path = f"crossfake.detectors.common_torch.{module}.choose_training_layout"
        monkeypatch.setattr(path, lambda device: torch.channels_last)
    detector, session = start()
    assert session.layout == "channels-last"
    image = detector.inputs(torch.from_numpy(batch["image"]))
    assert image.is_contiguous(memory_format=torch.channels_last)
    losses, gradients = session.gradients(batch)
    assert losses["loss"] == pytest.approx(expected[0]["loss"], rel=1e-5)
    for name, value in gradients.items():
        error = np.linalg.norm(value - expected[1][name])
        assert error <= 0.02 * np.linalg.norm(expected[1][name]) + 1e-6, name  # As in docs/caddm.md.


def test_optimizers_are_fused_only_on_cuda(monkeypatch):
    asked = {}
    for name in ("SGD", "Adam", "AdamW"):
        monkeypatch.setattr(torch.optim, name, lambda *_, name=name, **options: asked.update({name: options["fused"]}))
    for kind, fused in (("cuda", True), ("cpu", None)):
        for optimizer in ("sgd", "adam", "adamw"):
            detector = SimpleNamespace(device=torch.device(kind), network=torch.nn.Linear(1, 1))
            holder = SimpleNamespace(settings=TrainSettings(optimizer=optimizer), detector=detector)
            training_module.TorchTraining._make_optimizer(holder)
        assert asked == dict.fromkeys(("SGD", "Adam", "AdamW"), fused)


def test_training_resumes_from_a_state_of_another_layout(batch):
    """Fused optimizers go through memory in order, so moments must have the weights' layout."""
    detector, session = start()
    session.step(batch)
    packed = session.state()
    expected = session.step(batch), detector.state()
    again, resumed = start()
    again.network.to(memory_format=torch.channels_last)
    resumed.restore(packed)
    for parameter, moments in resumed.optimizer.state.items():
        for value in moments.values():
            if value.shape == parameter.shape:
                assert value.stride() == parameter.stride()
    assert resumed.step(batch)["loss"] == pytest.approx(expected[0]["loss"], rel=1e-4)
    content = torch.load(io.BytesIO(packed), weights_only=True)
    assert content["done"] == 1


def test_cuda_settings_are_restored(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    parts = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [part.allow_tf32 for part in parts], torch.backends.cudnn.benchmark
    with choose_cuda_settings(tf32=True, benchmark=True):
        assert [part.allow_tf32 for part in parts] == [True, True]
        assert torch.backends.cudnn.benchmark
    assert ([part.allow_tf32 for part in parts], torch.backends.cudnn.benchmark) == before


def test_losses_are_compiled_on_request_under_another_key(batch, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled.append(options) or function)
    expected = start()[1].step(batch)
    assert not compiled
    assert start(compile=True)[1].step(batch) == expected
    assert compiled == [{"dynamic": False}]
    usual = TrainSettings().key_content()
    assert TrainSettings(compile=True).key_content() == usual | {"compile": True}


@pytest.mark.slow  # torch's compiler takes a minute of CPU time.
def test_compiled_steps_are_the_same_to_rounding(batch):
    expected = [start()[1].step(batch)["loss"] for _ in range(1)]
    assert start(compile=True)[1].step(batch)["loss"] == pytest.approx(expected[0], rel=1e-4)
