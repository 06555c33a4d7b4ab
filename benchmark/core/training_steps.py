"""Optional abilities of training sessions, so that an accelerator needn't wait for the processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

ReadLosses = Callable[[], Mapping[str, float]]
"""Waits for a step's losses, and returns them by name."""


@runtime_checkable
class LaunchesSteps(Protocol):
    """A training session that starts a step without waiting for it: its losses are read once the next has started."""

    def launch(self, batch: dict[str, np.ndarray]) -> ReadLosses:
        """Start a step on a batch, which may change afterwards, and return a function that reads its losses."""


@runtime_checkable
class GivesGradients(Protocol):
    """A training session that can compute the gradients of a batch without taking a step."""

    def gradients(self, batch: dict[str, np.ndarray]) -> tuple[Mapping[str, float], Mapping[str, np.ndarray]]:
        """Return losses and gradients by name; nothing changes."""
