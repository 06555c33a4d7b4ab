"""Detectors that exist only in memory: a class or object of the user's session, or a network and its input format."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, TypeGuard, cast
from uuid import uuid4

import numpy as np

from ...benchmark.core.contracts import SavesWeights, Scores
from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.registry import MemoryEntry
from .crops import AlignedCrop, BoxCrop

if TYPE_CHECKING:
    from torch import nn

CROPS: dict[str, type[BoxCrop] | type[AlignedCrop]] = {"box": BoxCrop, "aligned": AlignedCrop}
OUTPUTS = ("logits", "probabilities")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ModelDetector:
    """A network as a detector: it crops and normalises faces and computes P(fake) from the output.

    Args:
        model: a torch `nn.Module`, which takes and returns tensors, or any function of arrays: from normalised float32
            (N, 3, S, S) to logits (N, 2), or one logit per image, (N, 1) or (N,).
        size: S, the crop's side in pixels.
        mean: mean of each channel, red first, for pixels from 0 to 1.
        std: standard deviation, likewise.
        fake: which of two outputs is fake; for one logit, 1 if large means fake, 0 if large means real.
        margin: the crop's side relative to the face box.
        crop: `box`, the square face box, or `aligned`, rotated and scaled by five points of the face.
        output: what the model returns, `logits` or `probabilities`.

    Raises:
        BenchError: the model can't be called, or `fake`, `crop` or `output` isn't valid.
    """

    precision = "fp32"
    name = ""  # The name in tables; by default the model's class.
    content = ""  # The hash of the file it was made from, if any.

    def __init__(
        self,
        model: nn.Module | Callable[[np.ndarray], np.ndarray],
        size: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        fake: int = 1,
        margin: float = 1.3,
        crop: str = "box",
        output: str = "logits",
    ):
        require_known("crop", crop, CROPS)
        require_known("output", output, OUTPUTS)
        if not callable(model):
            raise BenchError(
                f"a {type(model).__name__} is not a model: pass a torch nn.Module, or a function of images"
            )
        if fake not in (0, 1):
            raise BenchError(f"fake = {fake!r}: expected 0 or 1, the output that means fake")
        self.model, self.size, self.fake, self.margin, self.crop, self.output = model, size, fake, margin, crop, output
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)

    def use_device(self, name: str) -> None:
        """Move a torch module to this device.

        Raises:
            BenchError: it is a function, whose device nobody here knows; or see `find_torch_device`.
        """
        module = _get_module(self.model)
        if module is None:
            raise BenchError(f"{self.name or 'this function'} chooses its device itself. Leave out --device")
        from ..common_torch.places import find_torch_device

        module.to(find_torch_device(name))

    def cropper(self) -> BoxCrop | AlignedCrop:
        """Return the cropper for the square face box or the aligned face."""
        return CROPS[self.crop](self.size, self.margin)

    def score(self, frames: np.ndarray) -> np.ndarray:
        """Return P(fake), float32 (N,), of uint8 (N, S, S, 3) RGB crops.

        Raises:
            BenchError: the model's output has the wrong shape.
        """
        return self.read_output(np.asarray(self.run(frames), np.float64), len(frames)).astype(np.float32)

    def run(self, frames: np.ndarray) -> np.ndarray:
        """Return the model's output for uint8 (N, S, S, 3) RGB crops."""
        images = ((frames / np.float32(255) - self.mean) / self.std).transpose(0, 3, 1, 2).astype(np.float32)
        return self._run(np.ascontiguousarray(images))

    def read_output(self, output: np.ndarray, count: int) -> np.ndarray:
        """Return P(fake), float64 (N,), of the model's output for `count` images.

        Raises:
            BenchError: it has the wrong shape, or should be probabilities and isn't.
        """
        if output.shape not in ((count, 2), (count, 1), (count,)):
            raise BenchError(
                f"the model gave shape {output.shape} for {count} images; "
                f"expected logits ({count}, 2) or one logit per image ({count},)"
            )
        pair = output.shape == (count, 2)
        if self.output == "probabilities":
            if not ((output >= 0) & (output <= 1)).all():
                raise BenchError(f"the model gave {output.min():.3g} to {output.max():.3g}: these aren't probabilities")
            chosen = output[:, self.fake] if pair else output.reshape(-1)
            return chosen if pair or self.fake else 1 - chosen
        from scipy.special import expit

        difference = output[:, self.fake] - output[:, 1 - self.fake] if pair else output.reshape(-1)
        return expit(difference if pair or self.fake else -difference)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights by name; none of a plain function."""
        module = _get_module(self.model)
        if module is None:
            return {}
        return {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}

    def _run(self, images: np.ndarray) -> np.ndarray:
        module = _get_module(self.model)
        if module is None:
            return np.asarray(self.model(images))
        import torch

        from ..common_torch.cuda_settings import choose_cuda_settings

        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        with torch.no_grad(), choose_cuda_settings(tf32=False, benchmark=False):
            output: torch.Tensor = module.eval()(torch.from_numpy(images).to(device))
        return output.float().cpu().numpy()


def make_entry(given: object) -> MemoryEntry:
    """Return a registry entry for a class or object given in memory.

    Its results are keyed by its source and weights; an object without either never counts as the same twice.

    Raises:
        BenchError: it has no method `score(frames)`.
    """
    cls = given if isinstance(given, type) else type(given)
    if not (issubclass(cls, Scores) if isinstance(given, type) else isinstance(given, Scores)):
        raise BenchError(_explain_unusable(given))
    code = hash_object(given) or uuid4().hex
    name = _name_given(given, cls)
    return MemoryEntry(name, f"memory:{name}.{code[:10]}", "given in memory", given=given, code=code)


def _name_given(given: object, cls: type) -> str:
    if isinstance(given, ModelDetector):
        return given.name or f"local/{type(given.model).__name__}"
    return f"local/{cls.__name__}"


def is_torch_module(given: object) -> TypeGuard[nn.Module]:
    """Return whether it is a torch `nn.Module`, without importing torch."""
    return _get_module(given) is not None


def _explain_unusable(given: object) -> str:
    is_module = _get_module(given) is not None
    if is_module or (callable(given) and not isinstance(given, type)):
        kind = "torch module" if is_module else "function"
        return (
            f"a bare {kind} is not a detector: describe its input, as in crossfake.wrap_model(model, size=224, fake=1)"
        )
    name = given.__name__ if isinstance(given, type) else type(given).__name__
    return f"{name} has no method score(frames), which every detector needs"


def hash_object(given: object) -> str:
    """Hash the source of an object's classes, its weights and its other attributes.

    Empty if part of what it scores with can't be inspected: a different object might look the same.
    """
    try:
        if isinstance(given, ModelDetector) and given.content:
            return hashlib.sha256(given.content.encode() + _pack_attributes(given)).hexdigest()
        parts = _pack_function(given.model) if isinstance(given, ModelDetector) else _pack_classes(given)
        if not isinstance(given, type):
            parts += [_pack_weights(given), _pack_attributes(given)]
    except _UnseenError:
        return ""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


class _UnseenError(Exception):
    """Part of an object has neither source nor weights."""


def _pack_function(model: object) -> list[bytes]:
    """Return a function's source with the variables it captures; for a network, its classes' source."""
    if not inspect.isfunction(model):
        return _pack_classes(model)
    around = inspect.getclosurevars(model)
    return [_read_source(model), _pickle({**around.nonlocals, **_select_plain(around.globals)})]


def _select_plain(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out modules, classes and functions, which are represented by their own code."""
    return {k: v for k, v in values.items() if not (inspect.ismodule(v) or inspect.isroutine(v) or isinstance(v, type))}


