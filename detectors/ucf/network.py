"""UCF's network: separates forgery from content, and common forgery features from specific ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ..pgfdd.network import Block, Decoder, Encoder, Head

WIDTH = 512
CLASSES = 2


class UcfNet(nn.Module):
    """Two encoders, two small heads on the forgery map, and a decoder that swaps content and forgery.

    Args:
        methods: the number of manipulations that the head for specific traits distinguishes.
        pretrained: start from ImageNet weights.
    """

    def __init__(self, methods: int, pretrained: bool | str):
        super().__init__()
        half, encoder = WIDTH // 2, partial(Encoder, "xception", WIDTH, pretrained, {})
        self.encoder_f, self.encoder_c, self.con_gan = encoder(), encoder(), Decoder(WIDTH)
        self.head_spe, self.head_sha = Head(half, methods + 1), Head(half, CLASSES)
        self.block_spe, self.block_sha = Block(WIDTH, half), Block(WIDTH, half)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `cls` (N, 2) and the pooled `feat` (N, 256) of images (N, 3, S, S): what scoring needs."""
        cls, feat = self.head_sha(self.block_sha(self.encoder_f(x)))
        return {"cls": cls, "feat": feat}

    def training_outputs(self, x: Tensor, order: Tensor | None = None) -> dict[str, Tensor]:
        """Return everything that the losses need; the first half of `x` (N, 3, S, S) is real, the second fake.

        For each head `cls*` (N, classes) and the pooled `feat*` (N, 256); `feat_content` (N, 512, h, w); and four
        images (N / 2, 3, S, S): `self_recon_1` (fake) and `_2` (real) from their own content and forgery, `recon_1`
        (the real content with the fake's forgery) and `recon_2` (the reverse).

        Args:
            x: the images.
            order: a permutation (N,) of the common features within each half, applied before they are used.
        """
        forgery, content = self.encoder_f(x), self.encoder_c(x)
        specific, shared = self.block_spe(forgery), self.block_sha(forgery)
        if order is not None:
            shared = shared[order]
        cls, feat = self.head_sha(shared)
        cls_spe, feat_spe = self.head_spe(specific)
        real_code, fake_code = torch.cat([specific, shared], 1).chunk(2)
        real, fake = content.chunk(2)
        return {
            "cls": cls,
            "feat": feat,
            "cls_spe": cls_spe,
            "feat_spe": feat_spe,
            "feat_content": content,
            "self_recon_1": self.con_gan(fake_code, fake),
            "self_recon_2": self.con_gan(real_code, real),
            "recon_1": self.con_gan(fake_code, real),
            "recon_2": self.con_gan(real_code, fake),
        }
