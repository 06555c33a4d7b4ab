"""What both detectors share in PyTorch: an Xception with one logit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ...benchmark.core.errors import require_known
from ..common.options import Options
from ..common_torch.detector import TorchDetector
from ..common_torch.timm_interface import as_timm_model, get_part
from ..common_torch.timm_models import create_timm_model
from ..common_torch.xception import make_xception
from .cvar import compute_errors
from .shared import HEAD, FddMixin


class Fdd(FddMixin, TorchDetector):
    """A backbone with one logit, high if fake; a detector adds its loss. The options are those of `FddMixin`."""

    needs_whole_batch = "its loss is that of the worst faces of a batch"

    def build_network(self, backbone_args: Options, pretrained: bool | str) -> None:
        """Start with the network of `backbone`."""
        super(FddMixin, self).__init__()
        if self.backbone == "xception":
            self.network = make_xception(1, pretrained)
            return
        require_known(f"{self.who} backbone", self.backbone.partition(":")[0], ("timm",), ". Or: xception")
        name = self.backbone.removeprefix("timm:")
        self.network = create_timm_model(name, pretrained, "backbone_args", num_classes=1, **backbone_args)

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return frames.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 1) and the pooled `features` (N, C) from which a linear layer computes them."""
        network = as_timm_model(self.network)
        features = network.forward_head(network.forward_features(x), pre_logits=True)
        return {"logits": network.get_classifier()(features), "features": features}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of the worst samples, and for comparison the mean over all (`erm`)."""
        errors = compute_errors(self.forward(self.inputs(batch["image"]))["logits"], batch["label"])
        return {"loss": self.pool_errors(errors, batch), "erm": errors.mean()}

    def pool_errors(self, errors: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return a batch's loss from its samples' losses (N,)."""
        raise NotImplementedError

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take one logit (AI-Face's code) or two (DeepfakeBench's Xception), as the checkpoint has them."""
        rows = shapes.get(HEAD, (0,))[0]
        if self.backbone != "xception" or rows not in (1, 2):
            return
        head = get_part(self.network, "fc", nn.Linear)
        if head.out_features != rows:
            self.network.fc = nn.Linear(head.in_features, rows)
