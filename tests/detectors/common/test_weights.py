"""Weights in every format for both backends, and one-line errors for damaged files."""

from __future__ import annotations

import argparse
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create

torch = pytest.importorskip("torch")

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def weights() -> Arrays:
    """Weights that half precision represents exactly, so that nothing is lost."""
    state = create("meso4", backend="torch", input_size=32).state()
    return {k: np.round(v * 64) / 64 if v.dtype == np.float32 else v for k, v in state.items()}


@pytest.fixture(params=["torch", "jax"])
def detector(request: pytest.FixtureRequest) -> Any:
    if request.param == "jax":
        pytest.importorskip("flax")
    return create("meso4", backend=request.param, input_size=32)


def changed(weights: Arrays, change: Any) -> dict[str, Any]:
    return {k: change(torch.tensor(v)) if v.dtype == np.float32 else v for k, v in weights.items()}


FORMS = {
    "bfloat16": lambda v: v.bfloat16(),
    "half": lambda v: v.half(),
    "double": lambda v: v.double(),
    "with a gradient": lambda v: v.requires_grad_(),
    "parameters": torch.nn.Parameter,
    "channels last": lambda v: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v,
    "numpy half": lambda v: v.half().numpy(),
    "lists": lambda v: v.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mapping_of_any_arrays_loads(detector, weights, form):
    given = changed(weights, FORMS[form])
    state = detector.load(given).state()
    assert all(np.array_equal(state[k], v) for k, v in weights.items())
    assert {v.dtype for v in state.values()} == {np.dtype("float32"), np.dtype("int64")}
    detector.score(np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("form", ["bfloat16", "half", "parameters", "channels last"])
@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_a_file_of_any_tensors_loads(detector, weights, tmp_path, form, suffix):
    given = {f"module.{k}": torch.as_tensor(v) for k, v in changed(weights, FORMS[form]).items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pkl":
        torch.save({"network": given, "epoch": 3}, path)
    else:
        from safetensors.torch import save_file

        save_file({k: v.detach().contiguous() for k, v in given.items()}, path)
    state = detector.load(path).state()
    assert all(np.array_equal(state[k], weights[k]) for k in weights)


def test_read_only_arrays_load_and_stay_unchanged(detector, weights):
    frozen = {k: v.copy() for k, v in weights.items()}
    for value in frozen.values():
        value.setflags(write=False)
    detector.load(frozen)
    state = detector.state()
    assert all(np.array_equal(state[k], v) for k, v in weights.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({3: np.zeros(2)}, "holds a weight under 3, expected names"),
        ({"fc1.bias": np.array(["a"] * 16)}, "holds a ndarray under 'fc1.bias', not numbers"),
        ({"fc1.bias": {"a": 1}}, "holds a dict under 'fc1.bias', not numbers"),
        ({"fc1.bias": [[1], [1, 2]]}, "holds a list under 'fc1.bias', not numbers"),
        ({"fc1.bias": np.zeros(16) + 1j}, "holds a ndarray under 'fc1.bias', not numbers"),
        ({"fc1.bias": None}, "holds a NoneType under 'fc1.bias', not numbers"),
        ({"fc1.bios": np.zeros(16)}, r"1 keys not known \(first: fc1.bios\)"),
    ],
)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_mapping_without_weights_is_a_one_line_error(detector, weights, tmp_path, change, message, pickled):
    given: Any = {**{k: torch.tensor(v) for k, v in weights.items()}, **change}
    if pickled:
        numbers = {k: torch.tensor(v) for k, v in given.items() if isinstance(v, np.ndarray) and v.dtype.kind in "fc"}
        if any(isinstance(v, np.ndarray) and v.dtype.kind == "U" for v in given.values()):
            pytest.skip("not in a pickle that runs no code")
        torch.save({"network": {**given, **numbers}}, tmp_path / "weights.pkl")
        given, message = tmp_path / "weights.pkl", message.replace("a ndarray", "a Tensor")
    with pytest.raises(BenchError, match=message) as raised:
        detector.load(given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("given", [None, 3, [1]])
def test_objects_that_are_neither_a_path_nor_a_mapping(detector, given):
    with pytest.raises(BenchError, match=f"a path or a mapping of names to arrays, got a {type(given).__name__}"):
        detector.load(given)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_files_are_reported_as_such(detector, weights, tmp_path, legacy):
    buffer = io.BytesIO()
    tensors = {k: torch.tensor(v) for k, v in weights.items()}
    torch.save({"network": tensors}, buffer, _use_new_zipfile_serialization=not legacy)
    whole = buffer.getvalue()
    path = tmp_path / "weights.pkl"
    for length in (1, 2, 10, 20, 200, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:length])
        with pytest.raises(BenchError) as raised:
            detector.load(path)
        reason = str(raised.value).partition(": ")[2]
        expected = "its end is missing or damaged" if length > 1 or legacy else "it begins with b'P'"
        assert reason.startswith(expected), (length, reason)
        assert "\n" not in reason
    path.write_bytes(whole)
    assert np.array_equal(detector.load(path).state()["fc1.weight"], weights["fc1.weight"])


def test_other_archives_are_reported(detector, weights, tmp_path):
    np.savez(tmp_path / "weights.npz", **weights)
    with pytest.raises(BenchError, match=r"it is a zip archive, and only archives from torch.save"):
        detector.load(tmp_path / "weights.npz")


def test_a_multi_part_archive_is_reported(detector, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK\3\4" + b"PK\6\7" + bytes(12) + b"\2\0\0\0" + b"PK\5\6" + bytes(18))
    with pytest.raises(BenchError, match=r"w\.pth \(46 bytes\) can't be read as a checkpoint: its end is missing"):
        detector.load(tmp_path / "w.pth")


LAYOUTS = {
    "compiled": lambda w: {f"_orig_mod.{k}": v for k, v in w.items()},
    "compiled, data-parallel": lambda w: {f"module._orig_mod.{k}": v for k, v in w.items()},
    "lightning": lambda w: {"state_dict": {f"model.{k}": v for k, v in w.items()}, "pytorch-lightning_version": "2.5"},
    "model_state_dict": lambda w: {"model_state_dict": w, "epoch": 1, "optimizer": {"state": {}, "param_groups": []}},
    "params_ema": lambda w: {"params_ema": w},
    "numpy scalars": lambda w: {"net": w, "auc": np.float64(0.9), "step": np.int64(3), "name": np.str_("a")},
    "an array and a path": lambda w: {"model": w, "rng": np.arange(3), "args": argparse.Namespace(out=Path("a/b"))},
    "namespace": lambda w: {"model": w, "args": argparse.Namespace(lr=1, more=argparse.Namespace(seed=np.int32(1)))},
    "without counters": lambda w: {k: v for k, v in w.items() if not k.endswith("num_batches_tracked")},
    "strided": lambda w: {k: v.new_zeros(*v.shape, 2)[..., 0].copy_(v) for k, v in w.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("legacy", [False, True])
def test_files_as_people_save_them_load(detector, weights, tmp_path, layout, legacy, capsys):
    content = LAYOUTS[layout]({k: torch.tensor(v) for k, v in weights.items()})
    torch.save(content, tmp_path / "w.ckpt", _use_new_zipfile_serialization=not legacy)
    state = detector.load(tmp_path / "w.ckpt").state()
    assert all(np.array_equal(state[k], v) for k, v in weights.items())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (layout not in ("without counters", "strided"))
    assert all(line.startswith(f"{tmp_path / 'w.ckpt'}: took the weights ") for line in lines)


def test_a_prefix_missing_from_some_names_is_not_removed(detector, weights):
    """Otherwise two weights would get the same name, and the last one would win silently."""
    with pytest.raises(BenchError, match=r"1 keys not known \(first: module.fc1.bias\)"):
        detector.load({**weights, "module.fc1.bias": weights["fc1.bias"] + 1})


@pytest.mark.parametrize("name", ["w.pth", "w.pkl", "w.bin", "w.safetensors", "w"])
def test_a_file_type_is_recognised_by_content(detector, weights, tmp_path, name):
    from safetensors.torch import save_file

    tensors = {k: torch.tensor(v) for k, v in weights.items()}
    for write in (torch.save, save_file):
        write(tensors, tmp_path / name)
        assert np.array_equal(detector.load(tmp_path / name).state()["fc1.weight"], weights["fc1.weight"])


class Runs:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_never_run(detector, weights, tmp_path, legacy):
    content = {"state_dict": {k: torch.tensor(v) for k, v in weights.items()}, "args": Runs(tmp_path / "ran")}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BenchError, match="neither a tensor nor plain data; code in pickles is never run"):
        detector.load(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_blocked_function_is_named(detector, tmp_path):
    code = b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + code)
        archive.writestr("archive/version", "3")
    with pytest.raises(BenchError, match=r"it holds posix\.system, which is neither a tensor nor plain data"):
        detector.load(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", ["sparse", "nested", "complex"])
def test_tensors_that_are_not_plain_numbers_are_refused(detector, weights, tmp_path, kind):
    plain = torch.zeros(16)
    kinds = {"sparse": plain.to_sparse(), "nested": torch.nested.nested_tensor([plain]), "complex": plain + 1j}
    torch.save({**{k: torch.tensor(v) for k, v in weights.items()}, "fc1.bias": kinds[kind]}, tmp_path / "w.pth")
    with pytest.raises(BenchError, match=r"under 'fc1\.bias', not numbers"):
        detector.load(tmp_path / "w.pth")


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(detector, weights, tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "large.pth")
    with (
        zipfile.ZipFile(tmp_path / "large.pth") as large,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in large.namelist():
            small.writestr(part, large.read(part))
    with pytest.raises(BenchError, match=r"unpacks to 4,00[\d,]+ bytes from [\d,]+: torch.save doesn't compress"):
        detector.load(tmp_path / "small.pth")


def test_a_tensor_repeating_one_number_takes_no_memory_before_its_shape_is_checked(detector, weights, tmp_path):
    tensors = {k: torch.tensor(v) for k, v in weights.items()}
    tensors["fc1.bias"] = torch.zeros(1, dtype=torch.float16).expand(2**50)
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(BenchError, match=r"1 of another shape \(first: fc1.bias, \(1125899906842624,\)"):
        detector.load(tmp_path / "w.pth")


DAMAGED = {
    "empty": b"",
    "zeros": bytes(1000),
    "text": b"<!DOCTYPE html><html>not found</html>",
    "a huge header": struct.pack("<Q", 2**62) + b"{}",
    "a deep header": struct.pack("<Q", 200_000) + b'{"a":' * 40_000,
    "a list": struct.pack("<Q", 9) + b"{[1, 2]  ",
    "cut at its header": struct.pack("<Q", 50) + b'{"a":{"dtype":"F32"',
    "a place outside": struct.pack("<Q", 55) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}' + bytes(4),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_that_is_not_a_checkpoint_is_a_one_line_error(detector, tmp_path, kind, name):
    path = tmp_path / name
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(BenchError) as raised:
        detector.load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def mutate(content: bytes, draw: np.random.Generator) -> bytes:
    """Damage a file as faulty disks, broken downloads and attackers do."""
    changed, place = bytearray(content), int(draw.integers(len(content)))
    head = int(draw.integers(min(600, len(content))))
    kind = draw.integers(6)
    if kind == 0:
        return content[:place]
    if kind == 1:
        changed[place : place + 64] = bytes(64)
    elif kind == 2:
        changed[head] = draw.integers(256)
    elif kind == 3:
        for spot in draw.integers(len(content), size=20):
            changed[spot] ^= 1 << draw.integers(8)
    elif kind == 4:
        changed[head:head] = draw.bytes(3)
    else:
        changed[:8] = struct.pack("<Q", int(draw.integers(2**63)))
    return bytes(changed)


@pytest.mark.parametrize("writer", ["safetensors", "zip", "legacy"])
def test_damaged_files_load_or_are_a_one_line_error(weights, tmp_path, writer):
    from safetensors.torch import save_file

    path, tensors = tmp_path / "w.pth", {k: torch.tensor(v) for k, v in weights.items()}
    if writer == "safetensors":
        save_file(tensors, path, metadata={"crossfake": '{"detector": "meso4"}'})
    else:
        torch.save({"model": tensors}, path, _use_new_zipfile_serialization=writer == "zip")
    whole, told = path.read_bytes(), 0
    draw = np.random.default_rng(3)
    for _ in range(70):
        path.write_bytes(mutate(whole, draw))
        error = find_error(create("meso4", backend="torch", input_size=32), path)
        assert "\n" not in error
        told += bool(error)
    assert told > 20


def find_error(detector: Any, path: Path) -> str:
    """Load a file; only a BenchError is caught."""
    try:
        detector.load(path)
    except BenchError as error:
        return str(error)
    return ""
