"""CADDM as a detector of the harness (PyTorch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.registry import detectors
from ..common_torch.detector import TorchDetector
from .network import CaddmNet
from .objective import multibox_loss
from .shared import CaddmMixin


@detectors.register(
    "caddm",
    backend="torch",
    title="CADDM (Implicit Identity Leakage)",
    paper="Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization",
    year=2023,
    url="https://arxiv.org/abs/2210.14457",
    license="Apache-2.0",
    can=("crop", "load", "save", "sample", "train", "features", "artifacts", "parameters"),
)
class Caddm(CaddmMixin, TorchDetector):
    """A backbone with an artifact detection module, trained on multi-scale facial swaps.

    Args:
        backbone: `resnet34`, `efficientnet-b3`, `efficientnet-b4` (the released ones), or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`, such as `channels`.
        stage: which of a `timm:NAME` backbone's stages to use; None: the last with a 7x7 map.
        input_size: side of the crop; 224 for the released ones.
        recipe: `paper`, or `reference` to train as the released code does, or `gentle` for small faces.
        recipe_args: fields of the recipe to change (`Recipe` in sampler.py), such as `{partial: 0.5}`.
        pretrained: start from ImageNet weights, which are downloaded; otherwise nothing is.
        detection_weight: the share of the anchors' loss; 0 leaves a classifier trained on swaps.
        scale_input: give the network (grey level - 127.5) / 64 instead of the raw 0..255 that the released weights
            expect; small networks learn faster from scratch so.

    Raises:
        BenchError: an option isn't valid, or the backbone's map isn't 7x7.
    """

    def __init__(
        self,
        *,
        backbone: str = "efficientnet-b4",
        backbone_args: Mapping[str, Any] | None = None,
        stage: int | None = None,
        input_size: int = 224,
        recipe: str = "paper",
        recipe_args: Mapping[str, Any] | None = None,
        detection_weight: float = 0.1,
        pretrained: bool = False,
        scale_input: bool = False,
    ):
        super().__init__()
        self.take_options(backbone, input_size, recipe, recipe_args, detection_weight, scale_input)
        self.network = CaddmNet(backbone, input_size, pretrained=pretrained, stage=stage, backbone_args=backbone_args)

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, S, S, 3) RGB into BGR float32 (N, 3, S, S), 0..255 unless `scale_input`."""
        x = frames.flip(-1).permute(0, 3, 1, 2).float()
        return (x - 127.5) / 64 if self.scale_input else x

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return logits, loc, conf, features, global_features and adm_features of float32 (N, 3, S, S)."""
        return self.network(x)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return cross entropy plus `detection_weight` times the MultiBox loss, and its parts.

        `image` is uint8 (N, S, S, 3) RGB from the sampler, or float (N, 3, S, S) as `normalise` makes it.
        """
        out = self.forward(self.inputs(batch["image"]))
        loss_cls = F.cross_entropy(out["logits"].float(), batch["label"])
        loss_loc, loss_conf = multibox_loss(out["loc"], out["conf"], batch["loc_targets"], batch["conf_targets"])
        loss = loss_cls + self.detection_weight * (loss_loc + loss_conf)
        return {"loss": loss, "loss_cls": loss_cls, "loss_loc": loss_loc, "loss_conf": loss_conf}
