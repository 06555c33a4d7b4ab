"""DAW-FDD as a detector of the harness (PyTorch), for training with known demographics."""

from __future__ import annotations

import torch
from torch import Tensor

from ...benchmark.core.registry import detectors
from .cvar import compute_group_cvar
from .shared import GroupsMixin
from .torch_base import Fdd


@detectors.register(
    "daw-fdd",
    backend="torch",
    title="DAW-FDD (Improving Fairness in Deepfake Detection)",
    paper="Improving Fairness in Deepfake Detection",
    venue="WACV",
    year=2024,
    url="https://arxiv.org/abs/2306.16635",
    license="original: never released; the co-author's code in AI-Face-FairnessBench is CC BY-NC",
    weights="none published; starts from timm's legacy_xception.tf_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper: the loss in closed form, with its exact gradient; released: the gradient where the co-author's "
    "search for the threshold stops. One logit. The paper's recipe isn't public; the co-author's is used",
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "features", "parameters"),
)
class DawFdd(GroupsMixin, Fdd):
    """Minimises the mean of the worst share `alpha` of groups, each the mean of its worst `alpha_group`.

    The options are those of `FddMixin`.
    """

    who = "daw-fdd"

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of the worst, the mean over all (`erm`), and how many `groups` the batch has."""
        return {**super().losses(batch), "groups": torch.tensor(len(batch["group"].unique()))}

    def pool_errors(self, errors: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the conditional value at risk of each sample's loss, (N,)."""
        return compute_group_cvar(errors, batch["group"], self.alpha, self.alpha_group, self.gradient)
