"""Reads checkpoint files, and says in one line why one doesn't fit. Only torch pickles need torch."""

from __future__ import annotations

import os
import pickletools
import re
import sys
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np

from ...benchmark.core.checkpoints import check_checksum, is_safetensors
from ...benchmark.core.display import say_once
from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import shorten
from ...benchmark.core.signals import defer_signals
from .fit import Content, Shaped, check_fit, find_weights, tell_found

if TYPE_CHECKING:
    from torch import Tensor

Weight: TypeAlias = "np.ndarray | Tensor"
"""A weight as checkpoints hold it: an array, or a tensor whose numbers may still be on disk."""
# Files that torch.save wrote up to torch 1.5 begin with the pickle of a magic number.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_CUT = "its end is missing or damaged, as after an interrupted download"
_EXPECTED = "Give a mapping of names to arrays, as detector.state() returns and checkpoints hold"


def load_weights(
    weights: Path | str | Mapping[str, object],
    framework: str,
    expect: Callable[[], Mapping[str, Shaped]],
    adapt: Callable[[Mapping[str, tuple[int, ...]]], None],
    is_unused: Callable[[str], bool] = lambda _: False,
    translate: Callable[[Mapping[str, Weight]], Mapping[str, Weight]] = dict,
) -> dict[str, np.ndarray]:
    """Return a network's weights, under the names it expects, from a checkpoint file or a mapping.

    Removed wrappers such as `state_dict` and prefixes such as `module.` are reported on stderr.

    Args:
        weights: the file, or names and arrays.
        framework: `torch` or `numpy`: how .safetensors are read. Torch tensors that are never used take no memory.
        expect: returns the expected names, each with something of its shape.
        adapt: called with the shapes found, before they are compared with the expected ones.
        is_unused: tells whether a name is an unused weight of the reference; their number is reported.
        translate: converts another release of the same weights to the expected names and shapes.

    Raises:
        BenchError: no such file, it can't be read, or its names or shapes don't match.
    """
    content, weights_name = _open_weights(weights, framework)
    found, others = find_weights(content, expect())
    named = dict(translate(_name_arrays(found.weights, weights_name)))
    if unused := [name for name in named if is_unused(name)]:
        say_once(f"{weights_name}: left out {len(unused)} weights that nothing uses (first: {shorten(unused[0])})")
        named = {name: value for name, value in named.items() if not is_unused(name)}
    adapt({name: tuple(value.shape) for name, value in named.items()})
    expected = expect()
    taken_off = found.describe()
    check_fit(named, expected, f"{weights_name} ({taken_off})" if taken_off else weights_name)
    if line := tell_found(found, others, weights_name):
        say_once(line)
    missing: dict[str, Weight] = {k: np.zeros(v.shape, np.int64) for k, v in expected.items() if k not in named}
    return to_named_arrays(named | missing, weights_name)


def _open_weights(weights: Path | str | Mapping[str, object], framework: str) -> tuple[Content, str]:
    """Return the content of a file or mapping, and its name in messages."""
    if isinstance(weights, Mapping):
        return weights, "the given mapping"
    if not isinstance(weights, str | os.PathLike):
        raise BenchError(f"weights must be a path or a mapping of names to arrays, got a {type(weights).__name__}")
    return read_checkpoint(Path(weights), framework), str(weights)


