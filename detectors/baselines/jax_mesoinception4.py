"""MesoInception4 in JAX, under PyTorch's names and shapes for its weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from ..common_jax.detector import Named
from ..common_jax.layers import BatchNorm, Conv, Init, Linear, Mode, dropout, max_pool, run_block
from .jax_meso import run_layer
from .jax_plain import Classifier, JaxPlainClassifier
from .shared import (
    INCEPTION_WIDTHS,
    MESO_STRIDE,
    MESO_VARIANTS,
    check_input_size,
    to_deepfakebench_meso_name,
)


@detectors.register(
    "mesoinception4",
    backend="jax",
    title="MesoInception4",
    year=2018,
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
class JaxMesoInception4(JaxPlainClassifier):
    """The paper's MesoInception4 (section 3.2), or DeepfakeBench's; same options as the PyTorch port."""

    def __init__(self, variant: str = "paper", input_size: int = 256):
        require_known("mesoinception4 variant", variant, MESO_VARIANTS)
        check_input_size(input_size, MESO_STRIDE)
        self.variant = variant
        super().__init__(lambda init: MesoInceptionNet(input_size, variant == "paper", init), input_size)

    def normalise(self, frames: Array) -> Array:
        """Scale 0..255 to 0..1 or, as in DeepfakeBench, to -1..1."""
        return frames.astype(jnp.float32) / 255 if self.variant == "paper" else super().normalise(frames)

    def losses(self, network: Classifier, batch: Named, mode: Mode) -> Named:
        """Cross-entropy over real and fake."""
        logits = self.forward(network, self.inputs(batch["image"], mode), mode)["logits"].astype(jnp.float32)
        if logits.shape[1] == 1:
            errors = optax.sigmoid_binary_cross_entropy(logits[:, 0], batch["label"])
        else:
            errors = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return {"loss": mode.mean(errors)}

    def reference_name(self, name: str) -> str:
        """Return DeepfakeBench's name for one of our weights."""
        return to_deepfakebench_meso_name(name) if self.variant == "deepfakebench" else name


class Inception(nnx.Module):
    """Four parallel branches: a 1x1 convolution, alone or followed by 3x3 ones with dilation 1, 2 or 3."""

    def __init__(self, inner: int, widths: tuple[int, ...], active: bool, init: Init):
        self.active = active
        self.conv1 = Conv(inner, widths[0], 1, init, bias=active)
        for i, width in enumerate(widths[1:], 2):
            setattr(self, f"conv{i}_1", Conv(inner, width, 1, init, bias=active))
            second = Conv(width, width, 3, init, padding=i - 1, dilation=i - 1, bias=active)
            setattr(self, f"conv{i}_2", second)
        self.bn = BatchNorm(sum(widths), init)

    def __call__(self, x: Array, mode: Mode) -> Array:
        """Map (N, H, W, C) to (N, H / 2, W / 2, sum of widths)."""
        branches = [self._act(self.conv1(x))]
        for i in (2, 3, 4):
            first, second = getattr(self, f"conv{i}_1"), getattr(self, f"conv{i}_2")
            branches.append(self._act(second(self._act(first(x)))))
        return max_pool(self.bn(jnp.concatenate(branches, 3), mode), 2, 2)

    def _act(self, x: Array) -> Array:
        return jax.nn.relu(x) if self.active else x


class MesoInceptionNet(nnx.Module):
    """Two inception layers, two 5x5 convolutions, two linear layers; see the PyTorch port."""

    def __init__(self, input_size: int, paper: bool, init: Init):
        first, second = INCEPTION_WIDTHS
        self.inception1, self.inception2 = (
            Inception(inner, widths, paper, init) for inner, widths in ((3, first), (sum(first), second))
        )
        self.conv1, self.bn1 = Conv(sum(second), 16, 5, init, padding=2, bias=paper), BatchNorm(16, init)
        self.conv2 = Conv(16, 16, 5, init, padding=2, bias=paper)
        self.bn2 = BatchNorm(16, init) if paper else None
        self.fc1 = Linear(16 * (input_size // MESO_STRIDE) ** 2, 16, init)
        self.fc2 = Linear(16, 1 if paper else 2, init)

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return every named output."""
        inc1 = run_block(Inception.__call__, self.inception1, x, mode=mode)
        inc2 = run_block(Inception.__call__, self.inception2, inc1, mode=mode)
        y = run_layer(self.conv1, self.bn1, 2, inc2, mode)
        y = run_layer(self.conv2, self.bn2 or self.bn1, 4, y, mode)
        feat = y.transpose(0, 3, 1, 2).reshape(len(y), -1)  # The linear layer's weights expect channels first.
        features = dropout(jax.nn.leaky_relu(self.fc1(dropout(feat, 0.5, mode)), 0.1), 0.5, mode)
        return {"logits": self.fc2(features), "features": features, "feat": feat, "inc1": inc1, "inc2": inc2}
