"""The losses against golden values of the released code, and the closed forms against numerical searches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.detectors.pgfdd import objective
from crossfake.detectors.pgfdd.labels import AIFACE_COUNTS, FFPP_COUNTS, compute_ldam_margins

SCALES = {"A_mixed16": 2, "B_big64": 4, "C_onegroup": 2, "D_tight": 0.01, "E_singletons": 5, "F_wide32": 12}


@pytest.fixture(scope="module")
def signed(signed):
    return lambda *how: torch.from_numpy(signed(*how))


def test_margins_and_ldam_loss_match(losses, signed):
    for counts, name in ((FFPP_COUNTS, "ldam"), (AIFACE_COUNTS, "ldam_aiface")):
        np.testing.assert_allclose(compute_ldam_margins(counts), losses[name]["margins"], atol=1e-6)
    logits = signed("ldam_x", (8, 8), 2).requires_grad_()
    for counts, name, key in ((AIFACE_COUNTS, "ldam_aiface", "loss_same_x"), (FFPP_COUNTS, "ldam", "loss")):
        loss = objective.ldam_loss(logits, torch.arange(8), torch.as_tensor(compute_ldam_margins(counts)).float())
        assert loss.item() == pytest.approx(losses[name][key], rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(logits.grad[0], losses["ldam"]["grad_row0"], atol=1e-5)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=9).filter(any))
def test_rarer_classes_have_larger_margins_whatever_the_scale(counts):
    margins = compute_ldam_margins(counts)
    np.testing.assert_allclose(compute_ldam_margins([7 * n for n in counts]), margins)
    assert margins.max() == 0.5
    for (n, margin), (m, other) in zip(
        zip(counts, margins, strict=True), [*zip(counts, margins, strict=True)][1:], strict=False
    ):
        assert (margin == 0) == (n == 0)
        assert not 0 < n < m or margin > other


def test_contrastive_loss_matches(losses, signed):
    expected = losses["contrastive"]
    common, specific = (signed(f"con_{k}", (8, 16), 2).requires_grad_() for k in ("common", "spec"))
    label, kinds = torch.tensor([0] * 4 + [1] * 4), torch.tensor(expected["spe_label"])
    anchors = objective.rotate_within_kinds(label), objective.rotate_within_kinds(kinds, popped=True)
    assert anchors[0].tolist() == expected["anchor_idx_common_real"] + expected["anchor_idx_common_fake"]
    assert anchors[1].tolist() == expected["anchor_idx_specific"]
    loss = sum(map(objective.contrastive_loss, (common, specific), anchors))
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(common.grad[0], expected["grad_common_row0"], atol=1e-5)
    np.testing.assert_allclose(specific.grad[7], expected["grad_spec_row7"], atol=1e-5)


def test_shuffled_anchors_are_permutations_within_each_kind():
    kinds = torch.tensor([0, 0, 0, 0, 2, 1, 2, 5, 2])
    torch.manual_seed(0)
    drawn = torch.stack([objective.shuffle_within_kinds(kinds) for _ in range(200)])
    assert (kinds[drawn] == kinds).all()
    assert (drawn.sort(1).values == torch.arange(9)).all()
    assert set(drawn[:, 0].tolist()) == {0, 1, 2, 3}
    assert set(drawn[:, 6].tolist()) == {4, 6, 8}


@pytest.mark.parametrize("name", SCALES)
def test_bilevel_loss_matches(name, losses, signed):
    case = losses["bilevel"][name]
    label, group = torch.tensor(case["label"]), torch.tensor(case["intersec"])
    logits = signed(f"bi_{name}", (len(label), 2), SCALES[name]).requires_grad_()
    errors = objective.compute_fused_errors(logits, label)
    np.testing.assert_allclose(errors.detach(), case["per_sample_ce"], atol=1e-5)
    loss = objective.bilevel_cvar(errors, group)
    assert loss.item() == pytest.approx(case["loss"], abs=5e-6)
    loss.backward()
    # In these cases the released code's search stops on the same side of the kink (below it, or on it).
    same = [g["group"] for g in case["groups"] if g["lambda_fminbound"] <= g["lambda_exact"]]
    for i in range(4):
        if group[i].item() in same:
            np.testing.assert_allclose(logits.grad[i], case["grad_logits_first4"][i], atol=2e-3)


def searched(errors, group):
    """The same optimum, found by a general search over lambda."""
    inner = []
    for g in np.unique(group):
        c = errors[group == g]
        inner.append(min(lam + np.maximum(0, c - lam).mean() / 0.9 for lam in c))
    inner = np.array(inner)

    def smooth(lam):
        return lam + 1e-4 * lam**2 + 2 * np.mean(1e-3 * np.logaddexp(0, (inner - lam) / 1e-3))

    bounds = (inner.max() - 0.08872284, inner.max())
    return smooth(minimize_scalar(smooth, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)


@given(st.lists(st.tuples(st.floats(0, 8, width=32), st.integers(0, 7)), min_size=1, max_size=40))
def test_bilevel_loss_is_the_searched_optimum(samples):
    errors, group = np.array([e for e, _ in samples]), np.array([g for _, g in samples])
    found = float(objective.bilevel_cvar(torch.from_numpy(errors), torch.from_numpy(group)))
    assert found == pytest.approx(searched(errors, group), abs=1e-6)
    assert found >= errors.mean() - 1e-6 or len(set(group)) > 1


def test_the_fused_error_of_one_logit_is_binary_cross_entropy():
    logits, label = torch.tensor([[0.3], [-2.0]]), torch.tensor([1, 0])
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    torch.testing.assert_close(
        objective.compute_fused_errors(logits, label), objective.compute_fused_errors(two, label)
    )
