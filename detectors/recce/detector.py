"""RECCE as a detector of the harness (PyTorch)."""

from __future__ import annotations

from torch import Tensor, nn

from ...benchmark.core.registry import detectors
from ..baselines.xception_family import XceptionFamily, compute_cross_entropy
from ..common.augmentations import Augment, mirror
from .network import Recce
from .objective import compute_losses


@detectors.register(
    "recce",
    backend="torch",
    title="RECCE (Reconstruction-Classification Learning)",
    paper="End-to-End Reconstruction-Classification Learning for Face Forgery Detection",
    venue="CVPR",
    year=2022,
    url="https://openaccess.thecvf.com/content/CVPR2022/html/Cao_End-to-End_Reconstruction-Classification_Learning_"
    "for_Face_Forgery_Detection_CVPR_2022_paper.html",
    license="original: MIT; DeepfakeBench's: CC BY-NC 4.0",
    weights="the authors' (MIT) and DeepfakeBench's; starts from timm's legacy_xception.tf_in1k",
    input="299 px RGB; deepfakebench: 256",
    crop="square face box, enlarged 1.3 times (the paper doesn't state its margin)",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames (the paper: single frames)",
    faithful_to="paper and released: flooded cross-entropy, reconstruction of reals, metric loss; deepfakebench: "
    "cross-entropy only. Selected on the source's validation split; the released code selects on the test split",
    input_size=299,
    defaults={"variant": "paper", "input_size": 299},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class RecceDetector(XceptionFamily):
    """An Xception that also learns to reconstruct real faces, and attends to where it fails.

    Options: `XceptionFamily`'s.
    """

    who = "recce"
    variants = ("paper", "released", "deepfakebench")

    def __init__(
        self, variant: str = "paper", input_size: int = 299, augment: str = "", pretrained: bool | str = False
    ):
        super().__init__(variant, input_size, augment, pretrained)
        if variant != "deepfakebench":
            self.needs_whole_batch = "its metric loss compares all faces of a batch"

    def build_network(self, pretrained: bool | str) -> nn.Module:
        """Return the network, with one logit, or two as in DeepfakeBench."""
        return Recce(2 if self.variant == "deepfakebench" else 1, pretrained)

    def choose_augment(self) -> Augment:
        """Return how an image is augmented: mirrored, or not at all in DeepfakeBench."""
        return super().choose_augment() if self.augment or self.variant == "deepfakebench" else mirror

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output; see `Recce`."""
        return self.network(x)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the paper's losses, or only cross-entropy as in DeepfakeBench."""
        x = self.inputs(batch["image"])
        outputs = self.forward(x)
        if self.variant == "deepfakebench":
            return {"loss": compute_cross_entropy(outputs["logits"], batch["label"])}
        return compute_losses(outputs, x, batch["label"])

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights, or DeepfakeBench's."""
        return f"model.{name}" if self.variant == "deepfakebench" else name

    def is_unused(self, name: str) -> bool:
        """Return whether it belongs to ImageNet's classifier or to DeepfakeBench's second Xception."""
        return name.startswith(("encoder.fc.", "model.encoder.fc.", "backbone."))
