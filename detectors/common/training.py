"""What training sessions of both backends share: learning rate, step count, batch contents. No backend."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, SupportsFloat, TypeVar

import numpy as np

from ...benchmark.core.contracts import ChecksTraining
from ...benchmark.core.precisions import AUTO
from ...benchmark.core.shared_steps import check_step_settings
from .network_detector import NetworkDetector

if TYPE_CHECKING:
    from ...benchmark.core.contracts import WriteState
    from ...benchmark.core.settings import TrainSettings

D = TypeVar("D", bound=NetworkDetector)
Arrays = dict[str, np.ndarray]


class NetworkTraining(Generic[D]):
    """Steps through batches of named arrays. `state` and `restore` make a resumed session equal an uninterrupted one.

    Base of `TorchTraining` and `JaxTraining`, which define `_update`, `_differentiate`, `snapshot` and `restore`.
    `done` counts the steps taken; `precision` is how they are computed: `fp32`, `tf32` or `bf16`.
    """

    def __init__(
        self, detector: D, settings: TrainSettings, total_steps: int, steps_per_epoch: int, *, fast_bf16: bool
    ):
        check_step_settings(detector, type(detector).__name__, settings)
        if isinstance(detector, ChecksTraining):
            detector.check_training(settings)
        self.detector, self.settings = detector, settings
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.done = 0
        automatic = "bf16" if fast_bf16 else "fp32"
        self.precision = automatic if settings.precision == AUTO else settings.precision

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.settings.learning_rate(self.done, self.total_steps, self.steps_per_epoch)

    def step(self, batch: Arrays) -> dict[str, float]:
        """Take one optimisation step on a batch from the detector's sampler; return the losses, by name.

        A batch that isn't `usable` is skipped: no step, no losses.
        """
        return self.launch(batch)()

    def launch(self, batch: Arrays) -> Callable[[], dict[str, float]]:
        """Start what `step` does, and return what waits for the losses: an accelerator may still be at work on it."""
        if not self.detector.usable(batch):
            return dict
        read = self._update(batch)
        self.done += 1
        return lambda: _to_floats(read())

    def gradients(self, batch: Arrays) -> tuple[dict[str, float], Arrays]:
        """Return the losses and the gradients that `step` would use, before any clipping; nothing is changed.

        Gradients have the reference's key names; in PyTorch, parameters that the loss doesn't reach have none. Both are
        empty for a batch that isn't `usable`.
        """
        if not self.detector.usable(batch):
            return {}, {}
        losses, gradients = self._differentiate(batch)
        return _to_floats(losses), {k: np.asarray(v) for k, v in self.detector.to_reference(gradients).items()}

    def state(self) -> bytes:
        """Return everything that `restore` needs."""
        buffer = io.BytesIO()
        self.snapshot()(buffer)
        return buffer.getvalue()

    # ---- defined by each backend

    def _update(self, batch: Arrays) -> Callable[[], Mapping[str, SupportsFloat]]:
        """Start a step at `learning_rate()`, and return what reads its losses."""
        raise NotImplementedError

    def _differentiate(self, batch: Arrays) -> tuple[Mapping[str, SupportsFloat], Arrays]:
        """Return the losses and the gradients, by our weights' names."""
        raise NotImplementedError

    def snapshot(self) -> WriteState:
        """Copy everything that `restore` needs, and return a function that writes it; see `Snapshots`."""
        raise NotImplementedError

    def restore(self, packed: bytes) -> None:
        """Go back to the point at which `state` was called."""
        raise NotImplementedError


def _to_floats(losses: Mapping[str, SupportsFloat]) -> dict[str, float]:
    return {name: float(value) for name, value in losses.items()}
