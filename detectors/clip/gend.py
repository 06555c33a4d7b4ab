"""GenD as a detector of the harness (PyTorch)."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from ..common import augmentations
from ..common import pixel_operators as pixels
from ..common.augmentations import Augment
from ..common.options import Options, check_range
from .alignment import TemplateCrop
from .backbone import CLIP, ClipDetector, ClipNet
from .objective import alignment_loss, uniformity_loss

HEADS = ("linear_norm", "linear")


def augment_as_gend(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half; rotate, shift and scale; blur one in ten; change brightness and contrast; compress."""
    image = augmentations.mirror(image, rng)
    angle, scale, shift = rng.uniform(-10, 10), rng.uniform(0.9, 1.1), rng.uniform(-0.1, 0.1, 2)
    image = augmentations.transform(image, angle, scale, shift, "black")
    if rng.random() < 0.1:
        image = augmentations.blur(image, 7, rng.uniform(0.1, 2))
    brightness, contrast = rng.uniform(0.9, 1.1, 2)
    mean = float(image.mean()) / 255
    image = pixels.scale_levels(image, brightness * contrast, brightness * (1 - contrast) * mean)
    return pixels.compress_jpeg(image, int(rng.integers(40, 101)))


@detectors.register(
    "gend",
    backend="torch",
    title="GenD (LayerNorm tuning)",
    paper="Deepfake Detection that Generalizes Across Benchmarks",
    venue="WACV",
    year=2026,
    url="https://arxiv.org/abs/2508.06248",
    license="original: MIT",
    weights="the authors' (MIT, yermandy/GenD_CLIP_L_14); CLIP's by OpenAI (MIT), "
    "vit_large_patch14_clip_quickgelu_224.openai",
    input="224 px RGB",
    crop="aligned by five points, 1.3 times the template",
    normalisation="CLIP's mean and standard deviation",
    pooling="mean over frames",
    faithful_to="paper and released (the same): only LayerNorms and the head are trained, alignment 0.1 and uniformity "
    "0.5 on the normalised class token. Selected on the source's validation split; the paper selects on other datasets",
    input_size=224,
    defaults={"variant": "paper", "input_size": 224},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class GenD(ClipDetector):
    """CLIP's ViT-L/14 with only its LayerNorms trained, 0.03 % of all parameters.

    Args:
        variant: `paper` or `released`, which are the same.
        input_size: side of the crop, a multiple of 14.
        head: `linear_norm` on features normalised to length 1, or `linear` on the features as they are.
        uniformity: the weight of the uniformity loss.
        alignment: the weight of the alignment loss.
        arch, arch_args, augment, pretrained: see `ClipDetector`.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who = "gend"
    prefix = "feature_extractor.vision_model."
    head_name = "model.linear"

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 224,
        head: str = "linear_norm",
        uniformity: float = 0.5,
        alignment: float = 0.1,
        arch: str = CLIP,
        arch_args: Options | None = None,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        require_known("gend head", head, HEADS)
        for name, weight in (("uniformity", uniformity), ("alignment", alignment)):
            check_range("gend", name, weight, 0, example=0.5)
        self.head, self.uniformity, self.alignment = head, uniformity, alignment
        if uniformity or alignment:
            self.needs_whole_batch = "its uniformity and alignment losses compare all faces of a batch"
        super().__init__(variant, input_size, arch, arch_args, augment, pretrained)

    def cropper(self) -> TemplateCrop:
        """The face aligned with the paper's template."""
        return TemplateCrop(self.input_size)

    def own_augment(self) -> Augment:
        """Return the paper's augmentation."""
        return augment_as_gend

    def freeze(self, network: ClipNet) -> ClipNet:
        """Leave the LayerNorms and the head trainable."""
        super().freeze(network)
        for name, parameter in network.backbone.named_parameters():
            if "norm" in name:
                parameter.requires_grad_(True)
        return network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), the class token `features` (N, W), and `normalised`, of length 1."""
        features = self.network(x)
        normalised = F.normalize(features, dim=1)
        logits = self.network.head(features if self.head == "linear" else normalised)
        return {"logits": logits, "features": features, "normalised": normalised}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return cross-entropy and, weighted, `uniformity` and `alignment`."""
        outputs, label = self.forward(self.inputs(batch["image"])), batch["label"]
        return compute_losses(outputs["logits"], outputs["normalised"], label, self.uniformity, self.alignment)


def compute_losses(
    logits: Tensor, normalised: Tensor, label: Tensor, uniformity: float = 0.5, alignment: float = 0.1
) -> dict[str, Tensor]:
    """Return `loss` and its components `ce`, `uniformity` and `alignment`, unweighted.

    Args:
        logits: (N, 2).
        normalised: features (N, C) of length 1.
        label: (N,).
        uniformity: the weight of the uniformity loss.
        alignment: the weight of the alignment loss.
    """
    parts = {
        "ce": F.cross_entropy(logits.float(), label),
        "uniformity": uniformity_loss(normalised.float()),
        "alignment": alignment_loss(normalised.float(), label),
    }
    return {"loss": parts["ce"] + uniformity * parts["uniformity"] + alignment * parts["alignment"], **parts}
