"""Masking samples in a loss equals omitting them, and never waits for the device, since it works on `meta`."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from crossfake.detectors.caddm.objective import hard_negatives, multibox_loss
from crossfake.detectors.forensics_adapter import objective as adapter
from crossfake.detectors.recce.objective import reconstruction_loss
from torch.nn import functional as F

LABELS = [[0, 1, 1, 0, 1], [0, 0, 0, 1], [1, 1], [0, 0, 0], [1]]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def differentiate(loss: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    return [
        torch.zeros_like(one) if gradient is None else gradient for one, gradient in zip(inputs, found, strict=True)
    ]


def test_caddms_gradients_are_those_of_chosen_anchors_to_the_last_bit():
    loc, conf, wanted = draw(3, 168, 4), draw(3, 168, 2, seed=1), draw(3, 168, 4, seed=2).detach()
    targets = (draw(3, 168, seed=3) > 1.5).long()
    positive = targets > 0
    chosen, count = positive | hard_negatives(conf, targets), positive.sum()
    box = F.smooth_l1_loss(loc[positive], wanted[positive], reduction="sum") / count
    kind = F.cross_entropy(conf[chosen], targets[chosen], reduction="sum") / count
    found = multibox_loss(loc, conf, wanted, targets)
    assert [one.item() for one in found] == pytest.approx([box.item(), kind.item()], rel=1e-6)
    for new, old in zip(differentiate(sum(found), loc, conf), differentiate(box + kind, loc, conf), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize("labels", LABELS)
def test_recces_reconstruction_counts_only_reals(labels):
    drawn, x, label = draw(len(labels), 3, 4, 4), draw(len(labels), 3, 4, 4, seed=1).detach(), torch.tensor(labels)
    real = label == 0
    expected = (drawn[real] - x[real]).abs().mean() if real.any() else drawn.sum() * 0
    found = reconstruction_loss(drawn, x, label)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(differentiate(found, drawn), differentiate(expected, drawn))


@pytest.mark.parametrize("labels", LABELS)
def test_the_adapter_compares_fakes_with_themselves_and_with_as_many_reals(labels):
    features, label = draw(len(labels), 6, 8), torch.tensor(labels)
    forged = (draw(len(labels), 6, seed=1) > 0).long()
    fakes, part = features[label == 1], forged[label == 1, :, None]
    count = min(len(fakes), len(labels) - len(fakes))

    def contrast(genuine, other):
        a, b = F.normalize(genuine, dim=-1), F.normalize(other, dim=-1)
        alike, unlike = (((one @ a.transpose(1, 2)) / adapter.TEMPERATURE).exp().sum() for one in (a, b))
        return -(alike / (alike + unlike)).log()

    none = features.sum() * 0
    within = contrast(fakes * (1 - part), fakes * part) if len(fakes) else none
    across = contrast(features[label == 0][:count], fakes[:count]) if count else none
    for found, expected in [
        (adapter.within_loss(features, forged, label), within),
        (adapter.across_loss(features, label), across),
    ]:
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        torch.testing.assert_close(differentiate(found, features), differentiate(expected, features))


def test_no_loss_waits_for_the_device():
    """A `meta` tensor has no values, so reading one fails, such as the number of rows that a mask leaves."""
    with torch.device("meta"):
        label = torch.zeros(4, dtype=torch.long)
        multibox_loss(
            torch.zeros(4, 168, 4), torch.zeros(4, 168, 2), torch.zeros(4, 168, 4), label[:, None].expand(4, 168)
        )
        reconstruction_loss(torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8), label)
        adapter.within_loss(torch.zeros(4, 6, 8), torch.zeros(4, 6), label)
        adapter.across_loss(torch.zeros(4, 6, 8), label)
        with pytest.raises((RuntimeError, NotImplementedError)):
            torch.zeros(4)[label == 0]
