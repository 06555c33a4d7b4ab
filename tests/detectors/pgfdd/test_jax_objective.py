"""PG-FDD's losses in JAX against golden values of the released code, a numerical search, and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("flax")

import jax
import jax.numpy as jnp
from crossfake.detectors.common_jax.layers import EVALUATION, Mode
from crossfake.detectors.pgfdd import jax_objective as objective
from crossfake.detectors.pgfdd.labels import AIFACE_COUNTS, FFPP_COUNTS, GROUPS, compute_ldam_margins

SCALES = {"A_mixed16": 2, "B_big64": 4, "C_onegroup": 2, "D_tight": 0.01, "E_singletons": 5, "F_wide32": 12}
rotate_within_kinds = jax.jit(objective.rotate_within_kinds, static_argnames="popped")


def test_ldam_loss_matches(losses, signed):
    logits = signed("ldam_x", (8, 8), 2)
    for counts, name, key in ((AIFACE_COUNTS, "ldam_aiface", "loss_same_x"), (FFPP_COUNTS, "ldam", "loss")):
        margins = np.float32(compute_ldam_margins(counts))
        run = jax.jit(
            jax.value_and_grad(lambda x, m=margins: objective.compute_ldam_errors(x, jnp.arange(8), m).mean())
        )
        loss, grad = run(logits)
        assert float(loss) == pytest.approx(losses[name][key], rel=1e-6)
    np.testing.assert_allclose(grad[0], losses["ldam"]["grad_row0"], atol=1e-5)


def test_contrastive_loss_matches(losses, signed):
    case = losses["contrastive"]
    label, kinds = jnp.asarray([0] * 4 + [1] * 4), jnp.asarray(case["spe_label"])
    anchors = rotate_within_kinds(label), rotate_within_kinds(kinds, popped=True)
    assert anchors[0].tolist() == case["anchor_idx_common_real"] + case["anchor_idx_common_fake"]
    assert anchors[1].tolist() == case["anchor_idx_specific"]

    def total(*features):
        return sum(objective.contrastive_loss(*pair, EVALUATION) for pair in zip(features, anchors, strict=True))

    features = [signed(f"con_{k}", (8, 16), 2) for k in ("common", "spec")]
    loss, (common, specific) = jax.jit(jax.value_and_grad(total, (0, 1)))(*features)
    assert float(loss) == pytest.approx(case["loss"], rel=1e-6)
    np.testing.assert_allclose(common[0], case["grad_common_row0"], atol=1e-5)
    np.testing.assert_allclose(specific[7], case["grad_spec_row7"], atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1, 5), min_size=8, max_size=8), st.booleans())
def test_rotated_anchors_equal_pytorchs(kinds, popped):
    torch = pytest.importorskip("torch")
    from crossfake.detectors.pgfdd.objective import rotate_within_kinds as rotate_like_pytorch

    found = rotate_within_kinds(jnp.asarray(kinds), popped=popped)
    assert found.tolist() == rotate_like_pytorch(torch.tensor(kinds), popped).tolist()


def test_shuffled_anchors_are_permutations_within_each_kind():
    kinds = jnp.asarray([0, 0, 0, 0, 2, -1, 2, 5, 2])
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: objective.shuffle_within_kinds(kinds, key)))(keys))
    assert (np.asarray(kinds)[drawn] == kinds).all()
    assert (np.sort(drawn, 1) == np.arange(9)).all()
    assert set(drawn[:, 0]) == {0, 1, 2, 3}
    assert set(drawn[:, 6]) == {4, 6, 8}


cvar = jax.jit(jax.value_and_grad(objective.bilevel_cvar))


QUICK = ("A_mixed16", "C_onegroup", "E_singletons")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SCALES])
def test_bilevel_loss_matches(name, losses, signed):
    case = losses["bilevel"][name]
    label, group = jnp.asarray(case["label"]), jnp.asarray(case["intersec"])
    logits = signed(f"bi_{name}", (len(label), 2), SCALES[name])

    def total(logits):
        errors = objective.compute_fused_errors(logits, label)
        return objective.bilevel_cvar(errors, group), errors

    (loss, errors), grad = jax.jit(jax.value_and_grad(total, has_aux=True))(logits)
    np.testing.assert_allclose(errors, case["per_sample_ce"], atol=1e-5)
    assert float(loss) == pytest.approx(case["loss"], abs=5e-6)
    # In these cases the released code's search stops on the same side of the kink (below it, or on it).
    same = [g["group"] for g in case["groups"] if g["lambda_fminbound"] <= g["lambda_exact"]]
    for i in range(4):
        if int(group[i]) in same:
            np.testing.assert_allclose(grad[i], case["grad_logits_first4"][i], atol=2e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 8, width=32), st.integers(0, 7)), min_size=1, max_size=40))
def test_bilevel_loss_and_gradient_equal_pytorchs_whatever_the_padding(samples):
    torch = pytest.importorskip("torch")
    from crossfake.detectors.pgfdd.objective import bilevel_cvar

    errors, group = np.float32([e for e, _ in samples]), np.array([g for _, g in samples])
    theirs = torch.from_numpy(errors).requires_grad_()
    loss = bilevel_cvar(theirs, torch.from_numpy(group))
    loss.backward()
    padding = np.full(40 - len(errors), 9, np.float32), np.full(40 - len(errors), GROUPS)
    found, grad = cvar(np.concatenate([errors, padding[0]]), np.concatenate([group, padding[1]]))
    assert float(found) == pytest.approx(loss.item(), abs=5e-6)
    # A difference of 1e-6 between two groups' values moves their weights by 1e-3 of a share: tau is 1e-3.
    np.testing.assert_allclose(grad[: len(errors)], theirs.grad, atol=2e-3)
    assert not np.asarray(grad[len(errors) :]).any()


def test_the_bilevel_loss_has_no_loop_over_groups_or_samples():
    """Neither the number of samples nor the groups' members change how many operations are compiled."""
    sizes = {n: str(jax.make_jaxpr(objective.bilevel_cvar)(np.zeros(n, np.float32), np.zeros(n, int))) for n in (8, 64)}
    assert sizes[8].count(" = ") == sizes[64].count(" = ")
    assert sizes[8].count("scatter-add") == 2  # One counts members, one sums excesses.


