"""Weights in every form that they come in, for both backends; and files that are damaged, told in a line."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from crossfake.detectors.common.weights import read_weights

torch = pytest.importorskip("torch")

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def weights() -> Arrays:
    """Weights that half precision holds exactly, so that nothing is lost on the way."""
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


def test_arrays_that_cannot_be_written_to_load_and_are_left_alone(detector, weights):
    frozen = {k: v.copy() for k, v in weights.items()}
    for value in frozen.values():
        value.setflags(write=False)
    detector.load(frozen)
    assert all(np.array_equal(detector.state()[k], v) for k, v in weights.items())


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
def test_a_mapping_that_is_none_of_weights_is_told_in_a_line(detector, weights, tmp_path, change, message, pickled):
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
def test_what_is_neither_a_path_nor_a_mapping(detector, given):
    with pytest.raises(BenchError, match=f"a path, or a mapping of names to arrays, got a {type(given).__name__}"):
        detector.load(given)


@pytest.mark.parametrize("legacy", [False, True])
def test_files_cut_short_are_told_so(detector, weights, tmp_path, legacy):
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


def test_other_archives_are_told(detector, weights, tmp_path):
    np.savez(tmp_path / "weights.npz", **weights)
    with pytest.raises(BenchError, match=r"it is a zip archive, and only those of torch.save"):
        detector.load(tmp_path / "weights.npz")


def test_a_compressed_archive_is_refused_before_it_is_read(tmp_path):

    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(BenchError, match=r"holds 10,000,000 bytes in [\d,]+: torch.save compresses nothing"):
        read_weights(tmp_path / "bomb.pth")


def test_a_tensor_that_shows_few_numbers_many_times_is_refused(tmp_path):

    torch.save({"a": torch.zeros(1, dtype=torch.float16).expand(10**6, 10**6)}, tmp_path / "wide.pth")
    with pytest.raises(BenchError, match="under 'a', not numbers"):
        read_weights(tmp_path / "wide.pth")
