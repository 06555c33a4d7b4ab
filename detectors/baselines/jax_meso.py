"""Meso4 in JAX: four small convolutions, about 28,000 parameters."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from ...benchmark.core.registry import detectors
from ..common_jax.detector import Named
from ..common_jax.layers import BatchNorm, Conv, Init, Linear, Mode, dropout, max_pool, run_block
from .jax_plain import JaxPlainClassifier
from .shared import MESO_BLOCKS, MESO_STRIDE, check_input_size


@detectors.register(
    "meso4",
    backend="jax",
    aliases=("mesonet",),
    title="Meso4",
    year=2018,
    input_size=256,
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
class JaxMeso4(JaxPlainClassifier):
    """The paper's Meso4 (section 3.1), with two logits instead of one sigmoid unit.

    `input_size` is a multiple of 32; the paper's is 256.
    """

    def __init__(self, input_size: int = 256):
        check_input_size(input_size, MESO_STRIDE)
        super().__init__(lambda init: Network(input_size, init), input_size)


class Network(nnx.Module):
    """Four blocks of convolution, ReLU, batch normalisation and pooling (by 2, 2, 2, 4), then two linear layers."""

    def __init__(self, input_size: int, init: Init):
        for i, (inner, outer, kernel, _) in enumerate(MESO_BLOCKS, 1):
            setattr(self, f"conv{i}", Conv(inner, outer, kernel, init, padding=kernel // 2, bias=False))
            setattr(self, f"bn{i}", BatchNorm(outer, init))
        self.fc1 = Linear(16 * (input_size // MESO_STRIDE) ** 2, 16, init)
        self.last_linear = Linear(16, 2, init)

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return logits (N, 2) and features (N, 16)."""
        for i, (*_, pool) in enumerate(MESO_BLOCKS, 1):
            x = run_layer(getattr(self, f"conv{i}"), getattr(self, f"bn{i}"), pool, x, mode)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # The linear layer's weights expect channels first.
        x = jax.nn.leaky_relu(self.fc1(dropout(x, 0.5, mode)), 0.1)
        features = dropout(x, 0.5, mode)
        return {"logits": self.last_linear(features), "features": features}


def run_layer(conv: Conv, norm: BatchNorm, pool: int, x: Array, mode: Mode) -> Array:
    """Convolve a map, and pool it by `pool`; see `run_block`."""

    def run(conv: Conv, norm: BatchNorm, x: Array, mode: Mode) -> Array:
        return max_pool(norm(jax.nn.relu(conv(x)), mode), pool, pool)

    return run_block(run, conv, norm, x, mode=mode)