def compile_for(mode, loss):
    """Compile a loss as a whole, which is faster than compiling its operations one by one."""
    return jax.jit(lambda *arguments: loss(*arguments, mode))


def test_padding_pairs_add_nothing(signed):
    features, anchors = signed("con_common", (8, 16), 2), rotate_within_kinds(jnp.asarray([0] * 4 + [1] * 4))
    rows = np.array([0, 1, 2, 3, 0, 4, 5, 6, 7, 0])
    present = np.float32([1, 1, 1, 1, 0] * 2)
    padded = np.where(present[:, None] > 0, features[rows], 0)
    kinds = Mode(present=present).where_present(jnp.asarray([0] * 5 + [1] * 5), -1)
    found = compile_for(Mode(present=present), objective.contrastive_loss)(padded, rotate_within_kinds(kinds))
    expected = compile_for(EVALUATION, objective.contrastive_loss)(features, anchors)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    images = signed("image", (8, 2, 2, 3), 1)
    drawn = {k: signed(k, (4, 2, 2, 3), 1) for k in ("self_recon_1", "self_recon_2", "recon_1", "recon_2")}
    whole = compile_for(EVALUATION, objective.reconstruction_loss)(drawn, images)
    more = {k: np.pad(v, [(0, 1), (0, 0), (0, 0), (0, 0)]) for k, v in drawn.items()}
    found = compile_for(Mode(present=present), objective.reconstruction_loss)(more, images[rows])
    assert float(found) == pytest.approx(float(whole), rel=1e-6)


def test_the_fused_error_of_one_logit_is_binary_cross_entropy():
    logits, label = jnp.asarray([[0.3], [-2.0]]), jnp.asarray([1, 0])
    two = jnp.concatenate([jnp.zeros_like(logits), logits], 1)
    errors = jax.jit(objective.compute_fused_errors)
    np.testing.assert_allclose(errors(logits, label), errors(two, label), rtol=1e-6)
