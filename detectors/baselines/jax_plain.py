"""What the plain classifiers share in JAX: the square face box, inputs in -1..1, cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ..common.crops import BoxCrop
from ..common_jax.detector import JaxDetector, Named
from ..common_jax.layers import Init, Mode
from .augment import ClassifierSampler
from .shared import check_input_size


class Classifier(Protocol):
    """A network that classifies images."""

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return at least `logits` (N, classes) and the `features` (N, C) behind them, of images (N, S, S, 3)."""


class JaxPlainClassifier(JaxDetector[Classifier]):
    """A network from (N, S, S, 3) to two logits, real and fake, and the features behind them; trained on frames.

    Raises:
        BenchError: `input_size` is too small.
    """

    def __init__(
        self,
        build: Callable[[Init], Classifier],
        input_size: int,
        start: Mapping[str, np.ndarray] = MappingProxyType({}),
    ):
        check_input_size(input_size)
        super().__init__(build, start)
        self.input_size = input_size

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> ClassifierSampler:
        """Jittered face boxes with mild photometric changes."""
        return ClassifierSampler(self.cropper())

    def normalise(self, frames: Array) -> Array:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return (frames.astype(jnp.float32) - 127.5) / 127.5

    def forward(self, network: Classifier, x: Array, mode: Mode) -> Named:
        """Return `logits` (N, 2) and the `features` (N, C) from which a linear layer computes them."""
        return network(x, mode)

    def losses(self, network: Classifier, batch: Named, mode: Mode) -> Named:
        """Cross-entropy over real and fake."""
        logits = self.forward(network, self.inputs(batch["image"], mode), mode)["logits"].astype(jnp.float32)
        return {"loss": mode.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]))}
