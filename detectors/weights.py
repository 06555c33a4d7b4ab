"""Reading checkpoint files, and telling in a line why one doesn't fit. Only torch's own pickles need torch."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..benchmark.errors import BenchError


def read_weights(path: Path, framework: str = "numpy") -> dict[str, Any]:
    """Read names and arrays from a .safetensors file or a torch pickle ({network: ...}, {state_dict: ...} or bare).

    Of a .safetensors file, with `framework` torch, they are tensors that take no memory until they are used.

    Raises:
        BenchError: no such file, not a checkpoint, or a pickle where torch isn't installed.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    try:
        if path.suffix == ".safetensors":
            return import_module(f"safetensors.{framework}").load_file(path)
        content = _unpickled(path)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        raise _unreadable(path, error) from None
    except Exception as error:  # safetensors raises a type of its own, which derives from Exception alone.
        if type(error).__name__ != "SafetensorError":
            raise
        raise _unreadable(path, error) from None
    for wrapper in ("network", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(hasattr(v, "numpy") for v in content.values()):
        raise BenchError(f"{path} holds a {type(content).__name__}, not a mapping of names to tensors")
    return {k.removeprefix("module."): v.numpy() for k, v in content.items()}


def _unpickled(path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError:
        raise BenchError(
            f'{path} is a torch pickle, which needs torch: pip install "crossfake[torch]"; or give a .safetensors file'
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of unusual pickle protocols: whether it can be read will show.
        return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, error: Exception) -> BenchError:
    with path.open("rb") as file:
        head = file.read(16)
    code = re.search(r"Unsupported (?:global|class)\W*(?:GLOBAL )?([\w.]+)", str(error))
    if not head:
        reason = "it is empty"
    elif code:
        reason = f"it holds {code[1]}, which is neither tensor nor plain data; code in pickles is never run"
    elif head.startswith(b"PK"):
        reason = "its end is missing or damaged, as of a download cut short"
    elif isinstance(error, pickle.UnpicklingError):
        reason = f"it begins with {head!r}, as no file that torch.save wrote"
    else:
        reason = " ".join(str(error).split())[:160]
    return BenchError(f"{path} ({path.stat().st_size} bytes) can't be read as a checkpoint: {reason}")


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
