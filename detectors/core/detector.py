"""CORE as a detector of the harness (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from timm.models.xception import Xception
from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.contracts import Sampler
from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from ..baselines.xception_family import XceptionFamily
from ..common import augmentations
from ..common.augmentations import Augment, AugmentedSampler
from ..common.options import check_range
from ..common_torch.xception import compute_map, make_xception, pool_map, to_deepfakebench_name
from .objective import DISTANCES, add_weights, consistency_loss, weighted_cross_entropy

VIEWS = ("raaug", "erase", "selim", "mild")


def mirror_and_erase(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half, and erase a rectangle in four out of five."""
    return augmentations.erase(augmentations.mirror(image, rng), rng)


def augment_randomly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half; erase a rectangle in a third, and crop and enlarge in a third."""
    image, kind = augmentations.mirror(image, rng), rng.integers(3)
    if kind == 1:
        return augmentations.erase(image, rng, 1.0)
    return augmentations.crop_and_resize(image, rng, 1 / 1.3, 1 / 0.9) if kind == 2 else image


@detectors.register(
    "core",
    backend="torch",
    title="CORE (Consistent Representation Learning)",
    paper="CORE: Consistent Representation Learning for Face Forgery Detection",
    venue="CVPR Workshops",
    year=2022,
    url="https://arxiv.org/abs/2206.02749",
    license="original: MIT; DeepfakeBench's: CC BY-NC 4.0",
    weights="the authors' (MIT) and DeepfakeBench's; starts from timm's legacy_xception.tf_in1k",
    input="299 px RGB; deepfakebench: 256",
    crop="square face box, enlarged 1.3 times (the paper: MTCNN, checked against the masks)",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper and released: two views of the same image, reals weighted 4; deepfakebench: the consistency "
    "loss compares the two halves of a batch, which are different images; unweighted. Selected on the source's "
    "validation split; the released code tests every epoch on the test set",
    input_size=299,
    defaults={"variant": "paper", "input_size": 299},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class Core(XceptionFamily):
    """An Xception trained to see the same in two differently augmented views of a face.

    Args:
        variant: `paper`, `released` (the same network and loss) or `deepfakebench`.
        input_size: side of the crop.
        views: augmentation: `raaug` or `selim` (the paper's across datasets), `erase` (the paper's within one), `mild`.
        consistency: weight of the consistency loss: 100 across datasets; 1 within one and in DeepfakeBench.
        distance: `cosine`, `l2` or `l1`.
        augment: see `XceptionFamily`; only for `deepfakebench`.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    network: Xception
    who = "core"
    variants = ("paper", "released", "deepfakebench")

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 299,
        views: str = "raaug",
        consistency: float = 100.0,
        distance: str = "cosine",
        augment: str = "",
        pretrained: bool | str = False,
    ):
        require_known("core views", views, VIEWS)
        require_known("core distance", distance, DISTANCES)
        check_range("core", "consistency", consistency, 0, example=1.0)
        super().__init__(variant, input_size, augment, pretrained)
        self.views, self.consistency, self.distance = views, consistency, distance
        if variant == "deepfakebench":
            self.needs_whole_batch = "its consistency loss compares one half of a batch with the other"

    def build_network(self, pretrained: bool | str) -> Xception:
        """Return an Xception."""
        return make_xception(2, pretrained)

    def sampler(self) -> Sampler:
        """Two views of each face box, or a single one as in DeepfakeBench."""
        if self.variant == "deepfakebench":
            return super().sampler()
        kinds: dict[str, Augment] = {
            "raaug": augment_randomly,
            "erase": mirror_and_erase,
            "selim": augmentations.augment_as_selim,
            "mild": augmentations.augment_mildly,
        }
        return AugmentedSampler(self.cropper(), kinds[self.views], views=2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2) and the pooled `features` (N, 2048)."""
        features = pool_map(compute_map(self.network, x))
        return {"logits": self.network.fc(features), "features": features}

    def count_terms(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the sum of the images' `weights`, over which cross-entropy is a mean."""
        return {"weights": add_weights(batch["label"])}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `ce` plus `consistency` times `cons`.

        `image` is uint8 (N, 2, S, S, 3) RGB from the sampler, with `label` (N,); or single images, uint8 (2 N, S, S, 3)
        or float (2 N, 3, S, S): all first views, then all second ones, with `label` (2 N,).
        """
        image, label = batch["image"], batch["label"]
        if image.ndim == 5:
            image, label = image.transpose(0, 1).flatten(0, 1), label.repeat(2)
        outputs = self.forward(self.inputs(image))
        bench = self.variant == "deepfakebench"
        features = outputs["features"][: len(label) // 2 * 2]
        cons = consistency_loss(features, self.distance)
        logits = outputs["logits"]
        total = batch["weights"] * len(label) if "weights" in batch else None
        ce = F.cross_entropy(logits.float(), label) if bench else weighted_cross_entropy(logits, label, total)
        return {"loss": ce + (1.0 if bench else self.consistency) * cons, "ce": ce, "cons": cons}

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights, or DeepfakeBench's."""
        return to_deepfakebench_name(name) if self.variant == "deepfakebench" else name
