"""Effort as a detector of the harness (PyTorch)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark.core.registry import detectors
from ..common import augmentations
from ..common.augmentations import Augment
from ..common.options import Options, check_range
from ..common.weights import Weight, to_array
from ..common_torch.timm_interface import get_part
from .backbone import CLIP, ClipDetector, ClipNet
from .svd import ResidualLinear, SplitQkv, split_weight

_PLAIN = re.compile(r"(.*encoder\.layers\.\d+\.self_attn\.(?:[qkv]|out)_proj\.)weight$")
_MAIN = re.compile(r"\.(S|U|V)_r$")


@detectors.register(
    "effort",
    backend="torch",
    title="Effort (orthogonal subspace decomposition)",
    paper="Orthogonal Subspace Decomposition for Generalizable AI-Generated Image Detection",
    venue="ICML",
    year=2025,
    url="https://arxiv.org/abs/2411.15633",
    license="original: CC BY-NC 4.0",
    weights="the authors' and DeepfakeBench's (CC BY-NC 4.0); CLIP's by OpenAI (MIT), "
    "vit_large_patch14_clip_quickgelu_224.openai",
    input="224 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="CLIP's mean and standard deviation",
    pooling="mean over frames",
    faithful_to="paper: cross-entropy, orthogonality and energy losses; released and deepfakebench: cross-entropy "
    "only, as in both codes",
    input_size=224,
    defaults={"variant": "paper", "input_size": 224},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class Effort(ClipDetector):
    """CLIP's ViT-L/14, in which only the last singular directions of the attention layers are trained.

    Args:
        variant: `paper`, `released` (cross-entropy only) or `deepfakebench` (the same, with its names).
        input_size: side of the crop, a multiple of 14.
        trained_rank: how many singular directions of each layer are trained; 1 in the paper and the released code.
        orthogonality: the weight of the loss that keeps singular vectors orthonormal, in `paper`.
        energy: the weight of the loss that keeps each weight's norm, in `paper`.
        arch, arch_args, augment, pretrained: see `ClipDetector`.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who = "effort"
    variants = ("paper", "released", "deepfakebench")
    splits_qkv = True

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 224,
        trained_rank: int = 1,
        orthogonality: float = 1.0,
        energy: float = 1.0,
        arch: str = CLIP,
        arch_args: Options | None = None,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        check_range("effort", "trained_rank", trained_rank, 1, example=1)
        for name, weight in (("orthogonality", orthogonality), ("energy", energy)):
            check_range("effort", name, weight, 0, example=1.0)
        self.trained_rank, self.orthogonality, self.energy = trained_rank, orthogonality, energy
        super().__init__(variant, input_size, arch, arch_args, augment, pretrained)

    @property
    def regularised(self) -> bool:
        """Whether the loss includes the paper's two regularisers, and the network what they need."""
        return self.variant == "paper"

    def own_augment(self) -> Augment:
        """Return DeepfakeBench's augmentation, which the released code uses."""
        return augmentations.augment_as_deepfakebench

    def build(self, pretrained: bool | str) -> ClipNet:
        """Make the network, with each attention layer split by its singular values."""
        network = super().build(pretrained)
        for block in get_part(network.backbone, "blocks", nn.Sequential):
            attention = block.get_submodule("attn")
            qkv, proj = (get_part(attention, name, nn.Linear) for name in ("qkv", "proj"))
            parts = zip(qkv.weight.chunk(3), qkv.bias.chunk(3), strict=True)
            attention.qkv = SplitQkv([self._split(weight, bias) for weight, bias in parts])
            attention.proj = self._split(proj.weight, proj.bias)
        return network

    def _split(self, weight: Tensor, bias: Tensor) -> ResidualLinear:
        rank = min(weight.shape) - self.trained_rank
        if weight.is_meta:
            return ResidualLinear(weight.shape[1], weight.shape[0], rank, self.regularised)
        return ResidualLinear.from_linear(weight.detach(), bias.detach(), rank, self.regularised)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return cross-entropy and, in `paper`, both regularisers averaged over the layers."""
        logits = self.forward(self.inputs(batch["image"]))["logits"]
        ce = F.cross_entropy(logits.float(), batch["label"])
        if not self.regularised:
            return {"loss": ce}
        layers = list(self.list_layers())
        orthogonality = torch.stack([layer.orthogonality() for layer in layers]).mean()
        energy = torch.stack([layer.energy_change() for layer in layers]).mean()
        loss = ce + self.orthogonality * orthogonality + self.energy * energy
        return {"loss": loss, "ce": ce, "orthogonality": orthogonality, "energy": energy}

    def list_layers(self) -> Iterator[ResidualLinear]:
        """Yield the trained layers, four per block."""
        return (module for module in self.network.modules() if isinstance(module, ResidualLinear))

    def load(self, weights: Path | str | Mapping[str, object]) -> Self:
        """Load Effort's weights, or CLIP's own with a head, which are then split; see `TorchDetector.load`."""
        super().load(weights)
        for layer in self.list_layers():
            layer.remember_energy()
        return self

    def translate(self, given: Mapping[str, Weight]) -> dict[str, Weight]:
        """Return the expected weights; CLIP's own are split by their singular values."""
        found: dict[str, Weight] = {}
        for name, value in super().translate(given).items():
            if plain := _PLAIN.match(name):
                weight = torch.from_numpy(to_array(value))
                parts = split_weight(weight, min(weight.shape) - self.trained_rank, self.regularised)
                found |= {plain[1] + part: array.numpy() for part, array in parts.items()}
            else:
                found[name] = value
        return found

    def is_unused(self, name: str) -> bool:
        """Return whether the weight belongs to the rest of CLIP or is only needed by the regularisers."""
        released = self.variant == "released" and _MAIN.search(name) is not None
        return released or super().is_unused(name)
