"""What both detectors share in JAX: an Xception or the small ResNet with one logit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax.numpy as jnp
from jax import Array

from ...benchmark.core.errors import BenchError, require_known
from ..baselines.jax_classifier import ResNetClassifier, XceptionClassifier
from ..baselines.jax_plain import Classifier
from ..common.options import Options, bind_options, check_options, list_options
from ..common_jax.detector import JaxDetector, Named
from ..common_jax.imagenet import load_imagenet_weights
from ..common_jax.layers import Init, Mode
from ..common_jax.resnet import ResNet
from .jax_cvar import compute_errors
from .shared import HEAD, FddMixin

BACKBONES = ("xception", "timm:resnet10t")


class JaxFdd(FddMixin, JaxDetector[Classifier]):
    """A backbone with one logit, high if fake; a detector adds its loss. The options are those of `FddMixin`."""

    def build_network(self, backbone_args: Options, pretrained: bool | str) -> None:
        """Start with the network of `backbone`."""
        if self.gradient == "released":
            raise BenchError(f"{self.who} has the released gradient only in PyTorch. Use --backend torch")
        require_known(f"{self.who} backbone in JAX", self.backbone, BACKBONES, ". Use --backend torch for others")
        if self.backbone == "xception" and backbone_args:
            raise BenchError("backbone_args are for backbone timm:NAME; 'xception' has none")
        check_options(self.backbone, backbone_args, list_options(ResNet.__init__, keyword_only=True), "backbone_args")
        self.backbone_args = dict(backbone_args)
        options = {"backbone": self.backbone, "backbone_args": self.backbone_args, "pretrained": pretrained}
        start = load_imagenet_weights(self.who, _is_below_head, **options) if pretrained else {}
        JaxDetector.__init__(self, partial(self._make, classes=1), start)

    def _make(self, init: Init, classes: int) -> Classifier:
        if self.backbone == "xception":
            return XceptionClassifier(self.backbone, init, classes)
        return bind_options(ResNetClassifier, self.backbone_args)("resnet10t", init, classes)

    def normalise(self, frames: Array) -> Array:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return (frames.astype(jnp.float32) - 127.5) / 127.5

    def forward(self, network: Classifier, x: Array, mode: Mode) -> Named:
        """Return `logits` (N, 1) and the pooled `features` (N, C) from which a linear layer computes them."""
        return network(x, mode)

    def losses(self, network: Classifier, batch: Named, mode: Mode) -> Named:
        """Return the loss of the worst samples, and for comparison the mean over all (`erm`)."""
        logits = self.forward(network, self.inputs(batch["image"], mode), mode)["logits"]
        errors = compute_errors(logits, batch["label"])
        return {"loss": self.pool_errors(errors, batch, mode), "erm": mode.mean(errors)}

    def pool_errors(self, errors: Array, batch: Named, mode: Mode) -> Array:
        """Return a batch's loss from its samples' losses (N,)."""
        raise NotImplementedError

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take one logit (AI-Face's code) or two (DeepfakeBench's Xception), as the checkpoint has them."""
        rows = shapes.get(HEAD, (0,))[0]
        if self.backbone == "xception" and rows in (1, 2) and self.names()["fc.weight"].shape[0] != rows:
            self.rebuild(partial(self._make, classes=rows))


def _is_below_head(name: str) -> bool:
    return ".last_linear." not in f".{name}" and not name.startswith("fc.")
