"""The losses (section 3.2 of the paper, and the released code where they differ). No call here waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .labels import GROUPS
from .shared import INNER, OUTER, REACH, TAU1, TAU2, WEIGHTS


def losses(
    outputs: dict[str, Tensor], x: Tensor, batch: dict[str, Tensor], margins: Tensor, anchors: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return the weighted sum as `loss`, and its six components.

    Args:
        outputs: output of `FairnessNet.training_outputs`.
        x: float32 (N, 3, S, S), the network's input: real, then fake.
        batch: `label`, `label_spe` and `intersec_label`, int64 (N,).
        margins: each demographic group's margin, (8,).
        anchors: for the common and the specific features, the sample that each of the N should be close to.
    """
    real, fake = x.chunk(2)
    targets = {"self_recon_1": fake, "self_recon_2": real, "recon_1": real, "recon_2": fake}
    features = (outputs["feat"].float(), outputs["feat_spe"].float())
    parts = {
        "common": F.cross_entropy(outputs["cls"].float(), batch["label"]),
        "specific": F.cross_entropy(outputs["cls_spe"].float(), batch["label_spe"]),
        "reconstruction": torch.stack([F.l1_loss(outputs[k].float(), image) for k, image in targets.items()]).sum(),
        "contrastive": sum(map(contrastive_loss, features, anchors), torch.zeros((), device=x.device)),
        "fairness": ldam_loss(outputs["cls_fair"].float(), batch["intersec_label"], margins),
        "fusion": bilevel_cvar(
            compute_fused_errors(outputs["cls_fused"].float(), batch["label"]), batch["intersec_label"]
        ),
    }
    return {"loss": torch.stack([weight * parts[name] for name, weight in WEIGHTS.items()]).sum(), **parts}


def compute_fused_errors(logits: Tensor, label: Tensor) -> Tensor:
    """Return each sample's cross-entropy (N,) from two logits or (AI-Face) of one."""
    if logits.shape[1] == 2:
        return F.cross_entropy(logits, label, reduction="none")
    return F.binary_cross_entropy_with_logits(logits[:, 0], label.float(), reduction="none")


def contrastive_loss(features: Tensor, anchors: Tensor, margin: float = 3.0) -> Tensor:
    """Pull each feature (N, C) to its anchor, away from the other half's: the sum of both halves' means."""
    near = features[anchors]
    far = near.roll(len(near) // 2, 0)
    return 2 * F.relu(F.pairwise_distance(features, near) - F.pairwise_distance(features, far) + margin).mean()


def shuffle_within_kinds(kinds: Tensor) -> Tensor:
    """Return a random permutation (N,) within each kind (N,): drawn again in each pass, from torch's generator."""
    within = (torch.rand(kinds.shape, device=kinds.device) + kinds).argsort()
    return torch.empty_like(within).scatter_(0, kinds.argsort(stable=True), within)


def rotate_within_kinds(kinds: Tensor, popped: bool = False) -> Tensor:
    """Deterministic counterpart of `shuffle_within_kinds`, for comparisons: rotates each kind's list left by one.

    The released code takes specific anchors from the end of such a list (`popped`), common ones from its start.
    """
    anchors = torch.empty_like(kinds)
    for kind in kinds.unique():
        members = (kinds == kind).nonzero()[:, 0]
        turned = members.roll(-1)
        anchors[members] = turned.flip(0) if popped else turned
    return anchors


def ldam_loss(logits: Tensor, target: Tensor, margins: Tensor, scale: float = 30.0) -> Tensor:
    """Cross-entropy after subtracting each class's margin from its logit: LDAM (Cao et al. 2019), equation 12."""
    return F.cross_entropy(scale * (logits - F.one_hot(target, len(margins)) * margins), target)


def bilevel_cvar(errors: Tensor, group: Tensor) -> Tensor:
    """Return CVaR over groups of the CVaR within groups, of errors (N,) and group codes (N,) (the paper's equation 8).

    The released code searches for each lambda, and stops short of the outer optimum as soon as exp overflows: the outer
    CVaR is then nearly the worst group's. Here both come in closed form or by bisection, with the same values.
    """
    members = group == torch.arange(GROUPS, device=group.device)[:, None]
    inner, present = _compute_cvar_within(errors.double(), members), members.any(1)
    worst = inner.masked_fill(~present, -torch.inf).detach().amax()
    groups = present.sum()
    low, high = worst - REACH, worst
    for _ in range(40):
        middle = (low + high) / 2
        share = (torch.sigmoid((inner.detach() - middle) / TAU1) * present).sum() / groups
        rising = 1 + TAU2 / OUTER * middle - share / OUTER > 0
        low, high = torch.where(rising, low, middle), torch.where(rising, middle, high)
    smooth = (TAU1 * F.softplus((inner - low) / TAU1) * present).sum() / groups
    return (low + TAU2 / (2 * OUTER) * low**2 + smooth / OUTER).to(errors.dtype)


def _compute_cvar_within(errors: Tensor, members: Tensor) -> Tensor:
    """Return each group's CVaR (G,), 0 if it has no members (G, N)."""
    count = members.sum(1, keepdim=True)
    ordered = errors.detach().masked_fill(~members, torch.inf).sort(1).values
    threshold = ordered.gather(1, count // 10).masked_fill(count == 0, 0)
    # Exactly at the kink every sample counts, as in most of the released code's searches, which stop just below it.
    above = (members & (errors >= threshold)) * (errors - threshold)
    return (threshold + above.sum(1, keepdim=True) / (INNER * count.clamp(min=1))).squeeze(1)
