"""Large networks that are initialised only when needed, since a checkpoint may bring all their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import numpy as np
import torch
from torch import nn

from ...benchmark.core.errors import BenchError
from .detector import TorchDetector

if TYPE_CHECKING:
    from ...benchmark.core.settings import TrainSettings
    from .training import TorchTraining

Network = TypeVar("Network", bound=nn.Module)


class LazyDetector(TorchDetector, Generic[Network]):
    """Base of detectors whose network has no values until it is loaded, scored with, trained or saved.

    A subclass calls `start` at the end of its `__init__`, and defines `build`.
    """

    network: Network
    seed: int

    def start(self, pretrained: bool | str) -> None:
        """Make the network, with published weights or empty."""
        super().__init__()
        self.seed = int(torch.randint(2**31, ()))
        self.network = self.build(pretrained) if pretrained else self.build_empty()

    def build(self, pretrained: bool | str) -> Network:
        """Return the network with published or random weights; untrained parts are frozen."""
        raise NotImplementedError

    def build_empty(self) -> Network:
        """Return the network without values."""
        with torch.device("meta"):
            return self.build(pretrained=False)

    @property
    def is_empty(self) -> bool:
        """Whether the network has no values yet."""
        return next(self.network.parameters()).is_meta

    def materialise(self) -> None:
        """Draw random weights, the same for the same seed, unless there are weights already."""
        if self.is_empty:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                self.network = self.build(pretrained=False)

    def _place(self) -> None:
        self.materialise()
        super()._place()

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> TorchTraining:
        """Start a training session."""
        self.materialise()
        return super().training(settings, total_steps, steps_per_epoch)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays under the reference's key names."""
        self.materialise()
        return super().state()

    def load(self, weights: Path | str | Mapping[str, object]) -> Self:
        """Load weights; see `TorchDetector.load`. If they don't fit, nothing changes."""
        before = dict(vars(self))
        try:
            if self.is_empty:
                self.network = self.build_empty().to_empty(device="cpu")
            return super().load(weights)
        except BenchError:
            vars(self).update(before)
            raise
