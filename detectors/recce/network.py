"""RECCE's network: an Xception whose middle is also decoded back to the image; the decoder guides attention."""

from __future__ import annotations

import torch
from timm.models.xception import Block, SeparableConv2d
from torch import Tensor, nn
from torch.nn import functional as F

from ..common_torch.xception import make_xception

NOISE = 1e-6  # Standard deviation of the noise added to half of the images in training: too small to have an effect.


class Recce(nn.Module):
    """Images (N, 3, S, S) in -1..1 to named outputs; see `forward`."""

    def __init__(self, classes: int, pretrained: bool | str):
        super().__init__()
        self.encoder = make_xception(0, pretrained)
        self.decoder1, self.decoder3, self.decoder5 = _enlarge(728, 256), _enlarge(256, 128), _enlarge(128, 64)
        self.decoder2, self.decoder4 = Block(256, 256, 3, 1), Block(128, 128, 3, 1)
        self.decoder6 = nn.Sequential(nn.Conv2d(64, 3, 1, bias=False), nn.Tanh())
        self.reasoning = GraphReasoning((728, 256), (256, 256), (128, 256), (2, 4))
        self.attention = GuidedAttention(728)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits`, pooled `features` (N, 2048), and what the losses and test vectors need.

        `recons` (N, 3, S, S) is the decoder's reconstruction; `corr_embedding`, `corr_d2` and `corr_d4` (N, N) are the
        images' similarities at three layers, within 0..1; `embedding`, `reason`, `att` are maps, `gate` (N, 1, h, w)
        shows where the reconstruction is poor.
        """
        embedding = self._run_blocks(self._run_stem(_add_noise(x) if self.training else x), 1, 5)
        d2 = self.decoder2(self.decoder1(self.dropout(embedding)))
        d4 = self.decoder4(self.decoder3(d2))
        drawn = self.decoder6(self.decoder5(d4))
        recons = F.interpolate(drawn, size=x.shape[2:], mode="bilinear", align_corners=True)
        middle = self._run_blocks(embedding, 5, 8)
        reason = self.reasoning(middle, d2, d4)
        att, gate = self.attention(x, recons, self._run_blocks(reason + middle, 8, 9))
        features = self._run_top(self._run_blocks(att, 9, 13))
        alike = {"embedding": embedding, "d2": d2, "d4": d4}
        return {
            "logits": self.fc(self.dropout(features)),
            "features": features,
            "recons": recons,
            **{f"corr_{name}": compare_all(value) for name, value in alike.items()},
            "embedding": embedding,
            "reason": reason,
            "att": att,
            "gate": gate,
        }

    def _run_stem(self, x: Tensor) -> Tensor:
        e = self.encoder
        return e.bn2(e.conv2(e.bn1(e.conv1(x)).relu())).relu()

    def _run_blocks(self, x: Tensor, start: int, end: int) -> Tensor:
        for block in range(start, end):
            x = getattr(self.encoder, f"block{block}")(x)
        return x

    def _run_top(self, x: Tensor) -> Tensor:
        e = self.encoder
        return e.bn4(e.conv4(e.bn3(e.conv3(x)).relu())).relu().mean((2, 3))


class GraphReasoning(nn.Module):
    """Gives each position of a map information on its surroundings in two finer maps.

    Args:
        a: channels of the coarse map and of all embeddings.
        b: channels of the finer map and of its embedding.
        c: channels of the finest map and of its embedding.
        patches: how many times wider both are than the coarse map.
    """

    def __init__(self, a: tuple[int, int], b: tuple[int, int], c: tuple[int, int], patches: tuple[int, int]):
        super().__init__()
        self.patches = patches
        self.va_embedding = _make_convs(a[0], a[1])
        self.va_gated_b = nn.Sequential(nn.Conv2d(a[0], b[1], 1, bias=False), nn.Sigmoid())
        self.va_gated_c = nn.Sequential(nn.Conv2d(a[0], c[1], 1, bias=False), nn.Sigmoid())
        self.vb_embedding, self.vc_embedding = _make_linears(*b), _make_linears(*c)
        self.reweight_ab = nn.Sequential(nn.Linear(a[1] + b[1], 1, bias=False), nn.ReLU())
        self.reweight_ac = nn.Sequential(nn.Linear(a[1] + c[1], 1, bias=False), nn.ReLU())
        self.reproject = nn.Sequential(*_make_convs(a[1] + b[1] + c[1], a[0]), nn.Dropout(0.2))

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return (N, C, h, w) to be added to `a` (N, C, h, w), from finer maps of `patches` times its side."""
        own = self.va_embedding(a)
        from_b = self._gather(own, b, self.patches[0], self.vb_embedding, self.reweight_ab)
        from_c = self._gather(own, c, self.patches[1], self.vc_embedding, self.reweight_ac)
        parts = [from_b * (1 - self.va_gated_b(a)), from_c * (1 - self.va_gated_c(a)), own]
        return self.reproject(torch.cat(parts, 1).sigmoid())

    def _gather(self, own: Tensor, fine: Tensor, patch: int, embed: nn.Module, weigh: nn.Module) -> Tensor:
        """Return, at each position, the weighted mean of a finer map's values there, (N, C', h, w)."""
        height, width = own.shape[2:]
        near = F.unfold(fine, patch, stride=patch).unflatten(1, (fine.shape[1], patch**2)).permute(0, 3, 2, 1)
        near = embed(near)  # (N, positions, neighbours, C')
        mine = own.flatten(2).transpose(1, 2)[:, :, None].expand(-1, -1, patch**2, -1)
        weights = weigh(torch.cat([mine, near], -1)).softmax(2)
        return (weights * near).sum(2).transpose(1, 2).unflatten(2, (height, width))


class GuidedAttention(nn.Module):
    """Attends to where the image and its reconstruction differ."""

    def __init__(self, depth: int):
        super().__init__()
        self.gated = nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(3, 1, 1, bias=False), nn.Sigmoid()
        )
        self.h = nn.Sequential(nn.Conv2d(depth, depth, 1, bias=False), nn.BatchNorm2d(depth), nn.ReLU())
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor, recons: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted map (N, C, h, w) and the weights (N, 1, h, w)."""
        residual = F.interpolate((x - recons).abs(), embedding.shape[2:], mode="bilinear", align_corners=True)
        gate = self.gated(residual)
        return gate * self.h(embedding) + self.dropout(embedding), gate


def compare_all(maps: Tensor) -> Tensor:
    """Return the pairwise similarity of the pooled maps (N, C, h, w): the cosine (N, N), scaled to 0..1."""
    pooled = F.normalize(maps.mean((2, 3)), dim=1)
    return (pooled @ pooled.T + 1) / 2


def _add_noise(x: Tensor) -> Tensor:
    chosen = (torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5).to(x.dtype)
    return (x + chosen * NOISE * torch.randn_like(x)).clamp(-1, 1)


def _enlarge(inner: int, outer: int) -> nn.Sequential:
    separable = SeparableConv2d(inner, outer, 3, 1, 1)
    return nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), separable, nn.BatchNorm2d(outer), nn.ReLU())


def _make_convs(inner: int, outer: int) -> nn.Sequential:
    first, second = nn.Conv2d(inner, outer, 1, bias=False), nn.Conv2d(outer, outer, 1, bias=False)
    return nn.Sequential(first, nn.ReLU(), second)


def _make_linears(inner: int, outer: int) -> nn.Sequential:
    first, second = nn.Linear(inner, outer, bias=False), nn.Linear(outer, outer, bias=False)
    return nn.Sequential(first, nn.ReLU(), second)
