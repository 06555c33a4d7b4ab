"""The network: a small ViT that tells a frozen CLIP where to look for traces of blending.

Module names are the released code's, which contains CLIP three times; here there is one. Its fusion of CLIP's features
into the adapter, a new random layer in every pass, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

ADAPTER, ADAPTER_HEADS, ADAPTER_PATCH, ADAPTER_GRID = 192, 3, 16, 14  # A ViT-Tiny with positions for 224 px.
BLOCKS, USED = 12, 8  # The adapter's blocks in the checkpoint, and those in use.
WATCHED = (4, 5, 6)  # The adapter's blocks in which genuine and forged patches are separated, counted from 1.
CLIP_PATCH, CLIP_SIZE, HEAD_WIDTH = 14, 224, 64
INTRA_SHARE = 0.05
INTRA_AFTER = 6  # The block of CLIP, counted from 0, after which features are added to patches.
HIDDEN_FROM = -100.0  # Added to attention to hide a token.


@dataclass(frozen=True)
class Sizes:
    """Widths of a Forensics Adapter; the defaults are the published ones.

    `width`, `layers` and `projected` are CLIP's; `queries` is the adapter's, `hidden` and `out` are its decoder's.
    """

    width: int = 1024
    layers: int = 24
    projected: int = 768
    queries: int = 128
    hidden: int = 256
    out: int = 128

    @property
    def heads(self) -> int:
        """CLIP's number of attention heads."""
        return self.width // HEAD_WIDTH


