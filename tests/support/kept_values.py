"""Counts what a JAX training step keeps for its backward pass, without running it."""

from __future__ import annotations

import jax
import numpy as np
from crossfake.benchmark.core.contracts import Arrays
from crossfake.detectors.common_jax.training import JaxTraining


def count_kept(session: JaxTraining, batch: Arrays) -> int:
    """Return the bytes kept for the gradients, without the weights, before the step is compiled."""
    (params, rest, _), placed, *_ = session.make_step_arguments(dict(batch))

    def keep(params, key):
        return jax.vjp(lambda params: session.compute_losses(params, rest, placed, key)[0], params)[1]

    found = jax.tree.leaves(jax.eval_shape(keep, params, jax.random.key(0)))
    kept = sum(x.size * x.dtype.itemsize for x in found if isinstance(x.dtype, np.dtype))  # All but random keys.
    return kept - sum(value.nbytes for value in jax.tree.leaves(params))
