"""What the trained detectors of both backends share: their data, and the reference's names for their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..benchmark.types import Cropper, Face, Sampler


class NetworkDetector:
    """Base of `TorchDetector` and `JaxDetector`.

    Weights are saved and loaded under the reference's names; where our modules are called otherwise, a subclass
    overrides `reference_name`.
    """

    input_size: int

    def cropper(self) -> Cropper:
        """Return what cuts the uint8 (S, S, 3) RGB crop that `score` takes from a context crop."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Return what makes training examples."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """Return the names of our weights."""
        raise NotImplementedError

    def reference_name(self, name: str) -> str:
        """Return the reference's name of one of our weights."""
        return name

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make the network the one of a checkpoint's shapes, by the reference's names, where there are several."""

    def to_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename our weights to the reference's names."""
        return {self.reference_name(k): v for k, v in state.items()}

    def from_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename the reference's weights to our names."""
        ours = {self.reference_name(k): k for k in self.names()}
        return {ours[k]: v for k, v in state.items()}

    def crop(self, face: Face) -> np.ndarray:
        """Cut this detector's uint8 (S, S, 3) RGB crop from a context crop."""
        return self.cropper()(face)
