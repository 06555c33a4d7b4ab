"""What every PyTorch detector shares: scoring, raw outputs, checkpoints. A detector adds its network and objective."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..common.network_detector import NetworkDetector
from .folding import choose_layout, choose_training_layout, name_layout
from .places import find_torch_device

if TYPE_CHECKING:
    from ...benchmark.core.settings import TrainSettings
    from ..runtimes.runners import Runner
    from .training import TorchTraining


class TorchDetector(NetworkDetector):
    """Base of the PyTorch detectors.

    A subclass sets `network` in its `__init__`, and defines `cropper`, `normalise`, `forward`, `losses` and `sampler`.
    """

    network: nn.Module
    needs_whole_batch = ""  # Why its losses can't be added up from pieces of a batch; empty where they can.
    sharpness_counts_twice = False  # Whether batch norm's running statistics include SAM's second pass.
    runtime, precision = "torch", "fp32"  # How scores are computed; `outputs` always uses torch in float32.
    compile_seconds = 0.0  # Time spent so far on starting other runtimes.
    _runner: Runner | None = None
    _weights: Sequence[tuple[Tensor, int, int]] = ()

    def __init__(self) -> None:
        self.device = find_torch_device()

    # ---- defined by subclasses

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, 3) RGB into float32 (N, 3, H, W) as the network takes it."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the network; the result holds at least `logits` (N, 2), class 1 being fake, or (N, 1), high if fake."""
        raise NotImplementedError

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return named scalar losses of a batch made by `sampler`; `loss` is the one that is minimised.

        Of a piece of a batch, they are what it adds to the whole's, divided by its share of the rows: means over rows
        are that by themselves, and so is what depends on weights alone. For means over something else see
        `count_terms`; a detector whose losses are neither says so in `needs_whole_batch`.
        """
        raise NotImplementedError

    def count_terms(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return how many of what its losses are means over, besides rows, are in a batch, by name.

        Where `losses` is given a piece, it finds under that name how many there are to a row of the whole batch.
        """
        return {}

    def arrange_batch(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return a training batch, which may have lost examples, as `losses` expects it."""
        return batch

    def inputs(self, image: Tensor) -> Tensor:
        """Make the network's input from a batch's `image`: uint8 (N, S, S, 3) RGB or normalised float (N, 3, S, S).

        It is laid out as `choose_training_layout` says, in which gradients are exact on a processor and fast on CUDA.
        """
        return self._normalise_bytes(image).contiguous(memory_format=choose_training_layout(self.device))

    def _normalise_bytes(self, image: Tensor) -> Tensor:
        return image if image.is_floating_point() else self.normalise(image)

    # ---- called by the harness

    @property
    def layout(self) -> str:
        """The memory layout of maps while it scores."""
        return name_layout(choose_layout(self.network, self.device))

    def use_device(self, name: str) -> None:
        """Work on this device from now on.

        Raises:
            BenchError: see `find_torch_device`.
        """
        self.device, self._runner = find_torch_device(name), None

    def find_obstacle(self, runtime: str, precision: str) -> str:
        """Return why scoring that way isn't possible here, or "" if it is."""
        from ..runtimes.runners import find_obstacle

        return find_obstacle(self, runtime, precision)

    def use_runtime(self, runtime: str, precision: str) -> None:
        """Use this runtime and precision for scoring from now on."""
        self.runtime, self.precision, self._runner = runtime, precision, None

    def _score(self, frames: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(self._find_runner(frames)(frames))
        fake = logits[:, 0].sigmoid() if logits.shape[1] == 1 else logits.softmax(-1)[:, 1]
        return fake.numpy()

    def _find_runner(self, frames: np.ndarray) -> Runner:
        """Return the runner for the network's current weights; it is made again when they change."""
        from ..runtimes.runners import make_runner

        self._place()
        before, now = self._weights, _note_versions(self.network)
        same = len(before) == len(now) and all(
            a is b and old == new for (a, *old), (b, *new) in zip(before, now, strict=True)
        )
        # A training session that updates weights itself may hide this from torch, but not that it is training.
        if self._runner is None or not same or self.network.training:
            self.network.eval()
            started = time.perf_counter()
            self._runner, self._weights = make_runner(self, self.runtime, self.precision, frames), now
            if self.runtime != "torch":
                self.compile_seconds += time.perf_counter() - started
        return self._runner

    def _outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value.float().cpu().numpy() for name, value in self._evaluate(images).items()}

    @torch.no_grad()
    def _evaluate(self, images: np.ndarray) -> dict[str, Tensor]:
        self._place()
        self.network.eval()
        # Frames stay channels-last: up to twice as fast, and no batch statistics are summed here.
        return self.forward(self._normalise_bytes(torch.from_numpy(np.ascontiguousarray(images)).to(self.device)))

    def _place(self) -> None:
        self.network.to(self.device)

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> TorchTraining:
        """Start a training session (optimizer, schedule, state to resume from)."""
        from .training import TorchTraining

        return TorchTraining(self, settings, total_steps, steps_per_epoch)

    def parameters_count(self) -> int:
        """Return the number of trained parameters."""
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)

    def names(self) -> Mapping[str, Tensor]:
        """Return our weights by name."""
        return self.network.state_dict()

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays under the reference's key names."""
        # Copies, since training changes weights in place; in C order, since safetensors writes memory as it is, and
        # convolutions may be stored channels-last.
        own = {k: np.array(v.detach().cpu().numpy(), order="C") for k, v in self.network.state_dict().items()}
        return self.to_reference(own)

    def load(self, weights: Path | str | Mapping[str, object]) -> Self:
        """Load weights from a .safetensors file, a torch pickle, or a mapping of names to arrays; all must match.

        Raises:
            BenchError: see `crossfake.detectors.common.weights.load_weights`.
        """
        found = self.load_arrays(weights, "torch")
        own = self.network.state_dict()
        # Writable, and in C order: a checkpoint may contain convolutions stored channels-last.
        arrays = {
            k: torch.from_numpy(np.require(v, requirements=["C", "W"])).to(own[k].dtype) for k, v in found.items()
        }
        # Nothing else uses a file's tensors: those that are never needed stay on disk.
        self.network.load_state_dict(arrays, assign=not isinstance(weights, Mapping))
        return self


def _note_versions(network: nn.Module) -> list[tuple[Tensor, int, int]]:
    """Return a network's weights with their version counters, which change when their values do."""
    return [(t, t._version, t.data_ptr()) for t in chain(network.parameters(), network.buffers())]
