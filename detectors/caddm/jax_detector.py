"""CADDM as a detector of the harness (JAX)."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import optax
from jax import Array

from ...benchmark.core.registry import detectors
from ..common.options import Options
from ..common_jax.detector import JaxDetector, Named
from ..common_jax.imagenet import load_imagenet_weights
from ..common_jax.layers import Mode
from .jax_network import CaddmNet
from .jax_objective import multibox_loss
from .shared import CaddmMixin


@detectors.register(
    "caddm",
    backend="jax",
    title="CADDM (Implicit Identity Leakage)",
    year=2023,
    can=("crop", "load", "save", "sample", "train", "features", "artifacts", "parameters", "flops"),
)
class JaxCaddm(CaddmMixin, JaxDetector[CaddmNet]):
    """A backbone with an artifact detection module, trained on multi-scale facial swaps.

    The options are those of `CaddmMixin`; `timm:resnet10t` is the only `timm:NAME` backbone.

    Raises:
        BenchError: an option isn't valid, or the backbone has no port, or its map isn't 7x7.
    """

    def build_network(self, stage: int | None, backbone_args: Options, pretrained: bool | str) -> None:
        """Start with the network of `backbone` and `input_size`."""
        network = partial(CaddmNet, self.backbone, self.input_size, stage=stage, backbone_args=backbone_args)
        options = {"backbone": self.backbone, "input_size": self.input_size, **network.keywords}
        start = load_imagenet_weights("caddm", _is_in_backbone, pretrained=pretrained, **options) if pretrained else {}
        JaxDetector.__init__(self, network, start)

    def normalise(self, frames: Array) -> Array:
        """Turn uint8 (N, S, S, 3) RGB into BGR float32 (N, S, S, 3), 0..255 unless `scale_input`."""
        x = frames[..., ::-1].astype(jnp.float32)
        return (x - 127.5) / 64 if self.scale_input else x

    def forward(self, network: CaddmNet, x: Array, mode: Mode) -> Named:
        """Return logits, loc, conf, features, global_features and adm_features of (N, S, S, 3)."""
        return network(x, mode)

    def losses(self, network: CaddmNet, batch: Named, mode: Mode) -> Named:
        """Return cross entropy plus `detection_weight` times the MultiBox loss, and its components."""
        out = self.forward(network, self.inputs(batch["image"], mode), mode)
        logits = out["logits"].astype(jnp.float32)
        loss_cls = mode.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]))
        loss_loc, loss_conf = multibox_loss(out["loc"], out["conf"], batch["loc_targets"], batch["conf_targets"])
        loss = loss_cls + self.detection_weight * (loss_loc + loss_conf)
        return {"loss": loss, "loss_cls": loss_cls, "loss_loc": loss_loc, "loss_conf": loss_conf}


def _is_in_backbone(name: str) -> bool:
    return name.startswith("base_model.")
