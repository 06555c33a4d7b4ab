"""The smallest network with every kind of layer that affects a training step, in JAX (tiny_torch.py: in PyTorch)."""

from __future__ import annotations

import jax
from crossfake.detectors.baselines.jax_plain import JaxPlainClassifier
from crossfake.detectors.common_jax.detector import Named
from crossfake.detectors.common_jax.layers import BatchNorm, Conv, Init, Linear, Mode, dropout
from flax import nnx
from jax import Array


class TinyJax(JaxPlainClassifier):
    """A convolution, batch norm, dropout and a linear layer for crops of 32 pixels; it compiles very fast."""

    def __init__(self, seed: int = 0):
        super().__init__(Network, 32)
        self.seed = seed


class Network(nnx.Module):
    def __init__(self, init: Init):
        self.conv1, self.bn1 = Conv(3, 8, 3, init, stride=2, padding=1, bias=False), BatchNorm(8, init)
        self.fc1 = Linear(8, 2, init)

    def __call__(self, x: Array, mode: Mode) -> Named:
        features = dropout(self.bn1(jax.nn.relu(self.conv1(x)), mode).mean((1, 2)), 0.5, mode)
        return {"logits": self.fc1(features), "features": features}
