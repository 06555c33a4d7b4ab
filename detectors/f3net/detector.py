"""F3-Net as a detector of the harness (PyTorch)."""

from __future__ import annotations

import re

from torch import Tensor, nn

from ...benchmark.core.errors import BenchError
from ...benchmark.core.registry import detectors
from ..baselines.xception_family import XceptionFamily
from .network import F3Network

_CONSTANT = re.compile(r"(\.base|\._DCT_\w+|\.ft_num)$|^(FAD|LFS)_xcep\.fc\.")


@detectors.register(
    "f3net",
    backend="torch",
    aliases=("f3-net",),
    title="F3-Net (Thinking in Frequency)",
    paper="Thinking in Frequency: Face Forgery Detection by Mining Frequency-Aware Clues",
    venue="ECCV",
    year=2020,
    url="https://arxiv.org/abs/2007.09355",
    license="original: no code released; yyk-wew/F3Net has no licence; DeepfakeBench's is CC BY-NC 4.0",
    weights="DeepfakeBench's (FAD at 256 px) and yyk-wew's (299 px); starts from timm's legacy_xception.tf_in1k",
    input="299 px RGB; deepfakebench: 256. Weights depend on the size",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="paper: FAD, LFS and MixBlock, whose positions haven't been verified; released: yyk-wew's FAD and "
    "LFS, which its author calls broken; deepfakebench: only FAD",
    input_size=299,
    defaults={"variant": "paper", "input_size": 299},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class F3Net(XceptionFamily):
    """Xceptions on an image's frequency bands (FAD) and on local frequency statistics (LFS).

    Args:
        variant: `paper` (FAD, LFS, MixBlock), `released` (FAD, LFS) or `deepfakebench` (FAD).
        input_size: side of the crop.
        lfs: whether to use LFS besides FAD; by default as in the variant.
        mixblock: whether to mix the two; by default as in the variant.
        augment: see `XceptionFamily`.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    who = "f3net"
    variants = ("paper", "released", "deepfakebench")
    takes_any_size = False

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 299,
        lfs: bool | None = None,
        mixblock: bool | None = None,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        self.lfs = variant != "deepfakebench" if lfs is None else lfs
        self.mixblock = (variant == "paper" and self.lfs) if mixblock is None else mixblock
        if self.mixblock and not self.lfs:
            raise BenchError("f3net's mixblock needs two branches: --set options.lfs=true, or options.mixblock=false")
        super().__init__(variant, input_size, augment, pretrained)

    def build_network(self, pretrained: bool | str) -> nn.Module:
        """Return the network for a variant and size."""
        bench = self.variant == "deepfakebench"
        return F3Network(
            self.input_size,
            lfs=self.lfs,
            mixed=self.mixblock,
            paper=self.variant == "paper",
            classes=2 if bench else 1,
            dropout=0.5 if bench else 0.2,
            pretrained=pretrained,
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output; see `F3Network`."""
        return self.network(x)

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights, or DeepfakeBench's."""
        if self.variant != "deepfakebench":
            return name
        return (
            name.replace("FAD_xcep.", "backbone.")
            if not name.startswith("fc.")
            else f"backbone.last_linear.1.{name[3:]}"
        )

    def is_unused(self, name: str) -> bool:
        """Return whether it is a constant that follows from the size, or belongs to an unused layer."""
        return _CONSTANT.search(name) is not None or super().is_unused(name)
