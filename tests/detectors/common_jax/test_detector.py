"""The JAX base class: checkpoints for both backends, steps as in PyTorch, no recompilation, several devices."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("flax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp
from crossfake.benchmark.core.checkpoints import save
from crossfake.benchmark.core.contracts import Trainable
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.start_weights import list_start_weights
from crossfake.detectors import create, create_from
from crossfake.detectors.common_jax.imagenet import load_imagenet_weights
from crossfake.detectors.common_jax.training import climb_to_sharpest, make_optimizer
from tiny_jax import TinyJax

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"image": rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8), "label": np.arange(6) % 2}


def meso(seed: int = 0):
    return create_from(detectors.find("meso4", "jax"), seed, input_size=32)


def part(batch, n):
    return {k: v[:n] for k, v in batch.items()}


@pytest.fixture
def compilations():
    """Count XLA's compilations."""
    seen: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: seen.append(event))
    yield lambda: seen.count(COMPILED)
    jax.monitoring.clear_event_listeners()


def test_each_backend_loads_what_the_other_saves(tiny_ports, batch, tmp_path):
    first, second = tiny_ports
    assert isinstance(second, Trainable)
    session = second.training(TrainSettings(batch_size=6, lr=0.01), 2, 2)
    for _ in range(2):
        session.step(batch)
    save(second, tmp_path / "jax.safetensors", {})
    assert first.load(tmp_path / "jax.safetensors").score(batch["image"]) == pytest.approx(
        second.score(batch["image"]), abs=1e-5
    )
    save(first, tmp_path / "torch.safetensors", {})
    assert (tmp_path / "torch.safetensors").stat().st_size == (tmp_path / "jax.safetensors").stat().st_size
    expected, again = second.state(), TinyJax().load(tmp_path / "torch.safetensors").state()
    assert all(np.array_equal(again[k], v) and again[k].dtype == v.dtype for k, v in expected.items())


def test_torch_pickles_load_and_other_networks_are_refused(ports, tmp_path):
    torch = pytest.importorskip("torch")
    first, _ = ports("meso4", input_size=32)
    path = tmp_path / "meso.pkl"
    torch.save({"network": {k: torch.from_numpy(np.array(v)) for k, v in first.state().items()}}, path)
    assert np.array_equal(meso().load(path).state()["fc1.weight"], first.state()["fc1.weight"])
    with pytest.raises(BenchError, match=r"1 of another shape \(first: fc1.weight, \(16, 16\) instead of \(16, 1024\)"):
        create("meso4", backend="jax").load(path)


def test_a_pickle_without_torch_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "meso.pkl"
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        BenchError, match=r'a torch pickle, which needs torch: pip install "crossfake\[torch\]"; or give'
    ):
        meso().load(path)


def test_smaller_batches_are_padded_and_compile_nothing_new(batch, compilations):
    detector = meso()
    whole = detector.score(batch["image"])
    before, seconds = compilations(), detector.compile_seconds
    assert before > 0
    assert seconds > 0
    for n in (1, 3, 6):
        assert detector.score(batch["image"][:n]) == pytest.approx(whole[:n], abs=1e-6)
    assert compilations() == before
    assert detector.compile_seconds == seconds
    assert whole.dtype == np.float32


def test_outputs_of_fewer_frames_compile_nothing_new(batch, compilations):
    """A probe asks for features of videos with six frames, five, and so on."""
    detector, frames = meso(), batch["image"]
    whole = detector.outputs_of(frames)
    before, seconds = compilations(), detector.compile_seconds
    assert before > 0
    assert seconds > 0
    for n in (5, 4, 1, 6):
        for name, value in detector.outputs_of(frames[:n]).items():
            np.testing.assert_allclose(value, whole[name][:n], atol=1e-6, err_msg=name)
            assert len(value) == n
    assert compilations() == before
    assert detector.compile_seconds == seconds
    x = np.asarray(detector.normalise(frames)).transpose(0, 3, 1, 2)
    assert detector.outputs(x)["logits"] == pytest.approx(whole["logits"], abs=1e-6)
    assert detector.compile_seconds > seconds
    before = compilations()
    assert detector.outputs(x[:2])["logits"] == pytest.approx(whole["logits"][:2], abs=1e-6)
    assert compilations() == before


def test_twenty_steps_and_a_smaller_one_compile_once(batch, compilations):
    session = TinyJax().training(TrainSettings(batch_size=6, schedule="cosine", warmup_steps=3), 30, 5)
    session.step(batch)
    first = compilations()
    for _ in range(20):
        session.step(batch)
    session.step(part(batch, 4))
    assert compilations() == first > 0


