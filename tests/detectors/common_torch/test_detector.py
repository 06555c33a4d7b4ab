"""Checkpoints: saved weights are restored, and another network's weights give a one-line error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crossfake.benchmark.core.checkpoints import read_header, save
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create

SMALL = {"input_size": 32, "arch_args": {"channels": (4, 4, 8, 8)}}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def trained(frames: np.ndarray):
    torch.manual_seed(0)
    detector = create("timm:resnet10t", **SMALL)
    session = detector.training(TrainSettings(batch_size=5, lr=0.01), 3, 3)
    for _ in range(3):
        session.step({"image": frames, "label": np.arange(5) % 2})
    return detector


def test_a_trained_detector_scores_the_same_after_save_and_load(frames, tmp_path):
    detector = trained(frames)
    path = tmp_path / "checkpoint.safetensors"
    save(detector, path, {"detector": "timm:resnet10t"})
    again = create("timm:resnet10t", **SMALL).load(path)
    state = again.state()
    assert all(np.array_equal(state[k], v) for k, v in detector.state().items())
    # Not to the last bit: weights keep the file's layout, and unaligned ones are summed in another order.
    np.testing.assert_allclose(again.score(frames), detector.score(frames), atol=1e-6)
    assert np.ptp(detector.score(frames)) > 0.01


def test_state_is_a_copy_that_further_training_leaves_alone(frames):
    detector = create("timm:resnet10t", **SMALL)
    session = detector.training(TrainSettings(batch_size=5, lr=0.01), 3, 3)
    kept = detector.state()
    before = {k: v.copy() for k, v in kept.items()}
    session.step({"image": frames, "label": np.arange(5) % 2})
    assert all(np.array_equal(kept[k], before[k]) for k in kept)
    assert any(not np.array_equal(v, before[k]) for k, v in detector.state().items())


def test_a_checkpoint_records_what_it_was_made_from(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save(create("meso4", input_size=32), path, {"detector": "meso4"})
    assert read_header(path) == {"detector": "meso4"}


def test_scores_are_probabilities_whatever_the_batch(frames):
    detector = trained(frames)
    whole = detector.score(frames)
    assert whole.dtype == np.float32
    assert ((whole >= 0) & (whole <= 1)).all()
    assert np.concatenate([detector.score(frames[i : i + 1]) for i in range(5)]) == pytest.approx(whole, abs=1e-5)


def test_the_thread_count_applies_only_during_steps(frames, monkeypatch):
    """Otherwise a training without the setting, and measured speeds, would depend on earlier trainings."""
    session = create("meso4", input_size=32).training(TrainSettings(batch_size=5, threads=3), 1, 1)
    during, losses = [], session.detector.losses
    monkeypatch.setattr(session.detector, "losses", lambda b: [during.append(torch.get_num_threads()), losses(b)][1])
    before = torch.get_num_threads()
    session.step({"image": frames, "label": np.arange(5) % 2})
    assert during == [3]
    assert torch.get_num_threads() == before


def test_the_random_state_of_another_device_is_kept_too(monkeypatch):
    """A GPU draws dropout with its own generator; here a stand-in has only that generator's state."""
    session = create("meso4", input_size=32).training(TrainSettings(batch_size=2), 1, 1)
    card = SimpleNamespace(held=torch.tensor([7], dtype=torch.uint8))
    card.get_rng_state = lambda: card.held
    card.set_rng_state = lambda state: setattr(card, "held", state)
    monkeypatch.setattr(torch, "get_device_module", {"cuda": card}.__getitem__)
    session.detector.device = torch.device("cuda")
    packed = session.state()
    card.held, expected = None, torch.rand(3)
    session.restore(packed)
    assert card.held.tolist() == [7]
    assert torch.rand(3).tolist() == expected.tolist()


def test_a_resumed_session_equals_an_unbroken_one(frames, assert_resumes):
    settings = TrainSettings(batch_size=5, lr=0.01, schedule="cosine", optimizer="adamw", threads=1)
    torch.manual_seed(0)
    start = create("timm:resnet10t", **SMALL).state()
    batch = {"image": frames, "label": np.arange(5) % 2}
    assert_resumes(lambda: create("timm:resnet10t", **SMALL).load(start), settings, batch, 6, 2)


def test_learning_rate_follows_warm_up_steps_and_cosine():
    detector = create("meso4", input_size=32)
    session = detector.training(TrainSettings(lr=1.0, lr_steps=[(1, 0.5), (3, 0.1)], warmup_steps=1), 40, 10)
    rates = []
    for session.done in (0, 1, 9, 10, 29, 30):
        rates.append(session.learning_rate())
    assert rates == pytest.approx([0.5, 1, 1, 0.5, 0.5, 0.1])
    cosine = detector.training(TrainSettings(lr=1.0, schedule="cosine"), 40, 10)
    cosine.done = 20
    assert cosine.learning_rate() == pytest.approx(0.5)


def test_the_reference_pickle_layout_loads(frames, tmp_path):
    detector = trained(frames)
    path = tmp_path / "epoch_3.pkl"
    weights = {f"module.{k}": torch.from_numpy(np.array(v)) for k, v in detector.state().items()}
    torch.save({"network": weights, "opt_state": {"state": {}}, "epoch": 3}, path)
    again = create("timm:resnet10t", **SMALL).load(path)
    assert np.array_equal(again.score(frames), detector.score(frames))


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", ".pkl", "(0 bytes) can't be read as a checkpoint: it is empty"),
        (b"", ".safetensors", "(0 bytes) is cut short or no .safetensors file"),
        (b"not a checkpoint at all", ".pkl", "(23 bytes) can't be read as a checkpoint"),
        (b"not a checkpoint at all", ".safetensors", "(23 bytes) is cut short or no .safetensors file"),
    ],
)
def test_files_that_are_not_checkpoints(tmp_path: Path, content: bytes, suffix: str, message: str):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(BenchError) as error:
        create("meso4").load(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_reported(frames, tmp_path):
    path = tmp_path / "cut.safetensors"
    save(create("meso4"), path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BenchError, match="is cut short or damaged"):
        create("meso4").load(path)


def test_another_architecture_is_reported_with_its_first_wrong_key(tmp_path):
    path = tmp_path / "meso.safetensors"
    save(create("meso4"), path, {})
    with pytest.raises(BenchError, match=r"another architecture: .* keys missing \(first: .* keys not known \(first: "):
        create("timm:resnet10t", **SMALL).load(path)
    with pytest.raises(BenchError, match=r"1 of another shape \(first: fc1.weight, \(16, 1024\) instead of \(16, 16\)"):
        create("meso4", input_size=32).load(path)


def test_wrong_options_and_backends():
    with pytest.raises(BenchError, match=r"meso4 has no option 'input_sise'\. Did you mean 'input_size'\?"):
        create("meso4", input_sise=3)
    with pytest.raises(BenchError, match="'timm:resnet10t' has no backend 'jax'; it has: torch"):
        create("timm:resnet10t", backend="jax")
