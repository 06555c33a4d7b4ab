"""PG-FDD's losses in JAX (section 3.2 of the paper, and the released code where they differ)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from ..common_jax.detector import Named
from ..common_jax.layers import Mode
from .labels import GROUPS
from .shared import INNER, OUTER, REACH, TAU1, TAU2, WEIGHTS


def losses(outputs: Named, x: Array, batch: Named, margins: Array, anchors: Sequence[Array], mode: Mode) -> Named:
    """Return the weighted sum as `loss`, and its six components.

    Args:
        outputs: output of `FairnessNet.training_outputs`.
        x: (N, S, S, 3), the network's input: real, then fake; only rows with `mode.present` count.
        batch: `label`, `label_spe` and `intersec_label`, integers (N,).
        margins: each demographic group's margin, (8,).
        anchors: for the common and the specific features, the sample that each of the N should be close to.
        mode: tells which rows count.
    """
    out = {k: v.astype(jnp.float32) for k, v in outputs.items()}
    label, group = batch["label"], batch["intersec_label"]
    crossentropy = optax.softmax_cross_entropy_with_integer_labels
    near = zip((out["feat"], out["feat_spe"]), anchors, strict=True)
    parts = {
        "common": mode.mean(crossentropy(out["cls"], label)),
        "specific": mode.mean(crossentropy(out["cls_spe"], batch["label_spe"])),
        "reconstruction": reconstruction_loss(out, x.astype(jnp.float32), mode),
        "contrastive": sum((contrastive_loss(*pair, mode) for pair in near), jnp.zeros(())),
        "fairness": mode.mean(compute_ldam_errors(out["cls_fair"], group, margins)),
        "fusion": bilevel_cvar(compute_fused_errors(out["cls_fused"], label), mode.where_present(group, GROUPS)),
    }
    return {"loss": sum((weight * parts[name] for name, weight in WEIGHTS.items()), jnp.zeros(())), **parts}


def reconstruction_loss(outputs: Named, x: Array, mode: Mode) -> Array:
    """Return the sum of four mean absolute differences, each from the image with the same content."""
    real, fake = jnp.split(x, 2)
    targets = {"self_recon_1": fake, "self_recon_2": real, "recon_1": real, "recon_2": fake}
    errors = sum(jnp.abs(outputs[k] - image).mean((1, 2, 3)) for k, image in targets.items())
    return mode.mean(jnp.tile(errors, 2))  # Both images of a pair are present, or neither.


def compute_fused_errors(logits: Array, label: Array) -> Array:
    """Return each sample's cross-entropy (N,) from two logits or (AI-Face) of one."""
    if logits.shape[1] == 2:
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], label)


def contrastive_loss(features: Array, anchors: Array, mode: Mode, margin: float = 3.0) -> Array:
    """Pull each feature (N, C) to its anchor, away from the other half's: the sum of both halves' means."""
    near = features[anchors]
    far = jnp.roll(near, len(near) // 2, 0)
    return 2 * mode.mean(jax.nn.relu(_distance(features, near) - _distance(features, far) + margin))


def _distance(a: Array, b: Array) -> Array:
    return jnp.sqrt(jnp.square(a - b + 1e-6).sum(1))


def shuffle_within_kinds(kinds: Array, key: Array) -> Array:
    """Return a random permutation (N,) within each kind (N,)."""
    within = (jax.random.uniform(key, kinds.shape) + kinds).argsort()
    return jnp.zeros_like(within).at[kinds.argsort(stable=True)].set(within)


def rotate_within_kinds(kinds: Array, popped: bool = False) -> Array:
    """Deterministic counterpart of `shuffle_within_kinds`, for comparisons: rotates each kind's list left by one.

    The released code takes specific anchors from the end of such a list (`popped`), common ones from its start.
    """
    order = kinds.argsort(stable=True)
    ordered = kinds[order]
    start, end = (jnp.searchsorted(ordered, ordered, side=side) for side in ("left", "right"))
    place, count = jnp.arange(len(kinds)) - start, end - start
    turned = (count - place if popped else place + 1) % count
    return jnp.zeros_like(order).at[order].set(order[start + turned])


def compute_ldam_errors(logits: Array, target: Array, margins: Array, scale: float = 30.0) -> Array:
    """Return cross-entropies (N,) after subtracting each class's margin from its logit: LDAM (Cao et al.

    2019), eq. 12.
    """
    moved = scale * (logits - jax.nn.one_hot(target, len(margins)) * margins)
    return optax.softmax_cross_entropy_with_integer_labels(moved, target)


def bilevel_cvar(errors: Array, group: Array) -> Array:
    """Return CVaR over groups of the CVaR within groups, of errors (N,) and group codes (N,) (the paper's equation 8).

    Samples with code 8 don't count. Lambdas come in closed form or by bisection, as in the PyTorch port; the outer one
    relative to the worst group's value, where float32 is precise enough.
    """
    # Computed once: two roundings of the same error would make it differ from a threshold that it equals.
    inner, present = _compute_cvar_within(lax.optimization_barrier(errors), group)
    fixed = lax.stop_gradient(inner)
    worst, groups = jnp.where(present, fixed, -jnp.inf).max(), present.sum()

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        share = (jax.nn.sigmoid((fixed - worst - middle) / TAU1) * present).sum() / groups
        rising = 1 + TAU2 / OUTER * (worst + middle) - share / OUTER > 0
        return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

    low, _ = lax.fori_loop(0, 30, halve, (jnp.asarray(-REACH, errors.dtype), jnp.asarray(0.0, errors.dtype)))
    smooth = TAU1 * (jax.nn.softplus((inner - worst - low) / TAU1) * present).sum() / groups
    return worst + low + TAU2 / (2 * OUTER) * (worst + low) ** 2 + smooth / OUTER


def _compute_cvar_within(errors: Array, group: Array) -> tuple[Array, Array]:
    """Return each group's CVaR (8,) and whether it has members (8,); without members the value is meaningless."""
    count = jax.ops.segment_sum(jnp.ones_like(group), group, GROUPS)
    fixed = lax.stop_gradient(errors)
    ordered = fixed[jnp.lexsort((fixed, group))]
    threshold = ordered[jnp.cumsum(count) - count + count // 10]
    # Exactly at the kink every sample counts, as in most of the released code's searches, which stop just below it.
    over = errors - threshold[group]
    above = jax.ops.segment_sum((over >= 0) * over, group, GROUPS)
    return threshold + above / (INNER * jnp.maximum(count, 1)), count > 0
