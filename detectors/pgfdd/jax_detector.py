"""PG-FDD as a detector of the harness (JAX): `pgfdd` as released, and `pgfdd_fixed`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from ...benchmark.core.registry import detectors
from ..common_jax.detector import JaxDetector, Named, flatten_state, to_channels_first
from ..common_jax.imagenet import load_imagenet_weights
from ..common_jax.layers import Mode
from .jax_network import FairnessNet
from .jax_objective import losses, rotate_within_kinds, shuffle_within_kinds
from .shared import FAMILIES, NetworkOptions, PgfddMixin, infer_family, is_ai_face, rename_outputs, split_halves


@detectors.register(
    "pgfdd",
    backend="jax",
    aliases=("fair_df_detector", "pg-fdd", "pfgdfd"),
    title="PG-FDD (Preserving Fairness Generalization)",
    year=2024,
    input_size=256,
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters", "flops"),
)
class JaxPgfdd(PgfddMixin, JaxDetector[FairnessNet]):
    """Separates forgery, content and demographics; trained for the worst-off group.

    The options are those of `PgfddMixin`; `timm:resnet10t` is the only `timm:NAME` backbone.

    Raises:
        BenchError: an option isn't valid, or the backbone has no port.
    """

    def build_network(self, network: NetworkOptions, checkpointing: bool, pretrained: bool | str) -> None:
        """Start with the network of these options."""
        self._network = partial(FairnessNet, repaired=self.repaired, checkpointing=checkpointing, **network)
        self.family = FAMILIES[0]
        start = load_imagenet_weights("pgfdd", _is_in_body, pretrained=pretrained, **network) if pretrained else {}
        JaxDetector.__init__(self, partial(self._network, classes=self.family), start)

    def normalise(self, frames: Array) -> Array:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return (frames.astype(jnp.float32) - 127.5) / 127.5

    def forward(self, network: FairnessNet, x: Array, mode: Mode) -> Named:
        """Return the released code's inference outputs, and `logits` (N, 2), whose softmax is the score."""
        outputs = network(x, mode, self.exact)
        logits = outputs["cls_fused"]
        if is_ai_face(outputs) or self.reference_score == "logit1":
            alone = logits[:, -1]
            logits = jnp.stack([jnp.zeros_like(alone), alone], 1)
        return {**rename_outputs(outputs), "logits": logits}

    # ---- training

    def fit_batch_size(self, count: int) -> int:
        """Return the smallest batch size of at least `count` whose pairs divide evenly among the devices."""
        share = math.lcm(2, self.split.num_devices)
        return -(-count // share) * share

    def arrange_batch(self, batch: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
        """Pad each half of a training batch, so that pairs stay pairs; see `JaxDetector.arrange_batch`."""
        real, fake = (JaxDetector.arrange_batch(self, half, size // 2) for half in split_halves(batch))
        return {name: np.concatenate([real[name], fake[name]]) for name in real}

    def losses(self, network: FairnessNet, batch: Named, mode: Mode) -> Named:
        """Return `loss` and its components for a batch whose first half is real."""
        return self._learn(network, batch, mode)[1]

    def _learn(self, network: FairnessNet, batch: Named, mode: Mode) -> tuple[Named, Named]:
        mode = mode if self.noisy else replace(mode, rngs=None)
        x = self.inputs(batch["image"], mode)
        outputs = network.training_outputs(x, mode)
        # Padding rows are a separate kind: nothing should be close to them.
        common, specific = (mode.where_present(batch[name], -1) for name in ("label", "label_spe"))
        if mode.rngs:
            anchors = (
                shuffle_within_kinds(common, mode.rngs.dropout()),
                shuffle_within_kinds(specific, mode.rngs.dropout()),
            )
        else:
            anchors = rotate_within_kinds(common), rotate_within_kinds(specific, popped=True)
        return outputs, losses(outputs, x, batch, jnp.asarray(self.compute_margins(is_ai_face(outputs))), anchors, mode)

    def run_forward_backward(
        self, batch: dict[str, np.ndarray], batch_statistics: bool
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, np.ndarray]]:
        """Return outputs, losses and gradients of a batch; see `training_pass`."""

        def loss(params: nnx.State, rest: nnx.State, batch: Named) -> tuple[Array, tuple[Named, Named, nnx.State]]:
            network = nnx.merge(self.graph, params, rest, copy=True)
            rngs = nnx.Rngs(dropout=jax.random.key(self.seed))
            outputs, found = self._learn(network, batch, Mode(batch_statistics, rngs=rngs))
            return found["loss"], (outputs, found, nnx.state(network, nnx.Not(nnx.Param)))

        gradients, (outputs, found, rest) = jax.jit(jax.grad(loss, has_aux=True))(*self.weights, batch)
        self.weights = self.weights[0], rest
        return (
            to_channels_first(outputs),
            {k: float(v) for k, v in found.items()},
            {k: np.asarray(v) for k, v in flatten_state(gradients).items()},
        )

    # ---- checkpoints

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Switch to a checkpoint's family, CVPR 2024's or AI-Face's, judging by its heads."""
        family = infer_family(shapes) or self.family
        if family != self.family:
            self.family = family
            self.rebuild(partial(self._network, classes=family))


@detectors.register(
    "pgfdd_fixed",
    backend="jax",
    title="PG-FDD, repaired",
    year=2024,
    input_size=256,
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters", "flops"),
)
class JaxPgfddFixed(JaxPgfdd):
    """PG-FDD whose demographic branch affects the decision: `block_fused` joins the maps before pooling.

    Options are those of `pgfdd`; scoring can only skip the content encoder.
    """

    repaired = True


def _is_in_body(name: str) -> bool:
    return name.startswith("encoder_") and ".adjust_channel." not in name and ".last_linear." not in name
