"""CADDM as a detector of the harness (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.registry import detectors
from ..common.options import Options
from ..common_torch.detector import TorchDetector
from .network import CaddmNet
from .objective import multibox_loss
from .shared import CaddmMixin


@detectors.register(
    "caddm",
    backend="torch",
    title="CADDM (Implicit Identity Leakage)",
    paper="Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization",
    venue="CVPR",
    year=2023,
    url="https://arxiv.org/abs/2210.14457",
    license="original: Apache-2.0",
    weights="the authors' (Apache-2.0); starts from timm's tf_efficientnet_b4.aa_in1k (ResNet-34: resnet34.tv_in1k)",
    input="224 px BGR",
    crop="aligned to a template by eyes, nose and mouth; released weights expect dlib's 81 landmarks",
    normalisation="none (0..255), as in the released code",
    pooling="mean over frames",
    faithful_to="paper, with the released code's bugs fixed, and selected on the source's validation split; "
    "--set options.recipe=reference trains with the bugs",
    can=("crop", "load", "save", "sample", "train", "features", "artifacts", "parameters"),
)
class Caddm(CaddmMixin, TorchDetector):
    """A backbone with an artifact detection module, trained on multi-scale facial swaps.

    The options are those of `CaddmMixin`.

    Raises:
        BenchError: an option isn't valid, or the backbone's map isn't 7x7.
    """

    def build_network(self, stage: int | None, backbone_args: Options, pretrained: bool | str) -> None:
        """Start with the network of `backbone` and `input_size`."""
        TorchDetector.__init__(self)
        self.network = CaddmNet(
            self.backbone, self.input_size, pretrained=pretrained, stage=stage, backbone_args=backbone_args
        )

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, S, S, 3) RGB into BGR float32 (N, 3, S, S), 0..255 unless `scale_input`."""
        x = frames.flip(-1).permute(0, 3, 1, 2).float()
        return (x - 127.5) / 64 if self.scale_input else x

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return logits, loc, conf, features, global_features and adm_features of float32 (N, 3, S, S)."""
        return self.network(x)

    def count_terms(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the number of positive `anchors`, over which the MultiBox loss is a mean."""
        return {"anchors": (batch["conf_targets"] > 0).sum()}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return cross entropy plus `detection_weight` times the MultiBox loss, and its components.

        `image` is uint8 (N, S, S, 3) RGB from the sampler, or float (N, 3, S, S) as `normalise` returns it.
        """
        out, rows = self.forward(self.inputs(batch["image"])), len(batch["label"])
        count = batch["anchors"] * rows if "anchors" in batch else None
        loss_cls = F.cross_entropy(out["logits"].float(), batch["label"])
        targets = batch["loc_targets"], batch["conf_targets"]
        loss_loc, loss_conf = multibox_loss(out["loc"], out["conf"], *targets, count)
        loss = loss_cls + self.detection_weight * (loss_loc + loss_conf)
        return {"loss": loss, "loss_cls": loss_cls, "loss_loc": loss_loc, "loss_conf": loss_conf}
