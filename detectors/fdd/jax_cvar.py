"""The conditional value at risk in JAX, with its exact gradient; see cvar.py."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array, lax

from ..pgfdd.labels import GROUPS

ABSENT = -2  # The group of padding rows.


def compute_errors(logits: Array, label: Array) -> Array:
    """Return each sample's cross-entropy (N,) from one logit (N, 1) or two (N, 2)."""
    alone = logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return optax.sigmoid_binary_cross_entropy(alone.astype(jnp.float32), label)


def compute_cvar(errors: Array, members: Array, alpha: float) -> Array:
    """Return the mean of the worst share `alpha` of those errors (N,) that are members (N,)."""
    weights = compute_weights(errors[None], members[None], alpha)[0]
    return (weights * errors).sum()


def compute_group_cvar(errors: Array, group: Array, alpha: float, alpha_group: float) -> Array:
    """Return the mean over the worst groups of each group's worst samples; see `list_members`."""
    members = list_members(group)
    weights = compute_weights(jnp.broadcast_to(errors, members.shape), members, alpha_group)
    return compute_cvar((weights * errors).sum(1), members.any(1), alpha)


def list_members(group: Array) -> Array:
    """Return which of the groups (codes -1 to 7) each sample (N,) is in, (9, N); with `ABSENT`, none."""
    return group == jnp.arange(-1, GROUPS)[:, None]


def compute_weights(errors: Array, members: Array, alpha: float) -> Array:
    """Return the weight of each error in its row's CVaR, (G, N); see the PyTorch port."""
    errors = lax.stop_gradient(errors)
    count = jnp.maximum(members.sum(1, keepdims=True), 1)
    ordered = jnp.sort(jnp.where(members, errors, jnp.inf), 1)
    place = jnp.minimum(((1 - alpha) * count).astype(int), errors.shape[1] - 1)
    threshold = jnp.take_along_axis(ordered, place, 1)
    above, level = members & (errors > threshold), members & (errors == threshold)
    full = 1 / (alpha * count)
    left = (1 - above.sum(1, keepdims=True) * full) / jnp.maximum(level.sum(1, keepdims=True), 1)
    return above * full + level * left
