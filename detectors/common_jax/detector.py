"""What every JAX detector shares: scoring, raw outputs, checkpoints. A detector adds its network and objective."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.stages import Compiled
from jax.typing import DTypeLike

from ...benchmark.core.environment import JAX_CACHE
from ...benchmark.core.start_weights import TellsStart
from ...benchmark.core.storage import cache_home
from ..common.network_detector import NetworkDetector
from .layers import EVALUATION, Init, Mode
from .places import find_jax_devices, multiply_in

if TYPE_CHECKING:
    from ...benchmark.core.settings import TrainSettings
    from .training import JaxTraining

Weights = tuple[nnx.State, nnx.State]  # Trained weights, and the rest: running statistics and unused layers.
Named = dict[str, Array]
Network = TypeVar("Network")
Result = TypeVar("Result")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class JaxDetector(NetworkDetector, Generic[Network]):
    """Base of the JAX detectors.

    A subclass passes a function that builds its network, and `start`, the weights (by the reference's names) that don't
    start at random. It defines `cropper`, `normalise`, `forward`, `losses` and `sampler`. Weights have the names and
    shapes of the PyTorch detector.

    The work is spread over all local devices, or those that are asked for: each holds the weights and a part of the
    batch. `compile_seconds` is what compiling took so far, which is never part of a throughput.
    """

    precision, layout = "fp32", "channels-last"  # Of scores and outputs.
    runs_blocks_again = True  # In networks that use `run_block`.
    seed = 0  # For the initial weights, drawn when first needed, and for dropout.

    def __init__(
        self, build: Callable[[Init], Network], start: Mapping[str, np.ndarray] = MappingProxyType({})
    ) -> None:
        _enable_compilation_cache()
        self.start = start
        self.started_from = start.started_from if isinstance(start, TellsStart) else ""
        self.rebuild(build)
        self._spread(find_jax_devices())
        self.compile_seconds = 0.0

    def _spread(self, devices: Sequence[jax.Device]) -> None:
        """Have the work shared by some devices: `whole` is what each holds, `split` what each has a part of."""
        self.devices = devices
        mesh = Mesh(np.array(devices), ("data",))
        self.whole, self.split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))

    def rebuild(self, build: Callable[[Init], Network]) -> None:
        """Switch to another network and drop what was compiled for the previous one."""
        self._build = build
        self.graph, *self.shapes = nnx.split(build(Init()), nnx.Param, ...)
        self._compiled: dict[tuple[str, tuple[int, ...], np.dtype], Compiled] = {}
        self._largest: dict[tuple[str, tuple[int, ...]], int] = {}  # Batch size by function and image shape.
        self.__dict__.pop("weights", None)

    # ---- defined by subclasses

    def normalise(self, frames: Array) -> Array:
        """Turn uint8 (N, H, W, 3) RGB into float32 (N, H, W, 3) as the network takes it."""
        raise NotImplementedError

    def forward(self, network: Network, x: Array, mode: Mode) -> Named:
        """Run the network on (N, H, W, 3); the result holds at least `logits` (N, 2), class 1 being fake."""
        raise NotImplementedError

    def losses(self, network: Network, batch: Named, mode: Mode) -> Named:
        """Return named scalar losses of a batch made by `sampler`; `loss` is the one that is minimised."""
        raise NotImplementedError

    def arrange_batch(self, batch: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
        """Pad a training batch to `size` rows, and add `present`: 1 for the rows that count, 0 for the others."""
        whole = {**batch, "present": np.ones(len(next(iter(batch.values()))), np.float32)}
        return {name: pad_rows(rows, size) for name, rows in whole.items()}

    # ---- called by the harness

    def use_device(self, name: str) -> None:
        """Work on the devices of this name from now on.

        Raises:
            BenchError: see `find_jax_devices`.
        """
        self._spread(find_jax_devices(name))
        self._compiled, self._largest = {}, {}
        if "weights" in self.__dict__:
            self.weights = jax.device_put(self.weights, self.whole)

    def _score(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(self._run(self.probabilities, frames))[: len(frames)]

    def _outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = to_channels_first(self._run(self.name_outputs, images))
        return {name: value[: len(images)] for name, value in found.items()}

    def _run(self, function: Callable[..., Result], images: np.ndarray) -> Result:
        """Run a pure function of the weights and a batch, compiled.

        The batch is padded to the largest one so far, so that a smaller one needs no compilation.
        """
        kind = function.__name__, images.shape[1:]
        self._largest[kind] = max(self._largest.get(kind, 0), self.fit_batch_size(len(images)))
        given = jax.device_put(pad_rows(images, self._largest[kind]), self.split)
        result: Result = self.compile_once(function, given.shape, given.dtype)(*self.weights, given)
        return result

    def name_outputs(self, params: nnx.State, rest: nnx.State, images: Array) -> Named:
        """Run the network, as a pure function of the weights and a batch; see `inputs` for the batch."""
        network = nnx.merge(self.graph, params, rest)
        return self.forward(network, self.inputs(images, EVALUATION), EVALUATION)

    def probabilities(self, params: nnx.State, rest: nnx.State, frames: Array) -> Array:
        """Compute what `score` returns, as a pure function of the weights and a batch."""
        logits = self.name_outputs(params, rest, frames)["logits"]
        return jax.nn.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else jax.nn.softmax(logits)[:, 1]

    def compile_once(self, function: Callable[..., object], shape: tuple[int, ...], dtype: DTypeLike) -> Compiled:
        """Compile a pure function of the weights and images of this shape and type, once."""
        key = function.__name__, shape, np.dtype(dtype)
        if key not in self._compiled:
            started = time.perf_counter()
            images = jax.ShapeDtypeStruct(shape, dtype, sharding=self.split)
            with multiply_in(self.precision, self.devices[0].platform):
                self._compiled[key] = jax.jit(function).lower(*self.weights, images).compile()
            self.compile_seconds += time.perf_counter() - started
        return self._compiled[key]

    def compile_scoring(self, shape: tuple[int, ...]) -> Compiled:
        """Compile `probabilities` for frames of this shape, once; the result has a `cost_analysis()`."""
        return self.compile_once(self.probabilities, shape, np.uint8)

    def flops(self, frames: np.ndarray) -> float:
        """Return the number of floating-point operations to score these frames, as counted by the compiler."""
        batch = self._largest.get(("probabilities", frames.shape[1:])) or self.fit_batch_size(len(frames))
        cost = self.compile_scoring((batch, *frames.shape[1:])).cost_analysis()
        assert cost is not None
        return cost["flops"] * self.split.num_devices * len(frames) / batch  # A device has a part of the batch.

    def fit_batch_size(self, count: int) -> int:
        """Return the smallest batch size of at least `count` that divides evenly among the devices."""
        return -(-count // self.split.num_devices) * self.split.num_devices

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> JaxTraining:
        """Start a training session (optimizer, schedule, state to resume from)."""
        from .training import JaxTraining

        return JaxTraining(self, settings, total_steps, steps_per_epoch)

    def inputs(self, image: Array, mode: Mode) -> Array:
        """Make the network's input from `image` of a batch: uint8 (N, S, S, 3) RGB or normalised float (N, 3, S, S)."""
        floating = jnp.issubdtype(image.dtype, jnp.floating)
        return (image.transpose(0, 2, 3, 1) if floating else self.normalise(image)).astype(mode.dtype)

    # ---- weights

    @cached_property
    def weights(self) -> Weights:
        """The trained weights and the rest, on all devices."""
        _, *drawn = nnx.split(self._build(Init(self.seed)), nnx.Param, ...)
        own = {k: v for part in drawn for k, v in flatten_state(part).items()}
        own |= self.from_reference({**self.to_reference(own), **self.start})
        params, rest = jax.device_put([_fill_state(part, own) for part in drawn], self.whole)
        return params, rest

    def names(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Return our weights by name."""
        return {k: v for part in self.shapes for k, v in flatten_state(part).items()}

    def parameters_count(self) -> int:
        """Return the number of parameters as PyTorch counts them, unused ones included."""
        return sum(math.prod(v.shape) for k, v in self.names().items() if not k.endswith(STATISTICS))

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays under the reference's key names."""
        own = {k: np.array(v) for part in self.weights for k, v in flatten_state(part).items()}
        # PyTorch counts batches in 64 bits.
        return self.to_reference({k: v.astype(np.int64) if v.dtype == np.int32 else v for k, v in own.items()})

    def load(self, weights: Path | str | Mapping[str, object]) -> Self:
        """Load weights from a .safetensors file, a torch pickle, or a mapping of names to arrays; all must match.

        Raises:
            BenchError: see `crossfake.detectors.common.weights.load_weights`.
        """
        own = self.load_arrays(weights)
        self.weights = tuple(jax.device_put(_fill_state(part, own), self.whole) for part in self.shapes)
        return self


def pad_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Add rows of zeros until there are `count`."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def to_channels_first(outputs: Named) -> dict[str, np.ndarray]:
    """Return outputs in PyTorch's layout: maps (N, H, W, C) become (N, C, H, W)."""
    return {k: np.asarray(v.transpose(0, 3, 1, 2) if v.ndim == 4 else v) for k, v in outputs.items()}


def flatten_state(state: nnx.State) -> dict[str, Any]:
    """Return the leaves of a state by their dotted names."""
    return {".".join(map(str, path)): variable.get_value() for path, variable in nnx.to_flat_state(state)}


def _fill_state(shapes: nnx.State, arrays: Mapping[str, np.ndarray]) -> nnx.State:
    return nnx.from_flat_state(
        (path, variable.replace(np.asarray(arrays[".".join(map(str, path))], variable.get_value().dtype)))
        for path, variable in nnx.to_flat_state(shapes)
    )


def _enable_compilation_cache() -> None:
    """Keep XLA's compiled code in the cache folder for later processes, or in JAX_COMPILATION_CACHE_DIR."""
    if JAX_CACHE not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_home() / "xla"))
