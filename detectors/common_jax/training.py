"""One training session of a JAX detector: optimizer, a compiled step over all local devices, resuming."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import partial
from typing import IO, TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from ...benchmark.core.device_names import CPU, CUDA
from ...benchmark.core.display import say_once
from ...benchmark.core.precisions import check_training_precision
from ..common.training import Arrays, NetworkTraining
from .detector import Named, Weights, flatten_state
from .layers import Mode
from .places import multiply_in

if TYPE_CHECKING:
    from ...benchmark.core.contracts import TakesBytes, WriteState
    from ...benchmark.core.settings import TrainSettings
    from .detector import JaxDetector

Carry = tuple[nnx.State, nnx.State, optax.OptState]  # Trained weights, other weights, the optimizer's moments.


class JaxTraining(NetworkTraining["JaxDetector"]):
    """A training session over the detector's devices; see `NetworkTraining`.

    A batch smaller than the setting is padded with rows that don't count, so that it needs no compilation. The setting
    `threads` has no effect: XLA chooses its processor threads when it starts.
    """

    layout = "channels-last"

    def __init__(self, detector: JaxDetector, settings: TrainSettings, total_steps: int, steps_per_epoch: int):
        # On a processor, XLA only emulates bfloat16.
        self.platform = detector.devices[0].platform
        super().__init__(detector, settings, total_steps, steps_per_epoch, fast_bf16=self.platform != CPU)
        check_training_precision(self.precision, CUDA if self.platform == "gpu" else self.platform)
        if settings.remat and self.platform == CPU:
            say_once("train.remat saves no memory on a processor: XLA merges much of the second run with the first")
        self.optimizer = make_optimizer(settings)
        # Compiled as a whole; otherwise each weight shape would be compiled separately.
        self.moments = jax.jit(self.optimizer.init, out_shardings=detector.whole)(detector.weights[0])
        self.update = jax.jit(self._compute_update, donate_argnums=0, out_shardings=detector.whole)

    def _update(self, batch: Arrays) -> Callable[[], Named]:
        with multiply_in(self.precision, self.platform):  # It is compiled in the first step.
            carry, losses = self.update(*self.make_step_arguments(batch))
        self.detector.weights, self.moments = carry[:2], carry[2]
        return lambda: jax.device_get(losses)  # Until then, JAX computes in parallel.

    def make_step_arguments(self, batch: Arrays) -> tuple[Carry, Named, np.float32, np.int32]:
        """Return the inputs of the compiled `update` for the next step."""
        count = len(next(iter(batch.values())))
        size = self.detector.fit_batch_size(max(count, self.settings.batch_size))
        arranged = self.detector.arrange_batch(batch, size)
        placed = {k: jax.device_put(v, self.detector.split) for k, v in arranged.items()}
        return (*self.detector.weights, self.moments), placed, np.float32(self.learning_rate()), np.int32(self.done)

    def _compute_update(self, carry: Carry, batch: Named, rate: Array, done: Array) -> tuple[Carry, Named]:
        params, rest, moments = carry
        first, second = jax.random.split(jax.random.fold_in(jax.random.key(self.detector.seed), done))
        losses, grads, rest = self._differentiate_losses((params, rest), batch, first)
        if self.settings.sharpness != "none":
            worse = climb_to_sharpest(params, grads, self.settings.rho, adaptive=self.settings.sharpness == "asam")
            _, grads, again = self._differentiate_losses((worse, rest), batch, second)
            rest = jax.tree.map(_keep_first_statistics, rest, again)
        steps, moments = self.optimizer.update(grads, moments, params)
        params = jax.tree.map(lambda p, step: p - rate * step, params, steps)
        return (params, rest, moments), losses

    def _differentiate(self, batch: Arrays) -> tuple[Named, Arrays]:
        (params, rest, _), placed, *_ = self.make_step_arguments(batch)
        key = jax.random.key(self.detector.seed)
        with multiply_in(self.precision, self.platform):
            losses, grads, _ = jax.jit(self._differentiate_losses)((params, rest), placed, key)
        return losses, flatten_state(grads)

    def _differentiate_losses(self, weights: Weights, batch: Named, key: Array) -> tuple[Named, nnx.State, nnx.State]:
        """Return the losses, the gradient of `loss`, and the rest of the weights with new running statistics.

        Pure, so that a second pass can leave the statistics unchanged by ignoring the third result.
        """
        grads, (losses, rest) = jax.grad(self.compute_losses, has_aux=True)(*weights, batch, key)
        return losses, grads, rest

    def compute_losses(
        self, params: nnx.State, rest: nnx.State, batch: Named, key: Array
    ) -> tuple[Array, tuple[Named, nnx.State]]:
        """Return the loss of a placed batch (see `make_step_arguments`), all losses, and the rest of the weights."""
        network = nnx.merge(self.detector.graph, params, rest, copy=True)  # Its statistics change here.
        dtype = jnp.bfloat16 if self.precision == "bf16" else jnp.float32
        mode = Mode(True, batch["present"], nnx.Rngs(dropout=key), dtype, self.settings.remat)
        losses = self.detector.losses(network, batch, mode)
        return losses["loss"], (losses, nnx.state(network, nnx.Not(nnx.Param)))

    def snapshot(self) -> WriteState:
        """Copy weights, optimizer and step for `restore`; dropout's draws depend only on the step."""
        leaves = [np.array(leaf) for leaf in jax.tree.leaves((self.detector.weights, self.moments))]
        named = {f"arr_{i}": leaf for i, leaf in enumerate(leaves)}
        return partial(_write_arrays, {**named, "done": np.array(self.done)})

    def restore(self, packed: bytes) -> None:
        """Go back to the point at which `state` was called."""
        now = (self.detector.weights, self.moments)
        with np.load(io.BytesIO(packed)) as content:
            leaves = [content[f"arr_{i}"] for i in range(len(content.files) - 1)]
            self.done = int(content["done"])
        before = jax.tree.unflatten(jax.tree.structure(now), leaves)
        self.detector.weights, self.moments = jax.device_put(before, self.detector.whole)


