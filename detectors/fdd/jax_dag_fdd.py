"""DAG-FDD as a detector of the harness (JAX)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from ...benchmark.core.registry import detectors
from ..common_jax.detector import Named
from ..common_jax.layers import Mode
from .jax_base import JaxFdd
from .jax_cvar import compute_cvar


@detectors.register(
    "dag-fdd",
    backend="jax",
    title="DAG-FDD (Improving Fairness in Deepfake Detection)",
    year=2024,
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
class JaxDagFdd(JaxFdd):
    """Minimises the mean of the worst share `alpha` of a batch, whatever the group.

    The options are those of `FddMixin`.
    """

    who = "dag-fdd"

    def pool_errors(self, errors: Array, batch: Named, mode: Mode) -> Array:
        """Return the conditional value at risk of each sample's loss, (N,)."""
        return compute_cvar(errors, mode.where_present(jnp.ones(len(errors)), 0) > 0, self.alpha)