class ForensicsNet(nn.Module):
    """Images (N, 3, S, S), S a multiple of 16, to named outputs; see `forward`."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.adapter = Adapter(sizes)
        self.rec_attn_clip = GuidedClip(sizes)
        self.masked_xray_post_process = XrayHead(sizes.queries)
        self.clip_post_process = ClassHead(sizes)

    def forward(self, x: Tensor, boundary: Tensor | None = None) -> dict[str, Tensor]:
        """Return `logits` (N, 2), `features` (N, projected), and what the losses need.

        `xray` (N, 1, S, S) is the predicted blending boundary; `attn_bias` (N, heads, queries, h, w) guides CLIP;
        `adapter_4` to `adapter_6` (N, h w, 192) are patch features, `clip_6` (N, 256, 192) those in CLIP.

        Args:
            x: the images.
            boundary: which patches (N, h, w) are on a boundary, 0 or 1; the others don't count for `xray`. By default
                all do.
        """
        found = self.adapter(x)
        small = F.interpolate(x, size=(CLIP_SIZE, CLIP_SIZE), mode="bilinear")
        queries, clip_6 = self.rec_attn_clip(small, found["attn_bias"])
        xray_query = found.pop("xray_query")
        if boundary is not None:
            xray_query = xray_query * boundary[:, None]
        logits, features = self.clip_post_process(queries)
        return {
            "logits": logits,
            "features": features,
            "xray": self.masked_xray_post_process(xray_query),
            "clip_6": clip_6,
            **found,
        }


class Adapter(nn.Module):
    """A ViT-Tiny, of which eight blocks are used, with queries besides its patches, and a decoder for both."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.query_embed = nn.Parameter(torch.randn(1, sizes.queries, ADAPTER) * 0.02)
        self.query_pos_embed = nn.Parameter(torch.randn(1, sizes.queries, ADAPTER) * 0.02)
        self.vit_model = AdapterBody()
        self.ln_pre = nn.LayerNorm(ADAPTER)
        self.patch_conv = nn.Conv2d(3, ADAPTER, ADAPTER_PATCH, ADAPTER_PATCH)
        self.mask_decoder = MaskDecoder(sizes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `xray_query` (N, queries, h, w), `attn_bias` (N, heads, queries, h, w), and the watched patches."""
        patches = self.patch_conv(x)
        grid = patches.shape[2:]
        place = self._make_positions(grid).expand(len(x), -1, -1)
        tokens = torch.cat([self.query_embed.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        tokens, count = self.ln_pre(tokens + place), self.query_embed.shape[1]
        watched: dict[str, Tensor] = {}
        blocks = self.vit_model.blocks
        for i, block in enumerate(blocks, 1):
            tokens = block(tokens)
            if i in WATCHED:
                watched[f"adapter_{i}"] = tokens[:, count:]
            if i < len(blocks):
                tokens = tokens + place
        maps = tokens[:, count:].transpose(1, 2).unflatten(2, grid)
        xray_query, attn_bias = self.mask_decoder(tokens[:, :count], maps)
        return {"xray_query": xray_query, "attn_bias": attn_bias, **watched}

    def _make_positions(self, grid: torch.Size) -> Tensor:
        maps = self.vit_model.pos_embed.transpose(1, 2).unflatten(2, (ADAPTER_GRID, ADAPTER_GRID))
        resized = F.interpolate(maps, size=grid, mode="bilinear", align_corners=False)
        return torch.cat([self.query_pos_embed, resized.flatten(2).transpose(1, 2)], 1)


class AdapterBody(nn.Module):
    """The positions and blocks of the adapter's ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, ADAPTER_GRID**2, ADAPTER) * 0.02)
        self.blocks = nn.ModuleList(Block(ADAPTER, ADAPTER_HEADS, qkv_bias=True) for _ in range(USED))


class Mlp(nn.Module):
    """Three linear layers, or three 1x1 convolutions, with ReLU between them."""

    def __init__(self, widths: tuple[int, ...], dense: bool):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 1) if dense else nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, C) or, dense, (N, C, h, w)."""
        for i, layer in enumerate(self.layers):
            x = layer(x).relu() if i < len(self.layers) - 1 else layer(x)
        return x


class MaskDecoder(nn.Module):
    """Predicts, for each query, where in the image its target is and where CLIP should look for it."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads, start = sizes.heads, (ADAPTER, sizes.hidden, sizes.hidden)
        self.query_mlp = Mlp((*start, sizes.out), dense=False)
        self.xray_mlp = Mlp((*start, sizes.out), dense=True)
        self.attn_mlp = Mlp((*start, sizes.out * sizes.heads), dense=True)
        self.bias_scaling = nn.Linear(1, 1)

    def forward(self, query: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Map queries (N, queries, 192), maps (N, 192, h, w) to (N, queries, h, w) and (N, heads, queries, h, w)."""
        asked = self.query_mlp(query)
        seen = torch.einsum("nqc,nchw->nqhw", asked, self.xray_mlp(maps))
        keys = self.attn_mlp(maps).unflatten(1, (self.heads, -1))
        bias = torch.einsum("nqc,nkchw->nkqhw", asked, keys)
        return seen, self.bias_scaling(bias[..., None])[..., 0]


class GuidedClip(nn.Module):
    """CLIP's image encoder with copies of its class token, which attend to patches as the adapter tells them."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.width
        self.vit = ClipEnds(width, sizes.projected)
        self.resblocks = nn.ModuleList(ResidualBlock(width, sizes.heads) for _ in range(sizes.layers))
        self.ln_post = nn.LayerNorm(width)
        self.clip_intra_blocks = nn.ModuleList([IntraBlock(width)])

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the copies' embeddings (N, queries, projected), of length 1, and patch features (N, 256, 192)."""
        vit = self.vit
        patches = vit.conv1(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([vit.class_embedding.expand(len(x), 1, -1), patches], 1) + vit.positional_embedding
        tokens = vit.ln_pre(tokens)
        count = bias.shape[2]
        tokens = torch.cat([tokens[:, :1].expand(-1, count, -1), tokens], 1)
        mask = build_attention_mask(bias, round(patches.shape[1] ** 0.5))
        own = tokens
        for i, block in enumerate(self.resblocks):
            tokens = block(tokens, mask)
            if i == INTRA_AFTER:
                own, added = self.clip_intra_blocks[0](tokens[:, count + 1 :])
                patches = tokens[:, count + 1 :] + INTRA_SHARE * added
                tokens = torch.cat([tokens[:, : count + 1], patches], 1)
        said = self.ln_post(tokens[:, :count]) @ vit.proj
        return F.normalize(said, dim=-1), own


class ClipEnds(nn.Module):
    """What comes before and after CLIP's blocks: embeddings and the projection."""

    def __init__(self, width: int, projected: int):
        super().__init__()
        grid = CLIP_SIZE // CLIP_PATCH
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(grid**2 + 1, width) * width**-0.5)
        self.proj = nn.Parameter(torch.randn(width, projected) * width**-0.5)
        self.conv1 = nn.Conv2d(3, width, CLIP_PATCH, CLIP_PATCH, bias=False)
        self.ln_pre = nn.LayerNorm(width)


class ResidualBlock(nn.Module):
    """A block of CLIP's transformer, with QuickGELU."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = TwoLayers(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (N, L, C); `mask` (N heads, L, L) is added to attention."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        y = self.mlp.c_fc(self.ln_2(x))
        return x + self.mlp.c_proj(y * (1.702 * y).sigmoid())


class TwoLayers(nn.Module):
    """The linear layers after a block's attention."""

    def __init__(self, width: int):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)


