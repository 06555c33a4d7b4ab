"""Devices are selected by name for torch, JAX and users' own detectors, and checked before any work starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.checkpoints import save
from crossfake.benchmark.core.device_use import DeviceUse
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.storage import write_json
from crossfake.benchmark.stages import ray_engine
from crossfake.benchmark.stages.detectors import DetectorRequest, load_detector
from crossfake.benchmark.stages.devices import check_device, find_device, list_jax_devices, place
from crossfake.benchmark.stages.ray_engine import find_need
from crossfake.benchmark.stages.runner import RunOptions, Stages
from crossfake.detectors import create

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"
RUN = "run --detector meso4 --train ff++ --test dfdc --data demo:tiny"


@pytest.fixture
def two_gpus(monkeypatch):
    """Make torch report two GPUs, on which nothing can be computed."""
    torch = pytest.importorskip("torch", reason="needs torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return torch


def test_a_torch_detector_goes_to_the_given_device(two_gpus):
    made = create("meso4", backend="torch")
    assert str(made.device) == "cuda"
    for name in ("cuda:1", "cpu"):
        assert place(made, name) is made
        assert str(made.device) == name
    place(made, "auto")
    assert str(made.device) == "cpu"  # It isn't moved.
    told = find_device(place(made, "cuda:1"), "torch")
    assert (told.kind, told.name, told.precision, told.threads) == ("cuda", "NVIDIA H100", "fp32", 0)


def test_a_missing_gpu_is_reported_with_the_available_ones(two_gpus):
    with pytest.raises(BenchError, match=r"no device cuda:2 here: torch sees cuda:0 \(NVIDIA H100\), cuda:1 \(NVID"):
        check_device("cuda:2", ["torch"])


def test_torch_without_a_gpu_says_what_it_is_built_for_and_what_to_install():
    torch = pytest.importorskip("torch", reason="needs torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for name, told in [
        ("cuda", "sees no GPU. Use --device cpu, or install a build of torch with CUDA: https://"),
        ("mps", "sees no Apple GPU. Use --device cpu"),
        ("tpu", "TPUs are used by JAX: --backend jax"),
    ]:
        with pytest.raises(BenchError, match="no device " + name) as error:
            check_device(name, ["torch"])
        assert told in str(error.value)


def test_jax_uses_the_cpu_and_says_what_else_to_install():
    pytest.importorskip("jax", reason="needs jax")
    made = create("meso4", backend="jax", input_size=32)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    before = made.score(images)
    place(made, "cpu")
    assert [one.platform for one in list_jax_devices(made)] == ["cpu"] * len(made.devices)
    np.testing.assert_array_equal(made.score(images), before)
    for name, told in [
        ("cuda", 'install JAX for CUDA: pip install "crossfake[jax-cuda]"'),
        ("tpu", 'install JAX for TPUs: pip install "crossfake[jax-tpu]"'),
        ("mps", "Apple's GPUs are used by torch: --backend torch"),
    ]:
        with pytest.raises(BenchError, match=f"no device {name} here: jax .* sees .* cpu") as error:
            place(made, name)
        assert told in str(error.value)


def test_jax_uses_one_of_several_gpus_or_all_of_them(monkeypatch):
    jax = pytest.importorskip("jax", reason="needs jax")
    from crossfake.detectors.common_jax.places import find_jax_devices

    gpus = [SimpleNamespace(platform="gpu", device_kind="NVIDIA H100", id=i) for i in range(2)]
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: gpus)
    assert find_jax_devices("auto") == find_jax_devices("cuda") == gpus
    assert find_jax_devices("cuda:1") == gpus[1:]
    with pytest.raises(BenchError, match=r"no device cuda:2 here: jax sees cuda:0 \(NVIDIA H100\), cuda:1"):
        find_jax_devices("cuda:2")
    told = find_device(SimpleNamespace(score=None), "jax")
    assert (told.kind, told.name, told.precision) == ("cuda", "2 x NVIDIA H100", "tf32")


def test_jax_multiplies_on_accelerators_at_the_stated_precision():
    jax = pytest.importorskip("jax", reason="needs jax")
    from crossfake.detectors.common_jax.places import multiply_in

    def lower() -> str:
        return jax.jit(lambda x: x @ x).lower(np.ones((2, 2), np.float32)).as_text()

    usual = lower()
    with multiply_in("fp32", "gpu"):
        assert "HIGHEST" in lower()
    for precision, platform in [("fp32", "cpu"), ("bf16", "gpu")]:
        with multiply_in(precision, platform):
            assert lower() == usual
    with multiply_in("tf32", "gpu"):
        assert "HIGHEST" not in lower()


def test_a_module_is_moved_and_a_function_is_not(two_gpus):
    from crossfake import wrap_model

    module = two_gpus.nn.Linear(2, 2, device="cpu")
    moved = []
    module.to = lambda device: moved.append(str(device))
    place(wrap_model(module), "cuda:1")
    assert moved == ["cuda:1"]
    with pytest.raises(BenchError, match=r"this function chooses its device itself\. Leave out"):
        place(wrap_model(lambda images: images), "cuda")


def test_a_network_from_a_file_moves_to_the_gpu_and_a_given_one_stays(two_gpus):
    from crossfake.detectors.model_files.inputs import FileModel, Inputs

    class Bright(two_gpus.nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None]

    moved = []
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    for name, content in [("timm:bright", "hash"), ("", "")]:
        module = Bright()
        module.to = lambda device: moved.append(str(device))
        made = FileModel(name, content, module, Inputs(size=8))
        made.score(frames)
        made.score(frames)
    assert moved == ["cuda"]


def test_a_loaded_detector_is_on_the_requested_device(two_gpus):
    request = DetectorRequest(TOY)
    assert load_detector(request, demo=True).device == "auto"
    with pytest.raises(BenchError, match="Brightness chooses its device itself"):
        load_detector(DetectorRequest(TOY, device="cpu"), demo=True)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (f"{RUN} --device cudda", "no device named 'cudda'. Did you mean 'cuda'?"),
        (f"{RUN} --device cpu:1", "only cuda takes a number"),
        (f"{RUN} --engine ray --device cuda:1", "--device cuda:1: Ray gives each training its GPUs"),
        ("train meso4 --train ff++ --data demo:tiny --device gpu", "Did you mean 'cuda'?"),
        ("plan --detector meso4 --train ff++ --test dfdc --device tpuu", "Did you mean 'tpu'?"),
        (f"eval {TOY} --test dfdc --data demo:tiny --device cuda:x", "only cuda takes a number"),
        ("check meso4 --device cudda", "Did you mean 'cuda'?"),
        ("speed meso4 --device cudda", "Did you mean 'cuda'?"),
    ],
)
def test_reports_a_wrong_device_before_any_work(typed, told, monkeypatch, capsys):
    monkeypatch.setattr(ray_engine, "find_package", lambda name: name)
    assert bench(typed) == 2
    assert told in read_mistake(capsys)


def test_reports_tf32_without_cuda_before_any_training(tiny_world, tmp_path, capsys):
    pytest.importorskip("torch", reason="needs torch")
    asked = f"run --detector meso4 --train ff++ --test dfdc --data {tiny_world} --runs {tmp_path} --workers 0"
    assert bench(f"{asked} --device cpu --precision tf32") == 2
    assert "PyTorch supports tf32 only on CUDA devices" in read_mistake(capsys)
    assert bench(f"{asked} --device cpu --set train.precision=tf32") == 2
    assert "train.precision=tf32 is CUDA's, and this is cpu. Use fp32 or auto" in read_mistake(capsys)
    assert not list(tmp_path.rglob("log.txt"))


def test_ray_gives_no_gpu_to_cpu_work():
    nodes = [{"CPU": 64.0, "GPU": 4.0}]
    assert find_need(nodes, 1, 8, "cpu").num_gpus == 0
    assert find_need(nodes, 1, 8, "cuda").num_gpus == 1
    with pytest.raises(BenchError, match="no node of the Ray cluster has a GPU"):
        find_need([{"CPU": 8.0}], 1, 8, "cuda")


def test_scores_in_another_precision_than_requested_are_another_row(planned, tmp_path):
    cell = planned.cell(runs=tmp_path)
    keys = [cell.make_recipe_key(*given) for given in ((), ("", "tf32"), ("bf16",), ("bf16", "tf32"))]
    assert len(set(keys)) == 4
    weights = SimpleNamespace(state=lambda: {"weight": np.zeros(1, np.float32)})
    save(weights, cell.folder / "checkpoint.safetensors", {"detector": cell.entry.name})
    stages = Stages(cell, RunOptions(Reporter(quiet=True)))
    for precision, key in [("fp32", keys[0]), ("tf32", keys[1])]:
        device = DeviceUse(name="NVIDIA H100", precision=precision)
        cell.test_folder.mkdir(parents=True, exist_ok=True)
        write_json(cell.test_folder / "predictions.local.json", {"device": device.to_json()})
        assert stages.describe().recipe_key == key
