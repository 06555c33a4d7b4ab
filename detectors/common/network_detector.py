"""What the trained detectors of both backends share: data, input checks, and the reference's weight names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...benchmark.core.contracts import Cropper, Sampler
from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import Face
from .fit import Shaped
from .weights import Weight, load_weights

T = TypeVar("T")
LEAST_SIZE = 32  # Pixels: networks for any size make maps 32 times smaller.
UNUSED_IN_XCEPTION = "backbone.adjust_channel."  # DeepfakeBench's class always has it, and so do its checkpoints.


class NetworkDetector:
    """Base of `TorchDetector` and `JaxDetector`, which define `_score` and `_outputs` for input checked here.

    Weights are saved and loaded under the reference's names; if our modules have other names, a subclass overrides
    `reference_name`. Without an `input_size`, images of any size are accepted.
    """

    input_size: int
    takes_any_size = False  # Whether the network also runs on sizes other than `input_size`.

    def cropper(self) -> Cropper:
        """Return the cropper that cuts the uint8 (S, S, 3) RGB crop for `score` from a context crop."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Return the sampler, which makes training examples."""
        raise NotImplementedError

    def usable(self, batch: Mapping[str, np.ndarray]) -> bool:
        """Return whether a training batch, which may have lost examples, is good enough for a step."""
        return len(next(iter(batch.values()), ())) > 0

    def crop(self, face: Face) -> np.ndarray:
        """Cut this detector's uint8 (S, S, 3) RGB crop from a context crop."""
        return self.cropper()(face)

    # ---- called by the harness

    def score(self, frames: np.ndarray) -> np.ndarray:
        """Return P(fake), float32 (N,), of uint8 (N, S, S, 3) RGB crops.

        Raises:
            BenchError: see `check_frames`.
        """
        checked = self.check_frames(frames)
        return self._score(checked) if len(checked) else np.empty(0, np.float32)

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for float32 (N, 3, S, S) input, normalised as the network expects.

        Raises:
            BenchError: see `check_input`.
        """
        return self._compute_outputs(self.check_input(x))

    def outputs_of(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for uint8 (N, S, S, 3) RGB crops.

        Raises:
            BenchError: see `check_frames`.
        """
        return self._compute_outputs(self.check_frames(frames))

    def _compute_outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        # With no images there are no outputs, but a black image gives their names and shapes.
        some = images if len(images) else np.zeros((1, *images.shape[1:]), images.dtype)
        return {name: value[: len(images)] for name, value in self._outputs(some).items()}

    def _score(self, frames: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for normalised float32 (N, 3, S, S) or uint8 (N, S, S, 3) RGB; N > 0."""
        raise NotImplementedError

    def check_frames(self, frames: np.ndarray) -> np.ndarray:
        """Return uint8 (N, S, S, 3) RGB crops as an array.

        Raises:
            BenchError: they are something else, or don't have this detector's size.
        """
        given = np.asarray(frames)
        if given.dtype != np.uint8 or given.shape[3:] != (3,) or not self._has_right_size(given.shape[1:3]):
            raise BenchError(
                f"{type(self).__name__} scores RGB crops, uint8 (N, {self._describe_size()}, 3) of 0 to 255, "
                f"got {_describe_array(given)}. detector.crop(face) makes them"
            )
        return given

    def check_input(self, x: np.ndarray) -> np.ndarray:
        """Return normalised input as a float32 (N, 3, S, S) array; other floating types are converted.

        Raises:
            BenchError: it is something else, or doesn't have this detector's size.
        """
        given = np.asarray(x)
        if (
            given.dtype.kind != "f"
            or given.ndim != 4
            or given.shape[1] != 3
            or not self._has_right_size(given.shape[2:])
        ):
            raise BenchError(
                f"{type(self).__name__} takes normalised input, float32 (N, 3, {self._describe_size()}), "
                f"got {_describe_array(given)}. uint8 crops (N, {self._describe_size()}, 3) go to outputs_of(frames)"
            )
        return np.ascontiguousarray(given, np.float32)

    def _has_right_size(self, sides: tuple[int, ...]) -> bool:
        if self._own_size is None:
            return min(sides) >= LEAST_SIZE
        return sides == (self._own_size, self._own_size)

    @property
    def _own_size(self) -> int | None:
        return None if self.takes_any_size else getattr(self, "input_size", None)

    def _describe_size(self) -> str:
        return f"{self._own_size}, {self._own_size}" if self._own_size else f"H, W from {LEAST_SIZE} on"

    # ---- weights

    def names(self) -> Mapping[str, Shaped]:
        """Return the names of our weights, each with something of its shape."""
        raise NotImplementedError

    def reference_name(self, name: str) -> str:
        """Return the reference's name for one of our weights."""
        return name

    def is_unused(self, name: str) -> bool:
        """Return whether this name is an unused weight of the reference; checkpoints may lack it."""
        return False

    def translate(self, given: Mapping[str, Weight]) -> Mapping[str, Weight]:
        """Translate another release's weights to the reference's names and shapes."""
        return given

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Adapt the network to a checkpoint's shapes (by the reference's names), if there are several forms."""

    def load_arrays(
        self, weights: Path | str | Mapping[str, object], framework: str = "numpy"
    ) -> dict[str, np.ndarray]:
        """Return the checked weights of a checkpoint or a mapping under our names; see `load_weights`."""
        found = load_weights(
            weights, framework, lambda: self.to_reference(self.names()), self.adapt, self.is_unused, self.translate
        )
        return self.from_reference(found)

    def to_reference(self, state: Mapping[str, T]) -> dict[str, T]:
        """Give our weights the reference's names."""
        return {self.reference_name(k): v for k, v in state.items()}

    def from_reference(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Give the reference's weights our names."""
        ours = {self.reference_name(k): k for k in self.names()}
        return {ours[k]: v for k, v in state.items()}


def _describe_array(given: np.ndarray) -> str:
    """Describe an array: its type, shape and range of values, which shows their scale."""
    numbers = given.size and given.dtype.kind in "fiu"
    return f"{given.dtype} {given.shape}" + (f" of {given.min():g} to {given.max():g}" if numbers else "")
