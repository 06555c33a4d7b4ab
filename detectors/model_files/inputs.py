"""A model file's input and output format, and the detector made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...benchmark.core.display import say_once
from ...benchmark.core.errors import BenchError
from ...benchmark.core.precisions import AUTO
from ..common.in_memory import IMAGENET_MEAN, IMAGENET_STD, ModelDetector, is_torch_module

if TYPE_CHECKING:
    from torch import nn

REAL_WORDS = {"real", "genuine", "original", "authentic", "live", "bonafide", "pristine", "human", "realism"}
FAKE_WORDS = {"fake", "deepfake", "spoof", "manipulated", "synthetic", "generated", "ai", "forged", "artificial"}


class Inputs(NamedTuple):
    """A model's input and output format; None: as its file says, else the default.

    Args:
        size: side of the square image in pixels; default 224.
        mean, std: mean and standard deviation of each channel, red first, for pixels from 0 to 1; default ImageNet's.
        fake: which of two outputs is fake, default 1; for one output, 1 if large means fake, 0 if large means real.
        crop: `box`, the square face box, or `aligned`, rotated and scaled by five points of the face.
        margin: the crop's side relative to the face box.
        output: `logits` or `probabilities`.
    """

    size: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    fake: int | None = None
    crop: str = "box"
    margin: float = 1.3
    output: str | None = None

    def over(
        self, size: int | None, mean: Sequence[float] | None, std: Sequence[float] | None, fake: int | None
    ) -> Inputs:
        """Return these settings, completed with what a file says."""
        return self._replace(
            size=self.size or size,
            mean=self.mean if self.mean is not None else mean,
            std=self.std if self.std is not None else std,
            fake=self.fake if self.fake is not None else fake,
        )


class FileModel(ModelDetector):
    """A model file as a detector.

    Args:
        name: its name in tables, such as `onnx:model`.
        content: the hash of all files it was made from.
        model: float32 (N, 3, S, S), normalised, to (N, 2), (N, 1) or (N,).
        inputs: its input and output format.
    """

    _placed = False

    def __init__(self, name: str, content: str, model: nn.Module | Callable[[np.ndarray], np.ndarray], inputs: Inputs):
        mean, std = inputs.mean, inputs.std
        super().__init__(
            model,
            224 if inputs.size is None else inputs.size,
            IMAGENET_MEAN if mean is None else mean,
            IMAGENET_STD if std is None else std,
            1 if inputs.fake is None else inputs.fake,
            inputs.margin,
            inputs.crop,
            inputs.output or "logits",
        )
        self.name, self.content, self.told_output = name, content, inputs.output is not None

    def score(self, frames: np.ndarray) -> np.ndarray:
        """Return P(fake); see `ModelDetector`. A network of a file is moved to the GPU first, where there is one."""
        if self.content and is_torch_module(self.model) and not self._placed:
            self.use_device(AUTO)
        return super().score(frames)

    def use_device(self, name: str) -> None:
        """Move a torch module to this device; see `ModelDetector`."""
        super().use_device(name)
        self._placed = True

    def try_out(self) -> None:
        """Score random images; two outputs that sum to one are taken as probabilities.

        Raises:
            BenchError: the model fails on images of this size, or its output has the wrong shape.
        """
        images = np.random.default_rng(0).integers(0, 256, (3, self.size, self.size, 3), np.uint8)
        try:
            output = np.asarray(self.run(images), np.float64)
        except BenchError:
            raise
        except Exception as error:  # Each runtime fails in its own way.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BenchError(
                f"{self.name} can't score images of {self.size}x{self.size}: {reason}. Give its input size with --size"
            ) from None
        self.read_output(output, len(images))
        is_distribution = output.ndim == 2 and np.allclose(output.sum(1), 1, atol=1e-3) and (output >= 0).all()
        if not self.told_output and output.shape[-1] == 2 and is_distribution:
            self.output = "probabilities"
            say_once(f"{self.name}: its two outputs sum to one, so they are taken as probabilities")


def find_fake_class(labels: Sequence[str], name: str) -> int:
    """Return which of two classes is fake, judging by their names.

    Raises:
        BenchError: there aren't two, or their names don't say.
    """
    if len(labels) != 2:
        shown = ", ".join(labels[:6]) or "none"
        raise BenchError(f"{name} has {len(labels)} classes ({shown}), expected two, or one output. Use another model")
    kinds = [_find_kind(label) for label in labels]
    if set(kinds) not in ({"real", "fake"}, {"real", ""}, {"fake", ""}):
        raise BenchError(
            f"{name} calls its classes {labels[0]} and {labels[1]}: neither says which is fake. Give --fake 0 or 1"
        )
    return kinds.index("fake") if "fake" in kinds else 1 - kinds.index("real")


def _find_kind(label: str) -> str:
    words = set("".join(c if c.isalnum() else " " for c in label.casefold()).split())
    if words & FAKE_WORDS:
        return "fake"
    return "real" if words & REAL_WORDS else ""
