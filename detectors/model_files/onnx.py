"""ONNX models, run by ONNX Runtime: `onnx:FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...benchmark.core.errors import BenchError, require_existing
from ...benchmark.core.keys import file_hash
from .inputs import FileModel, Inputs

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def open_model(where: str, inputs: Inputs) -> FileModel:
    """Open an ONNX file; its fixed image size, if any, is used.

    Raises:
        BenchError: no such file, or ONNX Runtime can't open it, or it doesn't take images (N, 3, S, S).
    """
    path = require_existing(Path(where), "ONNX file")
    content = file_hash(path)
    session = _start_session(path)
    height = _check_input(session, path)
    if height and inputs.size not in (None, height):
        raise BenchError(f"{path} takes images of {height}x{height}, not {inputs.size}. Leave out --size")
    return FileModel(f"onnx:{path.stem}", content, OnnxModel(session), inputs.over(height, None, None, None))


class OnnxModel:
    """A session as a function of images; a file with a fixed batch size gets such batches, the last one padded."""

    def __init__(self, session: InferenceSession):
        self.session, (self.input,) = session, session.get_inputs()
        self.output = session.get_outputs()[0].name
        self.batch = self.input.shape[0] if isinstance(self.input.shape[0], int) else None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the first output of float32 (N, 3, S, S)."""
        images = images.astype(TYPES[self.input.type])
        if self.batch is None:
            return self._run(images)
        spare = -len(images) % self.batch
        filled = np.concatenate([images, np.repeat(images[-1:], spare, 0)])
        parts = [self._run(filled[i : i + self.batch]) for i in range(0, len(filled), self.batch)]
        return np.concatenate(parts)[: len(images)]

    def _run(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.session.run([self.output], {self.input.name: images})[0])


def _start_session(path: Path) -> InferenceSession:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # Its messages about graphs don't help users.
    try:
        return onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    except Exception as error:  # onnxruntime raises a dozen different types.
        reason = " ".join(str(error).split())[:200]
        raise BenchError(f"{path} can't be opened as an ONNX model: {reason}") from None


def _check_input(session: InferenceSession, path: Path) -> int | None:
    """Return the fixed side of the images, None if the file leaves it open."""
    taken = session.get_inputs()
    shape = taken[0].shape
    if len(taken) != 1 or taken[0].type not in TYPES or len(shape) != 4 or shape[1] == 1:
        told = ", ".join(f"{i.name} {i.type} {i.shape}" for i in taken)
        raise BenchError(f"{path} takes {told}; expected one input of images, float (N, 3, S, S)")
    sides = {side for side in shape[2:] if isinstance(side, int)}
    if len(sides) > 1:
        raise BenchError(f"{path} takes images of {shape[2]}x{shape[3]}; only square ones work. Export it again")
    return sides.pop() if sides else None
