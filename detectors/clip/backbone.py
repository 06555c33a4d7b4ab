"""The frozen backbone and loader shared by all CLIP detectors: timm's ViT, built when it is first needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ...benchmark.core.contracts import Cropper, Sampler
from ...benchmark.core.errors import require_known
from ..common import augmentations
from ..common.augmentations import Augment, AugmentedSampler
from ..common.crops import BoxCrop
from ..common.options import Options, check_multiple
from ..common.weights import Weight
from ..common_torch.lazy import LazyDetector
from ..common_torch.timm_interface import as_timm_model, get_part
from ..common_torch.timm_models import create_timm_model
from . import names

T = TypeVar("T")
CLIP = "vit_large_patch14_clip_quickgelu_224.openai"  # With QuickGELU, as OpenAI trained it.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HEAD_WIDTH = 64  # Of every attention head in all CLIP encoders.
PATCH = 14


class ClipNet(nn.Module):
    """A ViT with a linear head on its class token, or on the projected class token if there is a projection.

    `forward` takes float32 (N, 3, S, S) and returns `features` (N, W), the head's input.
    """

    def __init__(self, backbone: nn.Module, projected: int, classes: int):
        super().__init__()
        timm = as_timm_model(backbone)
        width = int(timm.num_features)
        self.projection = nn.Linear(width, projected, bias=False) if projected else None
        if self.projection is not None:
            self.projection.weight = get_part(backbone, "head", nn.Linear).weight
            timm.reset_classifier(0)
        self.backbone = backbone
        self.head = nn.Linear(projected or width, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        backbone = as_timm_model(self.backbone)
        features = backbone.forward_head(backbone.forward_features(x), pre_logits=True)
        return self.projection(features) if self.projection is not None else features


class ClipDetector(LazyDetector[ClipNet]):
    """Base of the detectors on CLIP's image encoder.

    No weights are drawn or kept in memory before they are needed: a checkpoint may bring all of them, even for another
    depth or width. The network then takes that depth and width.

    Args:
        variant: one of the detector's `variants`.
        input_size: side of the crop, a multiple of 14.
        arch: timm's name of the ViT, with the tag of its weights.
        arch_args: passed to timm, such as `{depth: 2, embed_dim: 128, num_heads: 2}` for small experiments.
        augment: `none` or `mild`; by default as the detector does.
        pretrained: start from CLIP's weights, downloaded if needed; otherwise the frozen part is random.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who: ClassVar[str] = ""
    variants: ClassVar[tuple[str, ...]] = ("paper", "released")
    classes: ClassVar[int] = 2
    projected: ClassVar[int] = 0  # Width of the projection before the head; 0 without.
    prefix: ClassVar[str] = "backbone."  # Prefix of the reference's names for the encoder,
    head_name: ClassVar[str] = "head"  # and for the head.
    mean, std = CLIP_MEAN, CLIP_STD

    def __init__(
        self, variant: str, input_size: int, arch: str, arch_args: Options | None, augment: str, pretrained: bool | str
    ):
        require_known(f"{self.who} variant", variant, self.variants)
        require_known(f"{self.who} augment", augment, ("", "none", "mild"))
        check_multiple(self.who, "input_size", input_size, PATCH, 3 * PATCH, 224)
        self.variant, self.input_size, self.arch, self.augment = variant, input_size, arch, augment
        self.arch_args, self.pretrained = dict(arch_args or {}), pretrained
        self.width = self.projected
        self.start(pretrained)

    def build(self, pretrained: bool | str) -> ClipNet:
        """Make the network with CLIP's or random initial weights; freeze what isn't trained."""
        backbone = create_timm_model(
            self.arch, pretrained, "arch_args", num_classes=self.width, img_size=self.input_size, **self.arch_args
        )
        return self.freeze(ClipNet(backbone, self.width, self.classes))

    def freeze(self, network: ClipNet) -> ClipNet:
        """Return the network with only the trained parts left trainable: here, the head."""
        network.requires_grad_(False)
        network.head.requires_grad_(True)
        return network

    # ---- images

    def cropper(self) -> Cropper:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> Sampler:
        """Crops, augmented as the detector's recipe does, or as asked."""
        named = {"none": augmentations.keep, "mild": augmentations.augment_mildly}
        return AugmentedSampler(self.cropper(), named.get(self.augment) or self.own_augment())

    def own_augment(self) -> Augment:
        """Return how the detector's recipe augments an image."""
        return augmentations.keep

    def normalise(self, frames: Tensor) -> Tensor:
        """Normalise 0..255 by the mean and standard deviation of the ViT's training data."""
        mean, std = (torch.tensor(v, device=frames.device)[:, None, None] for v in (self.mean, self.std))
        return (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` and the `features` (N, W) from which a linear layer computes them."""
        features = self.network(x)
        return {"logits": self.network.head(features), "features": features}

    # ---- weight names

    def to_reference(self, state: Mapping[str, T]) -> dict[str, T]:
        """Return our weights, arrays or tensors, with the reference's names and shapes."""
        weights: Mapping[str, Any] = state
        found: dict[str, T] = {}
        for name, value in weights.items():
            if name.startswith("backbone."):
                parts = names.to_hugging(name.removeprefix("backbone."), value)
                found |= {self.prefix + key: part for key, part in parts.items()}
            elif name == "projection.weight":
                found[names.PROJECTION] = value
            else:
                found[f"{self.head_name}.{name.removeprefix('head.')}"] = value
        return found

    def from_reference(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the reference's weights with our names and shapes."""
        encoder = {k.removeprefix(self.prefix): v for k, v in state.items() if k.startswith(self.prefix)}
        found = {f"backbone.{k}": v for k, v in names.from_hugging(encoder, self.splits_qkv).items()}
        if names.PROJECTION in state:
            found["projection.weight"] = state[names.PROJECTION]
        start = f"{self.head_name}."
        return found | {f"head.{k.removeprefix(start)}": v for k, v in state.items() if k.startswith(start)}

    splits_qkv = False  # Whether queries, keys and values are separate layers.

    def translate(self, given: Mapping[str, Weight]) -> dict[str, Weight]:
        """Return an encoder's weights under the expected names, given OpenAI's or Hugging Face's."""
        encoder, others = names.to_canonical(given)
        projection = {k: encoder.pop(k) for k in (names.PROJECTION,) if k in encoder}
        return {**{self.prefix + k: v for k, v in encoder.items()}, **others, **projection}

    def is_unused(self, name: str) -> bool:
        """Return whether the weight belongs to CLIP's text encoder or to a projection unused by this detector."""
        return names.is_unused(name) or (name == names.PROJECTION and not self.projected)

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the depth and width of a checkpoint."""
        start = re.escape(self.prefix) + r"encoder\.layers\.(\d+)\."
        layers = {int(found[1]) for name in shapes if (found := re.match(start, name))}
        width = shapes.get(f"{self.prefix}embeddings.class_embedding", (0,))[0]
        backbone = self.network.backbone
        if not layers or not width or width % HEAD_WIDTH or not isinstance(backbone, VisionTransformer):
            return
        mlp = shapes.get(f"{self.prefix}encoder.layers.0.mlp.fc1.weight", (4 * width,))[0]
        args = {
            "depth": max(layers) + 1,
            "embed_dim": width,
            "num_heads": width // HEAD_WIDTH,
            "mlp_ratio": mlp / width,
        }
        projected = shapes.get(names.PROJECTION, (self.projected,))[0] if self.projected else 0
        now = {"depth": len(backbone.blocks), "embed_dim": backbone.embed_dim}
        if now != {k: args[k] for k in now} or projected != self.width:
            self.arch_args, self.width = {**self.arch_args, **args}, projected
            self.network = self.build_empty().to_empty(device="cpu")