def read_checkpoint(path: Path, framework: str = "numpy") -> Content:
    """Read a .safetensors file or a file of torch.save, whatever its name; code in pickles is never run.

    Raises:
        BenchError: no such file, not a checkpoint, or a pickle and torch isn't installed.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    try:
        if is_safetensors(path):
            check_checksum(path)
            content: object = import_module(f"safetensors.{framework}").load_file(path)
        else:
            content = _unpickle(path)
    except BenchError:
        raise
    except Exception as error:  # For damaged files, torch, pickle and safetensors raise a dozen types.
        raise _make_read_error(path, error) from None
    if not isinstance(content, Mapping):
        raise BenchError(f"{path} holds a {type(content).__name__}, not a mapping of names to tensors")
    return content


def _name_arrays(weights: Content, weights_name: str) -> dict[str, Weight]:
    """Return weights that have shapes: tensors as they are, so that no numbers are read yet, or arrays."""
    found: dict[str, Weight] = {}
    for name, value in weights.items():
        if not isinstance(name, str):
            raise BenchError(f"{weights_name} holds a weight under {shorten(name)}, expected names. {_EXPECTED}")
        found[name] = value if _is_tensor(value) else _to_numbers(name, value, weights_name)
    return found


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    torch = sys.modules.get("torch")  # If torch isn't imported, nothing is a tensor.
    return torch is not None and isinstance(value, torch.Tensor) and not value.is_nested


def to_named_arrays(weights: Mapping[str, object], weights_name: str) -> dict[str, np.ndarray]:
    """Return weights of any framework as numpy arrays.

    Raises:
        BenchError: one isn't numeric.
    """
    return {name: _to_numbers(name, value, weights_name) for name, value in weights.items()}


def _to_numbers(name: str, value: object, weights_name: str) -> np.ndarray:
    try:
        array = to_array(value)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # Not an array, or too large for memory.
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise BenchError(
            f"{weights_name} holds a {type(value).__name__} under '{shorten(name)}', not numbers. {_EXPECTED}"
        )
    return array


def to_array(value: object) -> np.ndarray:
    """Convert an array or tensor of any framework to NumPy, without a copy if possible; half precision to float32."""
    if _is_tensor(value):  # It may have a gradient, be on a device, or be bfloat16.
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.element_size() < 4 else value
        found: np.ndarray = value.numpy()
        return found
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


class _Ignored:
    """Replaces NumPy, argparse and pathlib objects stored with the weights: nothing in a file is executed."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


_IGNORED = (
    *("argparse.Namespace", "numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{core}.multiarray.{what}" for core in ("_core", "core") for what in ("scalar", "_reconstruct")),
    *(f"pathlib.{kind}Path" for kind in ("Posix", "Windows", "PurePosix", "PureWindows")),
    *(f"pathlib._local.{kind}Path" for kind in ("Posix", "Windows", "PurePosix", "PureWindows")),
)


def _unpickle(path: Path) -> object:
    try:
        with defer_signals():
            import torch
    except ModuleNotFoundError:
        raise BenchError(
            f'{path} is a torch pickle, which needs torch: pip install "crossfake[torch]"; or give a .safetensors file'
        ) from None
    _refuse_compressed(path)
    ignored = torch.serialization.safe_globals([(_Ignored, name) for name in _IGNORED])
    # Opened here, since torch treats a file named .safetensors as one.
    with warnings.catch_warnings(), ignored, path.open("rb") as file:
        warnings.simplefilter("ignore")  # About unusual pickle protocols: reading will show whether they work.
        return torch.load(file, map_location="cpu", weights_only=True)


def _refuse_compressed(path: Path) -> None:
    """Reject an archive that is larger than its file: torch.save doesn't compress, and a small file could expand a lot.

    Raises:
        BenchError: it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # Another format, or damaged: reading it will show.
    if size > path.stat().st_size:
        raise BenchError(f"{path} unpacks to {size:,} bytes from {path.stat().st_size:,}: torch.save doesn't compress")


def _make_read_error(path: Path, error: Exception) -> BenchError:
    with path.open("rb") as file:
        head = file.read(16)
    code = re.search(r"Unsupported (?:global|class)\W*(?:GLOBAL )?(\w+(?:\.\w+)*)(?![.\w])", str(error), re.IGNORECASE)
    if not head:
        reason = "it is empty"
    elif _LEGACY.startswith(head[: len(_LEGACY)]) and _ends_early(path):
        reason = _CUT
    elif code:
        reason = f"it holds {code[1]}, which is neither a tensor nor plain data; code in pickles is never run"
    elif _is_zip(path):
        reason = "it is a zip archive, and only archives from torch.save, named .pkl or .pth, can be read"
    elif head.startswith((b"PK", _LEGACY)):
        reason = _CUT
    elif path.suffix != ".safetensors":
        reason = f"it begins with {head!r}, unlike any file from torch.save"
    else:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
    return BenchError(f"{path} ({path.stat().st_size} bytes) can't be read as a checkpoint: {reason}")


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # An archive that continues in another file.
        return False


def _ends_early(path: Path) -> bool:
    """Return whether a legacy file (five pickles, then the numbers) ends inside the pickles."""
    with path.open("rb") as file:
        try:
            for _ in range(5):
                deque(pickletools.genops(file), maxlen=0)
        except Exception:  # Several types; which one doesn't matter.
            return True
    return False
