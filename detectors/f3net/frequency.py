"""What F3-Net sees of an image: its frequency bands (FAD) and local frequency statistics (LFS)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW, STRIDE, PAD, BANDS = 10, 2, 4, 6  # Of LFS.
GREY = (0.299, 0.587, 0.114)
TINY = 1e-15


def make_dct(n: int) -> Tensor:
    """Return the orthonormal DCT-II as a matrix (n, n), float32."""
    i, j = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    rows = (torch.pi * i * (j + 0.5) / n).cos() * math.sqrt(2 / n)
    rows[0] = math.sqrt(1 / n)
    return rows.float()


class BandFilter(nn.Module):
    """A mask (n, n) of the coefficients (i, j) with low <= i + j <= high, plus a learned term within -1..1."""

    base: Tensor

    def __init__(self, n: int, low: float, high: float):
        super().__init__()
        total = torch.arange(n)[:, None] + torch.arange(n)
        self.register_buffer("base", ((total >= low) & (total <= high)).float(), persistent=False)
        self.learnable = nn.Parameter(torch.randn(n, n) * 0.1)

    def forward(self) -> Tensor:
        """Return the mask (n, n)."""
        return self.base + 2 * self.learnable.sigmoid() - 1


class DecomposedImages(nn.Module):
    """Frequency-aware decomposition (FAD): (N, 3, n, n) to (N, 12, n, n): low, middle, high and all frequencies.

    Diagonals where two bands meet belong to both.
    """

    dct: Tensor

    def __init__(self, n: int):
        super().__init__()
        low, middle = math.floor(n / 2.82), n // 2
        self.register_buffer("dct", make_dct(n), persistent=False)
        limits = ((0, low), (low, middle), (middle, 2 * n), (0, 2 * n))
        self.filters = nn.ModuleList(BandFilter(n, *pair) for pair in limits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the bands, concatenated."""
        spectrum = self.dct @ x @ self.dct.T
        return torch.cat([self.dct.T @ (spectrum * band()) @ self.dct for band in self.filters], 1)


class LocalStatistics(nn.Module):
    """Local frequency statistics (LFS): (N, 3, n, n) in -1..1 to (N, 6, side, side), in windows of 10 pixels.

    Args:
        paper: take the logarithm of each band's sum, as in the paper; otherwise of each coefficient, as released.
    """

    dct: Tensor

    def __init__(self, paper: bool):
        super().__init__()
        self.paper = paper
        self.register_buffer("dct", make_dct(WINDOW), persistent=False)
        width = 2 * WINDOW / BANDS
        limits = [(round(i * width, 9), round((i + 1) * width, 9)) for i in range(BANDS)]
        self.filters = nn.ModuleList(BandFilter(WINDOW, *pair) for pair in limits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the statistics."""
        # If a window has almost none of a frequency, the logarithm amplifies rounding: 1e-4 in the output.
        grey = GREY[0] * x[:, :1] + GREY[1] * x[:, 1:2] + GREY[2] * x[:, 2:]
        grey = grey * 122.5 + 122.5  # Up to 245, as released.
        side = count_windows(x.shape[-1])
        windows = F.unfold(grey, WINDOW, stride=STRIDE, padding=PAD).transpose(1, 2)
        spectrum = (self.dct @ windows.unflatten(2, (WINDOW, WINDOW)) @ self.dct.T).abs()
        found = [self._measure(spectrum, band) for band in self.filters]
        return torch.stack(found, 1).unflatten(2, (side, side))

    def _measure(self, spectrum: Tensor, band: nn.Module) -> Tensor:
        if self.paper:
            return ((spectrum * band()).abs().sum((2, 3)) + TINY).log10()
        base: Tensor = band.base  # type: ignore[assignment]
        return ((spectrum + TINY).log10() * band()).sum((2, 3)) / base.sum()


def count_windows(n: int) -> int:
    """Return how many LFS windows fit along an image's side."""
    return (n + 2 * PAD - WINDOW) // STRIDE + 1


class MixBlock(nn.Module):
    """Lets each branch attend to where the other one responds; maps (N, C, S, S) each.

    Initially it adds only a convolution's bias, since both `gamma` start at 0.
    """

    def __init__(self, channels: int):
        super().__init__()
        for branch in ("FAD", "LFS"):
            setattr(self, f"{branch}_query", nn.Conv2d(channels, channels, 1))
            setattr(self, f"{branch}_key", nn.Conv2d(channels, channels, 1))
            setattr(self, f"{branch}_gamma", nn.Parameter(torch.zeros(1)))
            setattr(self, f"{branch}_conv", nn.Conv2d(channels, channels, 1, groups=channels))
            setattr(self, f"{branch}_bn", nn.BatchNorm2d(channels))

    def forward(self, fad: Tensor, lfs: Tensor) -> tuple[Tensor, Tensor]:
        """Return both maps, each with the other's contribution."""
        maps = {"FAD": fad, "LFS": lfs}
        query = torch.cat([self._get(f"{name}_query")(x) for name, x in maps.items()], 3)
        key = torch.cat([self._get(f"{name}_key")(x).transpose(2, 3) for name, x in maps.items()], 2)
        attention = (query @ key).softmax(-1)
        return self._add(fad, "FAD", lfs * attention, "LFS"), self._add(lfs, "LFS", fad * attention, "FAD")

    def _add(self, own: Tensor, name: str, seen: Tensor, other: str) -> Tensor:
        gamma: Tensor = getattr(self, f"{other}_gamma")
        gate = 2 * gamma.sigmoid() - 1
        return own + self._get(f"{name}_bn")(self._get(f"{name}_conv")(seen * gate))

    def _get(self, name: str) -> nn.Module:
        found: nn.Module = getattr(self, name)
        return found
