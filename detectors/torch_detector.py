"""What every PyTorch detector shares: scoring, raw outputs, checkpoints. A detector adds its network and objective."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..benchmark.errors import BenchError
from ..benchmark.types import Cropper, Face, Sampler

if TYPE_CHECKING:
    from ..benchmark.config import TrainSettings
    from .torch_training import TorchTraining


class TorchDetector:
    """Base of the PyTorch detectors.

    A subclass sets `network` in its `__init__`, and defines `cropper`, `normalise`, `forward`, `losses` and `sampler`.
    Weights are saved and loaded under the reference's key names; a subclass whose module names differ overrides
    `to_reference` and `from_reference`.
    """

    network: nn.Module
    input_size: int

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # ---- what a subclass defines

    def cropper(self) -> Cropper:
        """Return what cuts the uint8 (S, S, 3) RGB crop that `score` takes from a context crop."""
        raise NotImplementedError

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, 3) RGB into float32 (N, 3, H, W) as the network takes it."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the network; the result holds at least `logits` (N, 2), class 1 being fake."""
        raise NotImplementedError

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return named scalar losses of a batch made by `sampler`; `loss` is the one that is minimised."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Return what makes training examples."""
        raise NotImplementedError

    def to_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename our state dict's keys to the reference's."""
        return dict(state)

    def from_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename the reference's keys to our state dict's."""
        return dict(state)

    # ---- what the harness calls

    def crop(self, face: Face) -> np.ndarray:
        """Cut this detector's uint8 (S, S, 3) RGB crop from a context crop."""
        return self.cropper()(face)

    def score(self, frames: np.ndarray) -> np.ndarray:
        """Return P(fake), float32 (N,), of uint8 (N, S, S, 3) RGB crops."""
        x = self.normalise(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        return self._evaluate(x)["logits"].softmax(-1)[:, 1].cpu().numpy().astype(np.float32)

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for float32 (N, 3, S, S) input, normalised as the network takes it."""
        result = self._evaluate(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(self.device))
        return {name: value.float().cpu().numpy() for name, value in result.items()}

    @torch.no_grad()
    def _evaluate(self, x: Tensor) -> dict[str, Tensor]:
        self.network.to(self.device).eval()
        return self.forward(x)

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> TorchTraining:
        """Start a training session (optimizer, schedule, state to resume from)."""
        from .torch_training import TorchTraining

        return TorchTraining(self, settings, total_steps, steps_per_epoch)

    def parameters_count(self) -> int:
        """Return the number of trained parameters."""
        return sum(p.numel() for p in self.network.parameters())

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
        weights = source if isinstance(source, Mapping) else read_weights(Path(source))
        tensors = {k: torch.as_tensor(np.asarray(v)) for k, v in weights.items()}
        ours = self.network.state_dict()
        expected = self.to_reference(ours)
        _check_keys(tensors, expected, origin)
        self.network.load_state_dict(self.from_reference(tensors))
        return self


def read_weights(path: Path) -> dict[str, Any]:
    """Read names and arrays from a .safetensors file or a torch pickle ({network: ...}, {state_dict: ...} or bare).

    Raises:
        BenchError: no such file, or not a checkpoint.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        raise _unreadable(path, error) from None
    except Exception as error:  # safetensors raises a type of its own, which derives from Exception alone.
        if type(error).__name__ != "SafetensorError":
            raise
        raise _unreadable(path, error) from None
    for wrapper in ("network", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise BenchError(f"{path} holds a {type(content).__name__}, not a mapping of names to tensors")
    return {k.removeprefix("module."): v for k, v in content.items()}


def _unreadable(path: Path, error: Exception) -> BenchError:
    reason = " ".join(str(error).split())[:160]
    return BenchError(f"{path} ({path.stat().st_size} bytes) can't be read as a checkpoint: {reason}")


def _check_keys(given: Mapping[str, Any], expected: Mapping[str, Any], origin: str) -> None:
    missing = [k for k in expected if k not in given]
    extra = [k for k in given if k not in expected]
    shapes = [k for k in expected if k in given and tuple(given[k].shape) != tuple(expected[k].shape)]
    if not (missing or extra or shapes):
        return
    parts = [
        f"{len(keys)} {what} (first: {keys[0]})"
        for what, keys in (("keys missing", missing), ("keys not known", extra))
        if keys
    ]
    if shapes:
        k = shapes[0]
        parts.append(
            f"{len(shapes)} of another shape (first: {k}, {tuple(given[k].shape)} instead of "
            f"{tuple(expected[k].shape)})"
        )
    raise BenchError(
        f"{origin} is a checkpoint of another architecture: of {len(expected)} keys expected and {len(given)} found, "
        f"{'; '.join(parts)}. Check --detector and its options"
    )
