"""SBI as a detector of the harness (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.registry import detectors
from ...benchmark.core.settings import TrainSettings
from ...benchmark.core.types import REAL, Video
from ..common.efficientnet_names import to_deepfakebench_name, to_lukemelas_name
from ..common.network_detector import LEAST_SIZE
from ..common.options import Options, check_multiple
from ..common_torch.detector import TorchDetector
from ..common_torch.efficientnet import make_efficientnet_b4
from ..common_torch.timm_interface import as_timm_model
from ..common_torch.timm_models import create_timm_model
from .sampler import SelfBlendSampler, TightCrop

VARIANTS = ("paper", "released", "deepfakebench")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@detectors.register(
    "sbi",
    backend="torch",
    title="SBI (Self-Blended Images)",
    paper="Detecting Deepfakes with Self-Blended Images",
    venue="CVPR",
    year=2022,
    url="https://arxiv.org/abs/2204.08376",
    license="original: academic and non-profit research only, redistribution restricted; this code contains none of it",
    weights="same terms as the original; starts from timm's tf_efficientnet_b4.ap_in1k (AdvProp)",
    input="380 px RGB, bilinear",
    crop="face box and 12.5 % on each side",
    normalisation="0..1, no mean or standard deviation",
    pooling="highest score in each frame, mean over frames; faces under half the largest's area are left out",
    faithful_to="paper: float mask of one of four hulls, eroded exactly; released: integer mask of the whole hull; "
    "deepfakebench: its EfficientNet-B4 (own stem, ImageNet mean and standard deviation). Selected by AUC on the "
    "source's validation split; the paper takes the last epoch",
    input_size=380,
    defaults={"variant": "paper", "input_size": 380},
    can=("crop", "load", "save", "sample", "train", "inspect", "check", "features", "parameters"),
)
class Sbi(TorchDetector):
    """EfficientNet-B4 that learns from real faces and the same faces blended into themselves.

    Args:
        variant: `paper`, `released` (an integer mask, hardly eroded) or `deepfakebench`.
        input_size: side of the crop.
        backbone: `efficientnet-b4`, or `timm:NAME` for small experiments.
        backbone_args: passed to timm for `timm:NAME`.
        pretrained: start from AdvProp weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the network can't be built.
    """

    learns_from_reals_alone = True
    sharpness_counts_twice = True  # Batch norm's running statistics include both passes of SAM.
    takes_any_size = True

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 380,
        backbone: str = "efficientnet-b4",
        backbone_args: Options | None = None,
        pretrained: bool | str = False,
    ):
        super().__init__()
        require_known("sbi variant", variant, VARIANTS)
        check_multiple("sbi", "input_size", input_size, 1, LEAST_SIZE, 380)
        self.variant, self.input_size, self.backbone = variant, input_size, backbone
        if backbone == "efficientnet-b4":
            bench = variant == "deepfakebench"
            self.network = make_efficientnet_b4("ap_in1k", pretrained, padded_stem=not bench)
        else:
            require_known("sbi backbone", backbone.partition(":")[0], ("timm",), ". Known: efficientnet-b4, timm:NAME")
            arguments = dict(backbone_args or {})
            name = backbone.removeprefix("timm:")
            self.network = create_timm_model(name, pretrained, "backbone_args", num_classes=2, **arguments)

    def cropper(self) -> TightCrop:
        """The face box, extended by an eighth on each side."""
        return TightCrop(self.input_size)

    def sampler(self) -> SelfBlendSampler:
        """Pairs of a real face and its self-blended version."""
        return SelfBlendSampler(self.input_size, integer_mask=self.variant == "released")

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to 0..1; as in DeepfakeBench, also normalise by ImageNet's mean and standard deviation."""
        x = frames.permute(0, 3, 1, 2).float() / 255
        if self.variant != "deepfakebench":
            return x
        mean, deviation = (torch.tensor(v, device=x.device)[:, None, None] for v in IMAGENET)
        return (x - mean) / deviation

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), the pooled `features` (N, C) and `feat`, the last map (N, C, h, w)."""
        network = as_timm_model(self.network)
        feat = network.forward_features(x)
        features = feat.mean((2, 3))
        logits = network.forward_head(feat)
        return {"logits": logits, "features": features, "feat": feat}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over all real faces, then all blended ones.

        `image` is uint8 (N, 2, S, S, 3) RGB from the sampler, or uint8 (N, S, S, 3) or float (N, 3, S, S) with a
        `label` each.
        """
        image, label = batch["image"], batch["label"]
        if image.ndim == 5:
            image, label = image.transpose(0, 1).flatten(0, 1), label.T.flatten()
        logits = self.forward(self.inputs(image))["logits"]
        return {"loss": F.cross_entropy(logits.float(), label)}

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Keep the real videos.

        Raises:
            BenchError: there are none.
        """
        reals = [v for v in videos if v.label == REAL]
        if not reals:
            raise BenchError(
                f"sbi learns from real videos alone, and none of {len(videos)} training videos is real. "
                "Train on a set with real ones"
            )
        return reals, "they are fake, and sbi makes its own fakes of the real ones"

    def check_training(self, settings: TrainSettings) -> None:
        """Reject settings that draw fakes, since none are kept.

        Raises:
            BenchError: batches should be balanced.
        """
        if settings.balance:
            raise BenchError(
                "sbi makes a fake of each real frame, so batches can't be balanced. Use --set train.balance=false"
            )

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights, or DeepfakeBench's."""
        if self.backbone != "efficientnet-b4":
            return name
        theirs = to_lukemelas_name("efficientnet-b4", name)
        if self.variant == "deepfakebench":
            return to_deepfakebench_name(theirs)
        return f"net.{theirs}"