class IntraBlock(nn.Module):
    """Features added to each patch within CLIP: two 1x1 convolutions."""

    def __init__(self, width: int):
        super().__init__()
        self.conv_first, self.conv_second = nn.Conv1d(width, ADAPTER, 1), nn.Conv1d(ADAPTER, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the narrow features (N, L, 192) of patches (N, L, C), and what is added to them (N, L, C)."""
        narrow = self.conv_first(x.transpose(1, 2)).relu()
        return narrow.transpose(1, 2), self.conv_second(narrow).transpose(1, 2)


class XrayHead(nn.Module):
    """Draws the boundary: (N, queries, h, w) to (N, 1, 16 h, 16 w)."""

    def __init__(self, queries: int):
        super().__init__()
        half, quarter = queries // 2, queries // 4
        self.process = nn.Sequential(
            nn.Conv2d(queries, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            nn.Conv2d(quarter, 1, 1),
            nn.ConvTranspose2d(1, 1, 16, 16),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the boundary image."""
        return self.process(x)


class ClassHead(nn.Module):
    """Classifies the queries' embeddings (N, queries, C): logits (N, 2) and the vector (N, C) before them."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        half, quarter, width = sizes.queries // 2, sizes.queries // 4, sizes.projected
        self.first_process = nn.Sequential(
            nn.Conv1d(sizes.queries, half, 3, padding=1),
            nn.BatchNorm1d(half),
            nn.ReLU(),
            nn.Conv1d(half, quarter, 3, padding=1),
            nn.BatchNorm1d(quarter),
            nn.ReLU(),
            nn.Conv1d(quarter, 1, 3, padding=1),
        )
        self.second_process = nn.Sequential(
            nn.Linear(width, width // 2),
            nn.ReLU(),
            nn.Linear(width // 2, width // 4),
            nn.ReLU(),
            nn.Linear(width // 4, 2),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and the vector."""
        features = self.first_process(x)[:, 0]
        return self.second_process(features), features


def build_attention_mask(bias: Tensor, side: int) -> Tensor:
    """Return what is added to CLIP's attention, (N heads, L, L); tokens are copies, the class token, patches.

    A copy sees itself and the patches, weighted by `bias` (N, heads, queries, h, w); nothing else sees a copy.

    Args:
        bias: how much each copy should look where, for each head.
        side: side of CLIP's square of patches; `bias` is resized to it.
    """
    count, heads, queries = bias.shape[:3]
    if bias.shape[3:] != (side, side):
        flat = F.interpolate(bias.flatten(0, 1), size=(side, side), mode="bilinear", align_corners=False)
        bias = flat.unflatten(0, (count, heads))
    length = queries + 1 + side**2
    mask = bias.new_zeros(count, heads, length, length)
    mask[..., :queries] = HIDDEN_FROM
    mask[..., :queries, queries] = HIDDEN_FROM
    mask[..., range(queries), range(queries)] = 0
    mask[..., :queries, queries + 1 :] = bias.flatten(3)
    return mask.flatten(0, 1)