def test_steps_that_are_read_late_are_the_same(batch):
    """Each batch is overwritten as soon as its step has started, as worker processes do with shared memory."""
    settings, steps = TrainSettings(batch_size=6), 3
    prompt, late = (TinyJax().training(settings, steps, steps) for _ in range(2))
    expected = [prompt.step(batch) for _ in range(steps)]
    reads = []
    for _ in range(steps):
        lent = {name: rows.copy() for name, rows in batch.items()}
        reads.append(late.launch(lent))
        for rows in lent.values():
            rows[:] = 0
    assert [read() for read in reads] == expected
    assert all(np.array_equal(rows, late.detector.state()[name]) for name, rows in prompt.detector.state().items())


def test_padding_rows_change_nothing(batch):
    """A step with four rows equals one with four valid rows of six; without dropout, as its draws differ."""
    states = []
    for size in (4, 6):
        detector = TinyJax()
        detector.losses = without_dropout(detector)
        session = detector.training(TrainSettings(batch_size=size, optimizer="sgd", lr=0.1), 1, 1)
        losses = session.step(part(batch, 4))
        states.append({**detector.state(), "loss": losses["loss"]})
    for key, expected in states[0].items():
        np.testing.assert_allclose(states[1][key], expected, atol=1e-6, err_msg=key)


def without_dropout(detector):
    from dataclasses import replace

    losses = type(detector).losses
    return lambda network, batch, mode: losses(detector, network, batch, replace(mode, rngs=None))


OPTIMIZERS = {
    "adamw": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.1, "clip_value": 0.05},
    "adam": {"optimizer": "adam", "lr": 1e-3, "weight_decay": 0.1},
    "sgd": {"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.1, "clip_value": 0.05},
    "sam": {"optimizer": "sgd", "lr": 0.1, "sharpness": "sam"},
    "asam": {"optimizer": "sgd", "lr": 0.1, "sharpness": "asam", "rho": 0.5},
}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_optimizers_step_like_pytorchs(name):
    """Both get the same gradients, as Adam turns mere rounding errors into full steps."""
    torch = pytest.importorskip("torch")
    from crossfake.detectors.common_torch.training import TorchTraining

    s, rng = TrainSettings(**OPTIMIZERS[name]), np.random.default_rng(0)
    start = rng.normal(size=(5, 7)).astype(np.float32)
    linear = torch.nn.Linear(7, 5, bias=False)
    linear.weight.data = torch.from_numpy(start.copy())
    theirs = TorchTraining.__new__(TorchTraining)
    theirs.settings, theirs.detector = s, type("Holder", (), {"network": linear, "device": torch.device("cpu")})
    theirs = theirs._make_optimizer()
    ours, weights = make_optimizer(s), jnp.asarray(start)
    moments = ours.init(weights)
    for _ in range(4):
        grad = (0.1 * rng.normal(size=start.shape)).astype(np.float32)
        linear.weight.grad = torch.from_numpy(grad.copy())
        if s.clip_value:
            torch.nn.utils.clip_grad_value_(linear.parameters(), s.clip_value)
        theirs.step()
        step, moments = ours.update(jnp.asarray(grad), moments, weights)
        weights = weights - s.lr * step
        np.testing.assert_allclose(weights, linear.weight.detach(), atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "sam", "asam"])
def test_two_steps_of_training_equal_pytorchs(tiny_ports, double, batch, name):
    """In sharpness-aware steps, only the first pass updates running statistics, but both are counted."""
    first, second = tiny_ports
    second.losses = without_dropout(second)
    settings = TrainSettings(batch_size=6, threads=1, **{**OPTIMIZERS[name], "lr": 0.01})
    sessions = [port.training(settings, 4, 2) for port in (double(first), second)]
    for size in (6, 4):
        expected, losses = (session.step(part(batch, size)) for session in sessions)
        assert losses == pytest.approx(expected, rel=1e-3)
    expected, state = first.state(), second.state()
    assert expected["bn1.num_batches_tracked"] == (2 if name == "sgd" else 4)
    for key, value in expected.items():
        np.testing.assert_allclose(state[key], value, atol=2e-4, err_msg=key)


def test_the_worst_point_nearby_is_rho_away():
    params, grads = (
        {"a": jnp.asarray([1.0, 2.0]), "b": jnp.asarray([3.0])},
        {"a": jnp.asarray([0.3, 0.0]), "b": jnp.asarray([0.4])},
    )
    moved = jax.tree.map(jnp.subtract, climb_to_sharpest(params, grads, 0.05), params)
    np.testing.assert_allclose(moved["a"], [0.03, 0], atol=1e-7)
    np.testing.assert_allclose(moved["b"], [0.04], atol=1e-7)
    moved = jax.tree.map(jnp.subtract, climb_to_sharpest(params, grads, 0.5, adaptive=True), params)
    norm = np.hypot(0.3, 1.2)
    np.testing.assert_allclose([moved["a"][0], moved["b"][0]], [0.5 * 0.3 / norm, 0.5 * 9 * 0.4 / norm], atol=1e-6)


