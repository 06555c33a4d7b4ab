"""Networks as ONNX files: a detector's `forward` on uint8 crops, including normalisation, cached by its weights.

Nothing in such a file selects code to run; a damaged file is exported again.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...benchmark.core.errors import BenchError
from ...benchmark.core.keys import file_hash, hash_key
from ...benchmark.core.storage import cache_home, hold_lock, write_atomically

if TYPE_CHECKING:
    from ..common_torch.detector import TorchDetector

EXPORT_VERSION = 1
OPSET = 17
MOST_BYTES = 4 << 30
"""Total size limit of these files; the least recently used are removed."""


class Logits(nn.Module):
    """A detector's network as a function of uint8 (N, S, S, 3) RGB crops alone."""

    def __init__(self, detector: TorchDetector):
        super().__init__()
        self.network, self.detector = detector.network, [detector]  # In a list, to hide it from torch's modules.

    def forward(self, frames: Tensor) -> Tensor:
        """Return `logits`."""
        detector = self.detector[0]
        return detector.forward(detector.normalise(frames))["logits"]


def export_network(detector: TorchDetector, frames: np.ndarray) -> Path:
    """Return the ONNX file of a detector's network, from the cache or exported now.

    Args:
        detector: placed on the processor, in evaluation mode.
        frames: uint8 (N, S, S, 3) RGB crops, at least one.

    Raises:
        BenchError: the network can't be exported.
    """
    folder = cache_home() / "exports"
    path = folder / f"{_make_key(detector, frames.shape[1:])}.onnx"
    with hold_lock(folder):
        if path.is_file():
            path.touch()
        else:
            _write(detector, torch.from_numpy(np.resize(frames, (2, *frames.shape[1:]))), path)
            _make_room(folder, path)
    return path


def _make_key(detector: TorchDetector, shape: tuple[int, ...]) -> str:
    """Hash what the file depends on: weights, code and plain options, the size of crops, and torch's version."""
    weights = hashlib.sha256()
    for name, value in detector.network.state_dict().items():
        weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        weights.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    plain = {
        k: v for k, v in vars(detector).items() if isinstance(v, str | int | float | bool) and k not in _NO_OPTIONS
    }
    code = _hash_code([type(detector), *{type(m) for m in detector.network.modules()}])
    structure = hash_key(str(detector.network))
    return hash_key([EXPORT_VERSION, OPSET, torch.__version__, plain, code, structure, shape, weights.hexdigest()], 32)


_NO_OPTIONS = {"runtime", "precision", "compile_seconds"}


def _hash_code(classes: Iterable[type]) -> list[str]:
    """Hash the source files of classes and their base classes, except Python's own."""
    modules = {name for cls in classes for base in cls.__mro__ if (name := base.__module__) != "builtins"}
    files = {getattr(sys.modules.get(name), "__file__", None) for name in modules}
    return sorted(file_hash(Path(file)) for file in files if file and Path(file).is_file())


@torch.no_grad()
def _write(detector: TorchDetector, frames: Tensor, path: Path) -> None:
    with write_atomically(path) as temporary, warnings.catch_warnings():
        # About values fixed by the crop size, and that this exporter will be removed: the other one takes seconds
        # instead of a tenth of a second, and one more package.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                Logits(detector).eval(),
                (frames,),
                str(temporary),
                input_names=["frames"],
                output_names=["logits"],
                dynamic_axes={"frames": {0: "n"}, "logits": {0: "n"}},
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # Tracing may raise anything that a network's code raises.
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise BenchError(
                f"{type(detector).__name__} can't be exported to ONNX: {reason}. Use --runtime torch"
            ) from error


def _make_room(folder: Path, newest: Path) -> None:
    """Remove the least recently used files until the rest fits."""
    left = MOST_BYTES
    for path in _sort_by_use(folder.glob("*.onnx")):
        left -= path.stat().st_size
        if left < 0 and path != newest:
            path.unlink(missing_ok=True)


def _sort_by_use(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: -path.stat().st_mtime)
