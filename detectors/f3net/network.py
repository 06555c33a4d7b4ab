"""F3-Net's network: an Xception on FAD's images, optionally another on LFS's statistics, optionally mixed."""

from __future__ import annotations

import torch
from timm.models.xception import Xception
from torch import Tensor, nn

from ...benchmark.core.errors import BenchError
from ..common_torch.xception import compute_map, make_xception
from .frequency import BANDS, DecomposedImages, LocalStatistics, MixBlock, count_windows

STAGES = (range(1, 8), range(8, 13))
CHANNELS = (728, 1024)  # Of the maps there.


class F3Network(nn.Module):
    """Images (N, 3, n, n) to named outputs; FAD's weights depend on n.

    Args:
        size: n.
        lfs: whether there is a second branch.
        mixed: whether the branches are mixed after blocks 7 and 12.
        paper: LFS's logarithm as in the paper; see `LocalStatistics`.
        classes: number of logits.
        dropout: share dropped before the linear layer.
        pretrained: start both Xceptions from ImageNet weights.

    Raises:
        BenchError: the branches can't be mixed because their maps differ at this size, or the weights aren't available.
    """

    LFS_head: LocalStatistics
    LFS_xcep: Xception

    def __init__(
        self, size: int, *, lfs: bool, mixed: bool, paper: bool, classes: int, dropout: float, pretrained: bool | str
    ):
        super().__init__()
        self.FAD_head = DecomposedImages(size)
        self.FAD_xcep = make_xception(0, pretrained, channels=12)
        if lfs:
            self.LFS_head = LocalStatistics(paper)
            self.LFS_xcep = make_xception(0, pretrained, channels=BANDS)
            self.LFS_xcep.conv1.stride = (1, 1)
        if mixed:
            _check_maps(size)
            self.mix = nn.ModuleList(MixBlock(channels) for channels in CHANNELS)
        self.lfs, self.mixed = lfs, mixed
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(4096 if lfs else 2048, classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits`, `features` (N, 2048 or 4096), `fad` (N, 12, n, n), `lfs`, and FAD's last map `feat`."""
        fad = self.FAD_head(x)
        outputs = {"fad": fad}
        if self.lfs:
            outputs["lfs"] = self.LFS_head(x)
        maps = self._mix(fad, outputs["lfs"]) if self.mixed else self._keep_apart(outputs)
        pooled = [last.relu().mean((2, 3)) for last in maps]
        features = torch.cat(pooled, 1)
        outputs |= {"features": features, "feat": maps[0].relu()}
        return {"logits": self.fc(self.dropout(features)), **outputs}

    def _keep_apart(self, seen: dict[str, Tensor]) -> list[Tensor]:
        networks = {"fad": self.FAD_xcep, **({"lfs": self.LFS_xcep} if self.lfs else {})}
        return [compute_map(network, seen[name]) for name, network in networks.items()]

    def _mix(self, fad: Tensor, lfs: Tensor) -> list[Tensor]:
        networks = (self.FAD_xcep, self.LFS_xcep)
        maps = [_run_stem(network, seen) for network, seen in zip(networks, (fad, lfs), strict=True)]
        for stage, mix in zip(STAGES, self.mix, strict=True):
            for block in stage:
                maps = [getattr(n, f"block{block}")(m) for n, m in zip(networks, maps, strict=True)]
            maps = list(mix(*maps))
        return [_run_top(network, last) for network, last in zip(networks, maps, strict=True)]


def _run_stem(network: Xception, x: Tensor) -> Tensor:
    x = network.bn1(network.conv1(x)).relu()
    return network.bn2(network.conv2(x)).relu()


def _run_top(network: Xception, x: Tensor) -> Tensor:
    x = network.bn3(network.conv3(x)).relu()
    return network.bn4(network.conv4(x))


def _check_maps(size: int) -> None:
    sides = [(size - 3) // 2 + 1 - 2, count_windows(size) - 4]
    for _ in range(3):
        sides = [(side - 1) // 2 + 1 for side in sides]
    if sides[0] != sides[1]:
        raise BenchError(
            f"f3net's branches can't be mixed at input_size {size}, where their maps are {sides[0]} and {sides[1]} "
            "pixels wide. Use --set options.input_size=299, or --set options.mixblock=false"
        )
