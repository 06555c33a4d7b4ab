"""What every PyTorch detector shares: scoring, raw outputs, checkpoints. A detector adds its network and objective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from .network_detector import NetworkDetector
from .weights import check_keys, read_weights

if TYPE_CHECKING:
    from ..benchmark.config import TrainSettings
    from .torch_training import TorchTraining


class TorchDetector(NetworkDetector):
    """Base of the PyTorch detectors.

    A subclass sets `network` in its `__init__`, and defines `cropper`, `normalise`, `forward`, `losses` and `sampler`.
    """

    network: nn.Module

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # ---- what a subclass defines

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, 3) RGB into float32 (N, 3, H, W) as the network takes it."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the network; the result holds at least `logits` (N, 2), class 1 being fake."""
        raise NotImplementedError

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return named scalar losses of a batch made by `sampler`; `loss` is the one that is minimised."""
        raise NotImplementedError

    def arranged(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return a training batch, from which examples may have been lost, as `losses` takes it."""
        return batch

    # ---- what the harness calls

    def score(self, frames: np.ndarray) -> np.ndarray:
        """Return P(fake), float32 (N,), of uint8 (N, S, S, 3) RGB crops."""
        x = self.normalise(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        return self._evaluate(x)["logits"].softmax(-1)[:, 1].cpu().numpy().astype(np.float32)

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for float32 (N, 3, S, S) input, normalised as the network takes it."""
        result = self._evaluate(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(self.device))
        return {name: value.float().cpu().numpy() for name, value in result.items()}

    def outputs_of(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for uint8 (N, S, S, 3) RGB crops."""
        return self.outputs(self.normalise(torch.from_numpy(np.ascontiguousarray(frames))).numpy())

    @torch.no_grad()
    def _evaluate(self, x: Tensor) -> dict[str, Tensor]:
        self._place()
        self.network.eval()
        return self.forward(x)

    def _place(self) -> None:
        self.network.to(self.device)

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> TorchTraining:
        """Start a training session (optimizer, schedule, state to resume from)."""
        from .torch_training import TorchTraining

        return TorchTraining(self, settings, total_steps, steps_per_epoch)

    def parameters_count(self) -> int:
        """Return the number of trained parameters."""
        return sum(p.numel() for p in self.network.parameters())

    def names(self) -> Iterable[str]:
        """Return the names of our weights."""
        return self.network.state_dict()

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays under the reference's key names."""
        # Copies, since training goes on in place; in C order, since safetensors writes memory as it lies, and training
        # lays convolutions out channels-last.
        own = {k: np.array(v.detach().cpu().numpy(), order="C") for k, v in self.network.state_dict().items()}
        return self.to_reference(own)

    def load(self, source: Path | str | Mapping[str, Any]) -> Self:
        """Take weights from a .safetensors file, a torch pickle, or a mapping of names to arrays; strict.

        Raises:
            BenchError: the file can't be read, or its keys or shapes aren't this network's.
        """
        origin = "the given weights" if isinstance(source, Mapping) else str(source)
        weights = source if isinstance(source, Mapping) else read_weights(Path(source), "torch")
        tensors = {k: v if isinstance(v, Tensor) else torch.as_tensor(np.asarray(v)) for k, v in weights.items()}
        self.adapt({k: tuple(v.shape) for k, v in tensors.items()})
        expected = self.to_reference(self.network.state_dict())
        check_keys(tensors, expected, origin)
        alike = {k: v.to(expected[k].dtype) for k, v in tensors.items()}
        # A file's tensors belong to nobody else: those that are never used then stay on the disk.
        self.network.load_state_dict(self.from_reference(alike), assign=not isinstance(source, Mapping))
        return self
