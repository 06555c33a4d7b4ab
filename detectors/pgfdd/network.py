"""The network: three encoders, small heads on their maps, and a decoder that swaps content and forgery.

The names of modules and outputs are the released code's, without its misspelling of "reconstruction".
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ...benchmark.core.errors import BenchError, make_unknown_error
from ..common.options import Options
from ..common_torch.memory import measure_free_memory
from ..common_torch.sharpness import override_batch_norms
from ..common_torch.timm_interface import as_timm_model
from ..common_torch.timm_models import create_timm_model
from .labels import GROUPS, METHODS
from .shared import HIDDEN, STRIDE

BACKBONES = {
    "xception": "legacy_xception",
    "resnet34": "resnet34.tv_in1k",
    "resnet50": "resnet50.tv_in1k",
    "efficientnet-b3": "tf_efficientnet_b3.aa_in1k",
    "efficientnet-b4": "tf_efficientnet_b4.aa_in1k",
}

_BYTES_A_PIXEL = 10_000  # For the backward pass of three Xceptions and the decoder: 20 GB for 16 pairs of 256 px.


class FairnessNet(nn.Module):
    """Encoders of forgery (`encoder_f`), content (`encoder_c`), demographics (`encoder_fair`); heads and decoder.

    Args:
        backbone: one of `BACKBONES`, or `timm:NAME`.
        width: channels of the encoders' maps; the paper's is 512.
        repaired: fuse so that the demographic map affects the decision; see `fuse`.
        checkpointing: in training, recompute each encoder's activations in the backward pass instead of keeping them,
            if they would take more than half of the free memory.
        pretrained: start from timm's ImageNet weights.
        backbone_args: passed to timm for `timm:NAME`.

    Raises:
        BenchError: the backbone is unknown, or its weights aren't available.
    """

    def __init__(
        self,
        backbone: str = "xception",
        width: int = 512,
        *,
        repaired: bool = False,
        checkpointing: bool = True,
        pretrained: bool | str = False,
        backbone_args: Options | None = None,
    ):
        super().__init__()
        self.repaired, self.checkpointing, half = repaired, checkpointing, width // 2
        encoder = partial(Encoder, backbone, width, pretrained, backbone_args or {})
        self.encoder_f, self.encoder_c, self.encoder_fair = encoder(), encoder(), encoder()
        self.con_gan = Decoder(width)
        self.head_spe, self.block_spe = Head(half, len(METHODS) + 1), Block(width, half)
        self.head_sha, self.block_sha = Head(half, 2), Block(width, half)
        self.head_fair, self.block_fair = Head(half, GROUPS), Block(width, half)
        self.head_fused, self.block_fused = Head(half, 2), Block(width, half)

    def resize(self, methods: int, fused: int) -> None:
        """Give two heads the widths of a checkpoint's family: 6 and 2 (CVPR 2024), or 4 and 1 (AI-Face)."""
        self.head_spe.resize(methods)
        self.head_fused.resize(fused)

    @property
    def ai_face(self) -> bool:
        """Whether this is the AI-Face family, whose fused head has a single output."""
        return self.head_fused.classes == 1

    def forward(self, x: Tensor, exact: bool = True) -> dict[str, Tensor]:
        """Return `cls` (N, 2), `feat` (N, 256), `cls_fused` (N, 2 or 1) and `feat_fused` (N, 256) of (N, 3, S, S).

        `exact` runs all three encoders, as the released code does, and adds `feat_content` (N, 512, h, w). Otherwise
        only the forgery encoder runs: pooling leaves nothing of the demographic map, since AdaIN's spatial mean is the
        mean of its style, the forgery map.
        """
        shared = self.block_sha(self.encoder_f(x))
        fused = self.fuse(self.block_fair(self.encoder_fair(x)), shared) if exact or self.repaired else shared
        outputs = {"feat_content": self.encoder_c(x)} if exact else {}
        outputs["cls"], outputs["feat"] = self.head_sha(shared)
        outputs["cls_fused"], outputs["feat_fused"] = self.head_fused(fused)
        return outputs

    def fuse(self, demographic: Tensor, shared: Tensor) -> Tensor:
        """Join two (N, 256, h, w) maps into one.

        The released code gives the demographic map the forgery map's mean and deviation, then pools, which removes it.
        Repaired, `block_fused` (in every checkpoint, but unused there) sees both before pooling; being non-linear, it
        lets the demographic map's pattern, not just its mean, change the pooled vector.
        """
        styled = adain(demographic, shared)
        return self.block_fused(torch.cat([styled, shared], 1)) if self.repaired else styled

    def training_outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return everything that the losses need; the first half of `x` (N, 3, S, S) is real, the second fake.

        For each head: `cls*` (N, classes) and the pooled `feat*` (N, 256). Also `feat_content` (N, 512, h, w), and four
        reconstructions (N / 2, 3, S, S): `self_recon_1` (fake) and `_2` (real) from their own content and forgery,
        `recon_1` (the real content with the fake's forgery) and `recon_2` (the reverse).
        """
        forgery, content, fair = (self._encode(e, x) for e in (self.encoder_f, self.encoder_c, self.encoder_fair))
        specific, shared, demographic = self.block_spe(forgery), self.block_sha(forgery), self.block_fair(fair)
        maps = {"": shared, "_spe": specific, "_fair": demographic, "_fused": self.fuse(demographic, shared)}
        heads = {"": self.head_sha, "_spe": self.head_spe, "_fair": self.head_fair, "_fused": self.head_fused}
        outputs: dict[str, Tensor] = {"feat_content": content}
        for name, head in heads.items():
            outputs[f"cls{name}"], outputs[f"feat{name}"] = head(maps[name])
        real_code, fake_code = torch.cat([specific, shared], 1).chunk(2)
        real_content, fake_content = (content if self.ai_face else adain(fair, content)).chunk(2)
        return outputs | {
            "self_recon_1": self.con_gan(fake_code, fake_content),
            "self_recon_2": self.con_gan(real_code, real_content),
            "recon_1": self.con_gan(fake_code, real_content),
            "recon_2": self.con_gan(real_code, fake_content),
        }

    def _encode(self, encoder: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpointing and self.training and torch.is_grad_enabled() and _takes_half(x)):
            return encoder(x)
        # The second run over the same batch must not count in batch norm's running statistics.
        again = partial(override_batch_norms, encoder, momentum=0.0, num_batches_tracked=None)
        return checkpoint(encoder, x, use_reentrant=False, context_fn=lambda: (nullcontext(), again()))


def _takes_half(x: Tensor) -> bool:
    """Return whether the activations of a batch (N, 3, S, S) would take more than half of the free memory."""
    size = (
        _BYTES_A_PIXEL // 2 if torch.is_autocast_enabled(x.device.type) else _BYTES_A_PIXEL
    )  # bf16 has half the bytes.
    return 2 * size * x.numel() // x.shape[1] > measure_free_memory(x.device)


class Encoder(nn.Module):
    """A backbone without pooling, and a 1x1 convolution to `width` channels: (N, 3, S, S) to (N, width, S/32, S/32)."""

    def __init__(self, backbone: str, width: int, pretrained: bool | str, args: Options):
        super().__init__()
        name = BACKBONES.get(backbone, backbone.removeprefix("timm:"))
        if name == backbone or (args and backbone in BACKBONES):
            known = [*BACKBONES, "timm:NAME"]
            problem = f"no pgfdd backbone '{backbone}'{' with backbone_args' if args else ''}"
            advice = f"Known: {', '.join(known)} (which alone takes backbone_args)"
            raise make_unknown_error(problem, backbone, known, advice)
        xception = backbone == "xception"
        # The released checkpoints hold Xception's classifier, which nothing uses.
        self.body = create_timm_model(name, pretrained, "backbone_args", num_classes=2 if xception else 0, **args)
        timm = as_timm_model(self.body)
        if (stride := timm.feature_info[-1]["reduction"]) != STRIDE:
            raise BenchError(
                f"backbone {backbone} makes maps {stride} times smaller; pgfdd's decoder needs {STRIDE} times"
            )
        if xception:
            self.body.act4 = nn.Identity()  # The released code has no ReLU between bn4 and the convolution below.
        self.adjust_channel = nn.Sequential(nn.Conv2d(timm.num_features, width, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.adjust_channel(as_timm_model(self.body).forward_features(x))


class Block(nn.Module):
    """Three 1x1 convolutions."""

    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv2d = nn.Sequential(
            nn.Conv2d(inner, outer, 1),
            nn.LeakyReLU(),
            nn.Conv2d(outer, outer, 1),
            nn.LeakyReLU(),
            nn.Conv2d(outer, outer, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2d(x)


class Head(nn.Module):
    """Pools a map and classifies the result: logits (N, classes), pooled (N, channels). Dropout acts on the logits."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.classes = classes
        self.mlp = nn.Sequential(nn.Linear(channels, HIDDEN), nn.LeakyReLU(), nn.Linear(HIDDEN, classes))
        self.dropout = nn.Dropout(0.2)

    def resize(self, classes: int) -> None:
        """Change the number of classes; the new layer's weights must then be loaded."""
        if classes != self.classes:
            self.classes, self.mlp[2] = classes, nn.Linear(HIDDEN, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = x.mean((2, 3))
        return self.dropout(self.mlp(pooled)), pooled


class Decoder(nn.Module):
    """Decodes an image from forgery (as style) and content: two (N, C, h, w) to (N, 3, 32 h, 32 w)."""

    def __init__(self, width: int):
        super().__init__()
        self.dconv_up3 = _make_double_conv(width, width // 2)
        self.dconv_up2 = _make_double_conv(width // 2, width // 4)
        self.dconv_up1 = _make_double_conv(width // 4, width // 8)
        self.conv_last = nn.Conv2d(width // 8, 3, 1)
        self.dropout = nn.Dropout(0.3)

    def forward(self, forgery: Tensor, content: Tensor) -> Tensor:
        c, x = forgery, content
        for layer in (self.dconv_up3, self.dconv_up2):
            x, c = (layer(self._upsample(part)) for part in (adain(x, c), c))
        x = self.dconv_up1(self._upsample(adain(x, c)))
        return F.interpolate(self.conv_last(x), scale_factor=4, mode="bilinear", align_corners=True).tanh()

    def _upsample(self, x: Tensor) -> Tensor:
        return self.dropout(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


def _make_double_conv(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU(), nn.Conv2d(outer, outer, 3, padding=1), nn.ReLU()
    )


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Give each channel of `content` (N, C, h, w) the spatial mean and standard deviation of `style`.

    Huang and Belongie 2017, equation 8; variances are unbiased, with 1e-5 added.
    """
    (mean_x, std_x), (mean_y, std_y) = _compute_moments(content), _compute_moments(style)
    return (content - mean_x) / std_x * std_y + mean_y


def _compute_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
    return mean, (variance + 1e-5).sqrt()