def _pack_classes(given: object) -> list[bytes]:
    cls = given if isinstance(given, type) else type(given)
    return [_read_source(one) for one in cls.__mro__ if one.__module__ not in ("builtins", "abc", "typing")]


def _read_source(given: type | FunctionType) -> bytes:
    try:
        return inspect.getsource(given).encode()
    except (OSError, TypeError):  # Typed at a prompt, or compiled.
        raise _UnseenError from None


def _pack_weights(given: object) -> bytes:
    if not isinstance(given, SavesWeights):
        return b""
    state = {name: np.asarray(value) for name, value in given.state().items()}
    return b"".join(
        name.encode() + str((a.dtype, a.shape)).encode() + np.ascontiguousarray(a).tobytes()
        for name, a in sorted(state.items())
    )


def _pack_attributes(given: object) -> bytes:
    seen = {"model"} if isinstance(given, ModelDetector) else set()
    return _pickle({k: v for k, v in vars(given).items() if k not in seen and _get_module(v) is None})


def _pickle(values: Mapping[str, object]) -> bytes:
    try:
        return pickle.dumps(sorted(values.items(), key=lambda item: item[0]))
    except Exception:  # Any type may fail in its own way.
        raise _UnseenError from None


def _get_module(given: object) -> nn.Module | None:
    """Return the object if it is a torch module, else None; torch isn't imported to find out."""
    torch = sys.modules.get("torch")
    return cast("nn.Module", given) if torch is not None and isinstance(given, torch.nn.Module) else None