def test_a_resumed_session_equals_an_unbroken_one(batch, assert_resumes):
    settings = TrainSettings(batch_size=6, lr=0.01, schedule="cosine", optimizer="adamw")
    assert_resumes(TinyJax, settings, batch, 5, 2)


def test_state_is_a_copy_that_further_training_leaves_alone(batch):
    detector = TinyJax()
    session = detector.training(TrainSettings(batch_size=6, lr=0.01), 3, 3)
    session.step(batch)
    kept = detector.state()
    before = {k: v.copy() for k, v in kept.items()}
    session.step(batch)
    assert all(np.array_equal(kept[k], before[k]) for k in kept)
    assert not np.array_equal(detector.state()["fc1.weight"], before["fc1.weight"])


@pytest.mark.parametrize("precision", ["float32", "bf16", "auto"])
def test_training_fits_a_handful_of_frames(precision):
    labels = np.arange(8) % 2
    frames = np.random.default_rng(0).integers(0, 60, (8, 32, 32, 3)) + 120 * labels[:, None, None, None]
    detector = TinyJax()
    session = detector.training(TrainSettings(lr=1e-2, batch_size=8, precision=precision), 30, 30)
    losses = [session.step({"image": frames.astype(np.uint8), "label": labels})["loss"] for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.4 < losses[0]
    assert session.precision == ("bf16" if precision == "bf16" else "fp32")  # On a CPU.
    assert {v.dtype for v in detector.state().values()} == {np.dtype("float32"), np.dtype("int64")}


def test_seeds_fix_initial_weights_and_dropout(batch):
    runs = []
    for seed in (0, 0, 1):
        session = TinyJax(seed).training(TrainSettings(batch_size=6), 2, 2)
        runs.append([session.step(batch)["loss"] for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_operations_are_counted_by_the_compiler(batch):
    detector = meso()
    detector.score(batch["image"])
    one, six = detector.flops(batch["image"][:1]), detector.flops(batch["image"])
    assert six == pytest.approx(6 * one)
    multiply_adds = 32**2 * 27 * 8 + 16**2 * 200 * 8 + 8**2 * 200 * 16 + 4**2 * 400 * 16
    assert 1.5 * multiply_adds < one < 2 * multiply_adds  # Work on padding isn't counted.


CADDM = {
    "backbone": "timm:resnet10t",
    "backbone_args": {"channels": [4, 4, 8, 8], "stem_width": 8},
    "input_size": 112,
}
ANCHORS = {"loc_targets": np.zeros((2, 168, 4), np.float32), "conf_targets": np.zeros((2, 168), np.int64)}


@pytest.mark.parametrize(
    ("name", "options", "more"),
    [("meso4", {"input_size": 32}, {}), pytest.param("caddm", CADDM, ANCHORS, marks=pytest.mark.slow)],
)
def test_steps_lower_for_accelerators(name, options, more):
    platforms = ("tpu", "cuda")
    detector = create(name, backend="jax", **options)
    frames = np.zeros((2, detector.input_size, detector.input_size, 3), np.uint8)
    scoring = jax.export.export(jax.jit(detector.probabilities), platforms=platforms)(*detector.weights, frames)
    assert scoring.platforms == platforms
    assert scoring.out_avals[0].shape == (2,)
    session = detector.training(TrainSettings(batch_size=2, precision="bf16"), 1, 1)
    given = session.make_step_arguments({"image": frames, "label": np.arange(2), **more})
    step = jax.export.export(session.update, platforms=platforms)(*given).mlir_module()
    assert "stablehlo.convolution" in step
    assert "bf16" in step
    assert "stablehlo.reduce_window" in step  # Not with shifted images, as on CPUs.


TWO_DEVICES = """
import sys, numpy as np, jax
from crossfake.benchmark.core.settings import TrainSettings
from tiny_jax import TinyJax
batch = dict(np.load(sys.argv[1]))
detector = TinyJax()
session = detector.training(TrainSettings(batch_size=5, lr=0.01, optimizer="sgd"), 2, 2)
losses = [session.step({k: v[:5] for k, v in batch.items()})["loss"] for _ in range(2)]
found = {"losses": losses, "devices": len(jax.devices()), "scores": detector.score(batch["image"])}
found |= {"flops": detector.flops(batch["image"]), "features": detector.outputs_of(batch["image"])["features"]}
np.savez(sys.argv[2], **found, **detector.state())
print(sorted({"torch", "timm", "torchvision"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_two_devices_take_the_step_of_one_and_need_no_torch(batch, tmp_path, monkeypatch):
    """Five rows on two devices are padded to six; the statistics are of the five, and the dropout is the same."""
    np.savez(tmp_path / "batch.npz", **batch)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", TWO_DEVICES, tmp_path / "batch.npz", tmp_path / "2.npz"]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "[]\n"
    monkeypatch.setattr(sys, "argv", ["-c", f"{tmp_path}/batch.npz", f"{tmp_path}/1.npz"])
    exec(TWO_DEVICES, {})
    one, two = (dict(np.load(tmp_path / f"{count}.npz")) for count in (1, 2))
    assert (one.pop("devices"), two.pop("devices")) == (1, 2)
    assert two.pop("flops") == pytest.approx(one.pop("flops"), rel=1e-3)  # Padding isn't counted.
    for key, expected in one.items():
        np.testing.assert_allclose(two[key], expected, atol=1e-5, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "others"), [("torch", ("jax", "flax", "optax")), ("jax", ("torch", "timm", "torchvision"))]
)
def test_a_backend_trains_and_scores_without_the_other(backend, others):
    code = (
        f"import sys\nfor name in {others!r}: sys.modules[name] = None\n"
        "import numpy as np\nfrom crossfake.detectors import create\n"
        "from crossfake.benchmark.core.settings import TrainSettings\n"
        f"detector = create('meso4', backend={backend!r}, input_size=32)\n"
        "frames = np.zeros((2, 32, 32, 3), np.uint8)\n"
        "detector.training(TrainSettings(batch_size=2), 1, 1).step({'image': frames, 'label': np.arange(2)})\n"
        "detector.score(frames); detector.load(detector.state())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["jax", "flax", "optax"])
def test_a_missing_backend_names_its_extra(package, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("crossfake.detectors.") and "jax" in n]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BenchError, match=rf'meso4 needs {package}: pip install "crossfake\[jax\]"$'):
        create("meso4", backend="jax", input_size=32)


def test_compiled_code_is_kept_in_the_cache_folder():
    meso()
    assert jax.config.jax_compilation_cache_dir == str(Path(os.environ["BENCH_CACHE"]) / "xla")


def run_here(command, **_):
    """Run a Python process's work in this process, which has imported PyTorch already."""
    python, flag, code, *given = command
    assert (python, flag) == (sys.executable, "-c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [flag, *given])
        exec(code, {})
    return subprocess.CompletedProcess(command, 0)


@pytest.mark.parametrize("elsewhere", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_imagenet_weights_come_from_the_pytorch_port_once(elsewhere, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", subprocess.run if elsewhere else run_here)
    start = load_imagenet_weights("meso4", lambda name: name.startswith("conv"), input_size=32)
    assert sorted(start) == ["conv1.weight", "conv2.weight", "conv3.weight", "conv4.weight"]
    monkeypatch.setattr(subprocess, "run", None)
    detector = meso()
    detector.start = load_imagenet_weights("meso4", lambda name: name.startswith("conv1"), input_size=32)
    state, plain = detector.state(), meso().state()
    assert np.array_equal(state["conv1.weight"], start["conv1.weight"])
    assert all(np.array_equal(state[k], v) for k, v in plain.items() if k != "conv1.weight")


def test_trainings_say_which_file_they_started_from_as_in_pytorch(tmp_path, monkeypatch, capsys):
    """Weights that an earlier version kept, without that record, are fetched again, or used if they can't be."""
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run_here)
    torch.save(timm.create_model("resnet10t", **CADDM["backbone_args"]).state_dict(), tmp_path / "own.pth")
    first, second = (create("caddm", one, **CADDM, pretrained=str(tmp_path / "own.pth")) for one in ("torch", "jax"))
    told = [f"sha256:{hashlib.sha256((tmp_path / 'own.pth').read_bytes()).hexdigest()}"]
    assert list_start_weights(second) == list_start_weights(first) == told
    (kept,) = (tmp_path / "imagenet").iterdir()
    save(first, kept, {})
    with monkeypatch.context() as offline:
        failed = subprocess.CompletedProcess([], 1, "", "no torch\n")
        offline.setattr(subprocess, "run", lambda *_, **__: failed)
        old = create("caddm", "jax", **CADDM, pretrained=str(tmp_path / "own.pth"))
    assert list_start_weights(old) == []
    assert np.array_equal(old.state()["base_model.conv1.0.weight"], second.state()["base_model.conv1.0.weight"])
    assert "doesn't say which file it is from, and can't be fetched again (no torch)" in capsys.readouterr().err
    assert list_start_weights(create("caddm", "jax", **CADDM, pretrained=str(tmp_path / "own.pth"))) == told
    assert list_start_weights(create("caddm", "jax", **CADDM)) == []


def test_unavailable_imagenet_weights_are_reported():
    with pytest.raises(BenchError, match=r"^no detector named 'meso5'.*Did you mean 'meso4'"):
        load_imagenet_weights("meso5", bool)
