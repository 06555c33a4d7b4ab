"""DAW-FDD as a detector of the harness (JAX)."""

from __future__ import annotations

from jax import Array

from ...benchmark.core.registry import detectors
from ..baselines.jax_plain import Classifier
from ..common_jax.detector import Named
from ..common_jax.layers import Mode
from .jax_base import JaxFdd
from .jax_cvar import ABSENT, compute_group_cvar, list_members
from .shared import GroupsMixin


@detectors.register(
    "daw-fdd",
    backend="jax",
    title="DAW-FDD (Improving Fairness in Deepfake Detection)",
    year=2024,
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    learns_groups=True,
    can=("crop", "load", "save", "sample", "train", "inspect", "features", "parameters", "flops"),
)
class JaxDawFdd(GroupsMixin, JaxFdd):
    """Minimises the mean of the worst share `alpha` of groups, each the mean of its worst `alpha_group`.

    The options are those of `FddMixin`.
    """

    who = "daw-fdd"

    def losses(self, network: Classifier, batch: Named, mode: Mode) -> Named:
        """Return the loss of the worst, the mean over all (`erm`), and how many `groups` the batch has."""
        groups = list_members(mode.where_present(batch["group"], ABSENT)).any(1).sum()
        return {**super().losses(network, batch, mode), "groups": groups}

    def pool_errors(self, errors: Array, batch: Named, mode: Mode) -> Array:
        """Return the conditional value at risk of each sample's loss, (N,)."""
        return compute_group_cvar(errors, mode.where_present(batch["group"], ABSENT), self.alpha, self.alpha_group)