def _write_arrays(arrays: Arrays, file: TakesBytes) -> None:
    """Write an archive for `np.load` to a write-only stream: `np.savez` needs readable files."""
    with zipfile.ZipFile(cast(IO[bytes], file), "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def climb_to_sharpest(params: nnx.State, grads: nnx.State, rho: float, adaptive: bool = False) -> nnx.State:
    """Return the weights within `rho` where the loss is highest (Foret et al. 2021; adaptive: Kwon et al. 2021).

    `adaptive` measures distance in units of each weight's size.
    """
    sizes = jax.tree.map(jnp.abs if adaptive else jnp.ones_like, params)
    norm = optax.tree.norm(jax.tree.map(jnp.multiply, sizes, grads))
    return jax.tree.map(lambda p, g, n: p + g * n * n * (rho / (norm + 1e-12)), params, grads, sizes)


def _keep_first_statistics(statistic: Array, again: Array) -> Array:
    """Keep the first pass's statistics; PyTorch's batch norms still count the second pass."""
    return again if jnp.issubdtype(again.dtype, jnp.integer) else statistic


def make_optimizer(s: TrainSettings) -> optax.GradientTransformation:
    """Return PyTorch's optimizer of this name as a transformation; its result times the learning rate is subtracted.

    AdamW decays the weights directly; Adam and SGD decay them through the gradient.
    """
    clip = optax.clip(s.clip_value) if s.clip_value else optax.identity()
    decay = optax.add_decayed_weights(s.weight_decay)
    if s.optimizer == "sgd":
        return optax.chain(clip, decay, optax.trace(s.momentum))
    if s.optimizer == "adamw":
        return optax.chain(clip, optax.scale_by_adam(), decay)
    return optax.chain(clip, decay, optax.scale_by_adam())
