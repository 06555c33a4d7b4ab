"""CADDM as a detector of the harness (JAX)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ...benchmark.registry import detectors
from ...benchmark.types import Cropper, Face
from ..imagenet import imagenet_start
from ..jax_detector import JaxDetector, Named
from ..jax_networks.layers import Mode
from .alignment import align_face
from .artifacts import locate
from .jax_network import CaddmNet
from .jax_objective import multibox_loss
from .keys import reference_keys
from .sampler import CaddmSampler, recipe_of


@detectors.register("caddm", backend="jax", title="CADDM (Implicit Identity Leakage)", year=2023)
class JaxCaddm(JaxDetector):
    """A backbone with an artifact detection module, trained on multi-scale facial swaps.

    The options are those of the PyTorch detector; `timm:resnet10t` is the only `timm:NAME` backbone.

    Raises:
        BenchError: an option isn't valid, or the backbone has no port, or its map isn't 7x7.
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
        self.backbone, self.input_size, self.recipe = backbone, input_size, recipe_of(recipe, recipe_args)
        self.detection_weight, self.scale_input = detection_weight, scale_input
        args = dict(backbone_args or {})
        network = {"backbone": backbone, "backbone_args": args, "stage": stage, "input_size": input_size}
        start = imagenet_start("caddm", _in_backbone, pretrained=True, **network) if pretrained else {}
        super().__init__(lambda init: CaddmNet(backbone, input_size, init, stage, args), start)

    def cropper(self) -> Cropper:
        """Return what cuts the aligned uint8 (S, S, 3) RGB test crop (five points, scale 0.9)."""
        return partial(align_face, size=self.input_size)

    def sampler(self) -> CaddmSampler:
        """Return the multi-scale facial swap of this detector's recipe and size."""
        return CaddmSampler(self.input_size, self.recipe)

    def normalise(self, frames: Array) -> Array:
        """Turn uint8 (N, S, S, 3) RGB into BGR float32 (N, S, S, 3), 0..255 unless `scale_input`."""
        x = frames[..., ::-1].astype(jnp.float32)
        return (x - 127.5) / 64 if self.scale_input else x

    def forward(self, network: Any, x: Array, mode: Mode) -> Named:
        """Return logits, loc, conf, features, global_features and adm_features of (N, S, S, 3)."""
        return network(x, mode)

    def losses(self, network: Any, batch: Named, mode: Mode) -> Named:
        """Return cross entropy plus `detection_weight` times the MultiBox loss, and its parts."""
        out = self.forward(network, self.inputs(batch["image"], mode), mode)
        logits = out["logits"].astype(jnp.float32)
        loss_cls = mode.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]))
        loss_loc, loss_conf = multibox_loss(out["loc"], out["conf"], batch["loc_targets"], batch["conf_targets"])
        loss = loss_cls + self.detection_weight * (loss_loc + loss_conf)
        return {"loss": loss, "loss_cls": loss_cls, "loss_loc": loss_loc, "loss_conf": loss_conf}

    def artifacts(self, faces: Sequence[Face]) -> list[np.ndarray]:
        """Return for each face the (k, 4, 2) corners of what looks like an artifact, in pixels of its crop."""
        return locate(self, faces)

    def to_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename our weights' names to the released code's."""
        names = reference_keys(self.backbone, list(state))
        return {names[k]: v for k, v in state.items()}

    def from_reference(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Rename the released code's names to our weights'."""
        names = {theirs: k for k, theirs in reference_keys(self.backbone, list(self.names())).items()}
        return {names[k]: v for k, v in state.items()}


def _in_backbone(name: str) -> bool:
    return name.startswith("base_model.")
