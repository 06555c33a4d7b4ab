"""Reading checkpoint files, and telling in a line why one doesn't fit. Only torch's own pickles need torch."""

from __future__ import annotations

import os
import pickletools
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import read_safetensors_header

# What torch.save wrote up to torch 1.5 begins with: the pickle of a magic number.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_CUT = "its end is missing or damaged, as of a download cut short"
_EXPECTED = "Give a mapping of names to arrays, as detector.state() returns and checkpoints hold"


def load_weights(source: Path | str | Mapping[str, Any], framework: str = "numpy") -> tuple[dict[str, np.ndarray], str]:
    """Return the names and arrays of a checkpoint file or a mapping, and what to call it in messages.

    Raises:
        BenchError: see `read_weights` and `to_named_arrays`.
    """
    if isinstance(source, Mapping):
        return to_named_arrays(source, "the given mapping"), "the given mapping"
    if not isinstance(source, str | os.PathLike):
        raise BenchError(f"weights are a path, or a mapping of names to arrays, got a {type(source).__name__}")
    return read_weights(Path(source), framework), str(source)


def read_weights(path: Path, framework: str = "numpy") -> dict[str, np.ndarray]:
    """Read names and arrays from a .safetensors file or a torch pickle ({network: ...}, {state_dict: ...} or bare).

    Of a .safetensors file, read with `framework` torch, they take no memory until they are used.

    Raises:
        BenchError: no such file, not a checkpoint, or a pickle where torch isn't installed.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    try:
        if path.suffix == ".safetensors":
            read_safetensors_header(path)
            content = import_module(f"safetensors.{framework}").load_file(path)
        else:
            content = _unpickle(path)
    except BenchError:
        raise
    except Exception as error:  # On damaged files torch, pickle and safetensors raise a dozen types.
        raise _make_read_error(path, error) from None
    for wrapper in ("network", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise BenchError(f"{path} holds a {type(content).__name__}, not a mapping of names to tensors")
    return to_named_arrays(content, str(path))


def to_named_arrays(weights: Mapping[Any, Any], origin: str) -> dict[str, np.ndarray]:
    """Return weights of any framework as numpy arrays, without the `module.` of data-parallel training.

    Raises:
        BenchError: one has no name, or is no numbers.
    """
    found = {}
    for name, value in weights.items():
        if not isinstance(name, str):
            raise BenchError(f"{origin} holds a weight under {name!r}, expected names. {_EXPECTED}")
        try:
            array = to_array(value)
        except (TypeError, ValueError, RuntimeError, NotImplementedError):  # No array, or none that memory holds.
            array = np.array(None)
        if array.dtype.kind not in "fiub":
            raise BenchError(f"{origin} holds a {type(value).__name__} under '{name}', not numbers. {_EXPECTED}")
        found[name.removeprefix("module.")] = array
    return found


def to_array(value: Any) -> np.ndarray:
    """Return an array or tensor of any framework as numpy's, without a copy if possible; half precision as float32."""
    if _is_expanded(value):
        raise ValueError("it shows few numbers many times")
    if hasattr(value, "detach"):  # A torch tensor, which may have a gradient, be on a device, or in bfloat16.
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.element_size() < 4 else value
        return value.numpy()
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _is_expanded(value: Any) -> bool:
    """Tell whether a tensor has many more numbers than are stored for it, as none that was trained has."""
    if not hasattr(value, "untyped_storage"):
        return False
    return bool(value.numel() * value.element_size() > 16 * value.untyped_storage().nbytes() + 2**20)


def _unpickle(path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError:
        raise BenchError(
            f'{path} is a torch pickle, which needs torch: pip install "crossfake[torch]"; or give a .safetensors file'
        ) from None
    _refuse_compressed(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of unusual pickle protocols: whether it can be read will show.
        return torch.load(path, map_location="cpu", weights_only=True)


def _refuse_compressed(path: Path) -> None:
    """Refuse an archive that is larger than its file: torch.save compresses nothing, and a small one may hold much.

    Raises:
        BenchError: it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # Of another kind, or damaged: reading it will say so.
    if size > path.stat().st_size:
        raise BenchError(f"{path} holds {size:,} bytes in {path.stat().st_size:,}: torch.save compresses nothing")


def _make_read_error(path: Path, error: Exception) -> BenchError:
    with path.open("rb") as file:
        head = file.read(16)
    code = re.search(r"Unsupported (?:global|class)\W*(?:GLOBAL )?(\w+(?:\.\w+)*)(?![.\w])", str(error))
    if not head:
        reason = "it is empty"
    elif _LEGACY.startswith(head[: len(_LEGACY)]) and _ends_early(path):
        reason = _CUT
    elif code:
        reason = f"it holds {code[1]}, which is neither tensor nor plain data; code in pickles is never run"
    elif zipfile.is_zipfile(path):
        reason = "it is a zip archive, and only those of torch.save, named .pkl or .pth, are read"
    elif head.startswith((b"PK", _LEGACY)):
        reason = _CUT
    elif path.suffix != ".safetensors":
        reason = f"it begins with {head!r}, as no file that torch.save wrote"
    else:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
    return BenchError(f"{path} ({path.stat().st_size} bytes) can't be read as a checkpoint: {reason}")


def _ends_early(path: Path) -> bool:
    """Tell whether a legacy file, five pickles and then the numbers, ends within the pickles."""
    with path.open("rb") as file:
        try:
            for _ in range(5):
                deque(pickletools.genops(file), maxlen=0)
        except Exception:  # Several types, and which of them doesn't matter.
            return True
    return False


def check_keys(given: Mapping[str, Any], expected: Mapping[str, Any], origin: str) -> None:
    """Raise a BenchError, with the first key of each kind, unless names and shapes are the ones expected."""
    missing = [k for k in expected if k not in given]
    extra = [k for k in given if k not in expected]
    shapes = [k for k in expected if k in given and tuple(given[k].shape) != tuple(expected[k].shape)]
    if not (missing or extra or shapes):
        return
    parts = [
        f"{len(keys)} {what} (first: {keys[0]})"
        for what, keys in (("keys missing", missing), ("keys not known", extra))
        if keys
    ]
    if shapes:
        k = shapes[0]
        parts.append(
            f"{len(shapes)} of another shape (first: {k}, {tuple(given[k].shape)} instead of "
            f"{tuple(expected[k].shape)})"
        )
    raise BenchError(
        f"{origin} is a checkpoint of another architecture: of {len(expected)} keys expected and {len(given)} found, "
        f"{'; '.join(parts)}. Check --detector and its options"
    )
