"""The detection loss of the artifact detection module in JAX: SSD's MultiBox loss with hard negative mining."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array, lax

from .shared import NEGATIVES_PER_POSITIVE


def multibox_loss(loc: Array, conf: Array, loc_targets: Array, conf_targets: Array) -> tuple[Array, Array]:
    """Return the box loss and the class loss, two scalars, each divided by the number of positive anchors in the batch.

    `loc` and `loc_targets` are (N, 168, 4), `conf` (N, 168, 2), `conf_targets` (N, 168) of 0 and 1. An image without a
    positive anchor adds nothing, and neither do the zero rows that pad a batch.
    """
    loc, conf = loc.astype(jnp.float32), conf.astype(jnp.float32)
    positive = conf_targets > 0
    count = jnp.maximum(positive.sum(), 1)
    boxes = optax.huber_loss(loc, loc_targets).sum(2)
    classes = optax.softmax_cross_entropy_with_integer_labels(conf, conf_targets)
    chosen = positive | hard_negatives(lax.stop_gradient(classes), positive)
    return jnp.where(positive, boxes, 0).sum() / count, jnp.where(chosen, classes, 0).sum() / count


def hard_negatives(loss: Array, positive: Array) -> Array:
    """Mark in each image the background anchors with the largest class loss, two for each positive anchor.

    `loss` (N, 168) and `positive` bool (N, 168); returns bool (N, 168).
    """
    rank = jnp.where(positive, 0, -loss).argsort(axis=1, stable=True).argsort(axis=1)
    wanted = jnp.minimum(NEGATIVES_PER_POSITIVE * positive.sum(1, keepdims=True), positive.shape[1] - 1)
    return (rank < wanted) & ~positive
