"""DAG-FDD as a detector of the harness (PyTorch), for training without demographics."""

from __future__ import annotations

from torch import Tensor

from ...benchmark.core.registry import detectors
from .cvar import compute_cvar
from .torch_base import Fdd


@detectors.register(
    "dag-fdd",
    backend="torch",
    title="DAG-FDD (Improving Fairness in Deepfake Detection)",
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
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class DagFdd(Fdd):
    """Minimises the mean of the worst share `alpha` of a batch, whatever the group.

    The options are those of `FddMixin`.
    """

    who = "dag-fdd"

    def pool_errors(self, errors: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the conditional value at risk of each sample's loss, (N,)."""
        return compute_cvar(errors, self.alpha, self.gradient)
