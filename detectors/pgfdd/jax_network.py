"""PG-FDD's network in JAX: three encoders, small heads on their maps, a decoder that swaps content and forgery."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from ...benchmark.core.errors import BenchError, require_known
from ..common.options import Options, bind_options, check_options, list_options
from ..common_jax.efficientnet import EfficientNet
from ..common_jax.layers import BatchNorm, Conv, Idle, Init, Linear, Mode, dropout, to_full_precision
from ..common_jax.resnet import ResNet
from ..common_jax.xception import Xception
from .labels import GROUPS
from .shared import HIDDEN

BACKBONES = ("xception", "resnet34", "efficientnet-b3", "efficientnet-b4", "timm:resnet10t")


class FairnessNet(nnx.Module):
    """Encoders of forgery (`encoder_f`), content (`encoder_c`), demographics (`encoder_fair`); heads and decoder.

    Args:
        init: draws the first weights.
        backbone: one of `BACKBONES`.
        width: channels of the encoders' maps; the paper's is 512.
        classes: widths of `head_spe` and `head_fused`.
        repaired: fuse so that the demographic map affects the decision; see `fuse`.
        checkpointing: in training, recompute each encoder's activations in the backward pass instead of keeping them.
        backbone_args: `channels` and `stem_width` of `timm:resnet10t`.

    Raises:
        BenchError: the backbone has no port.
    """

    def __init__(
        self,
        init: Init,
        *,
        backbone: str,
        width: int,
        classes: tuple[int, int],
        repaired: bool,
        checkpointing: bool,
        backbone_args: Options,
    ):
        self.repaired, self.checkpointing, half = repaired, checkpointing, width // 2
        methods, fused = classes
        self.encoder_f, self.encoder_c, self.encoder_fair = (
            _make_encoder(backbone, width, init, backbone_args) for _ in range(3)
        )
        self.con_gan = Decoder(width, init)
        self.head_spe, self.block_spe = Head(half, methods, init), Block(width, half, init)
        self.head_sha, self.block_sha = Head(half, 2, init), Block(width, half, init)
        self.head_fair, self.block_fair = Head(half, GROUPS, init), Block(width, half, init)
        self.head_fused = Head(half, fused, init)
        self.block_fused = Block(width, half, init, kind=nnx.Param if repaired else Idle)

    def __call__(self, x: Array, mode: Mode, exact: bool) -> dict[str, Array]:
        """Return `cls`, `feat`, `cls_fused` and `feat_fused` of (N, S, S, 3), with all three encoders if `exact`.

        Then there is also `feat_content` (N, h, w, 512). Otherwise only the forgery encoder runs (and, if repaired, the
        demographic one): pooling leaves nothing of the demographic map.
        """
        shared = self.block_sha(_encode(self.encoder_f, x, mode))
        fused = shared
        if exact or self.repaired:
            fused = self.fuse(self.block_fair(_encode(self.encoder_fair, x, mode)), shared)
        outputs = {"feat_content": _encode(self.encoder_c, x, mode)} if exact else {}
        outputs["cls"], outputs["feat"] = self.head_sha(shared, mode)
        outputs["cls_fused"], outputs["feat_fused"] = self.head_fused(fused, mode)
        return outputs

    def fuse(self, demographic: Array, shared: Array) -> Array:
        """Join two (N, h, w, 256) maps into one: as released, which pooling undoes, or repaired, with `block_fused`."""
        styled = adain(demographic, shared)
        return self.block_fused(jnp.concatenate([styled, shared], 3)) if self.repaired else styled

    def training_outputs(self, x: Array, mode: Mode) -> dict[str, Array]:
        """Return everything that the losses need; the first half of `x` (N, S, S, 3) is real, the second fake.

        For each head: `cls*` (N, classes) and the pooled `feat*` (N, 256). Also `feat_content` (N, h, w, 512), and four
        reconstructions (N / 2, S, S, 3): `self_recon_1` (fake) and `_2` (real) from their own content and forgery,
        `recon_1` (the real content with the fake's forgery) and `recon_2` (the reverse).
        """

        def encode(encoder: Encoder) -> Array:
            return _encode(encoder, x, mode)

        whole = self.checkpointing and mode.train and not mode.remat  # Blocks are smaller.
        again = nnx.remat(encode) if whole else encode
        forgery, content, fair = (again(e) for e in (self.encoder_f, self.encoder_c, self.encoder_fair))
        specific, shared, demographic = self.block_spe(forgery), self.block_sha(forgery), self.block_fair(fair)
        maps = {"": shared, "_spe": specific, "_fair": demographic, "_fused": self.fuse(demographic, shared)}
        heads = {"": self.head_sha, "_spe": self.head_spe, "_fair": self.head_fair, "_fused": self.head_fused}
        outputs = {"feat_content": content}
        for name, head in heads.items():
            outputs[f"cls{name}"], outputs[f"feat{name}"] = head(maps[name], mode)
        code = jnp.concatenate([specific, shared], 3)
        styled = content if outputs["cls_fused"].shape[1] == 1 else adain(fair, content)  # AI-Face's has one logit.
        outputs["self_recon_2"], outputs["self_recon_1"] = jnp.split(self.con_gan(code, styled, mode), 2)
        others = jnp.roll(styled, len(x) // 2, 0)
        outputs["recon_2"], outputs["recon_1"] = jnp.split(self.con_gan(code, others, mode), 2)
        return outputs


class Encoder(Protocol):
    """A backbone, and the layers that give its last map the right width."""

    adjust_channel: nnx.Dict

    def features(self, x: Array, mode: Mode) -> Array:
        """Return the backbone's last map."""


def _make_encoder(backbone: str, width: int, init: Init, args: Options) -> Encoder:
    """Make a backbone that also holds, under the checkpoint's names, a 1x1 convolution to `width` channels."""
    require_known("pgfdd backbone in JAX", backbone, BACKBONES, ". Use --backend torch for others")
    if args and not backbone.startswith("timm:"):
        raise BenchError(f"backbone_args are for backbone timm:NAME; '{backbone}' has none")
    check_options(backbone, args, list_options(ResNet.__init__, keyword_only=True), "backbone_args")
    encoder: Any
    if backbone == "xception":
        encoder = Xception(init)
        encoder.last_linear = Linear(encoder.width, 2, init, kind=Idle)
    elif backbone.startswith("efficientnet"):
        encoder = EfficientNet(backbone, init)
    else:
        encoder = bind_options(ResNet, args)(backbone.removeprefix("timm:"), init)
    encoder.adjust_channel = nnx.Dict({"0": Conv(encoder.width, width, 1, init), "1": BatchNorm(width, init)})
    return encoder


def _encode(encoder: Encoder, x: Array, mode: Mode) -> Array:
    """Map (N, S, S, 3) to (N, S / 32, S / 32, width)."""
    conv, norm = encoder.adjust_channel["0"], encoder.adjust_channel["1"]
    return jax.nn.relu(norm(conv(encoder.features(x, mode)), mode))


class Block(nnx.Module):
    """Three 1x1 convolutions."""

    def __init__(self, inner: int, outer: int, init: Init, kind: type[nnx.Variable] = nnx.Param):
        widths = {"0": inner, "2": outer, "4": outer}
        self.conv2d = nnx.Dict({k: Conv(width, outer, 1, init, kind=kind) for k, width in widths.items()})

    def __call__(self, x: Array) -> Array:
        """Map (N, h, w, inner) to (N, h, w, outer)."""
        first, second, third = (self.conv2d[k] for k in ("0", "2", "4"))
        return third(jax.nn.leaky_relu(second(jax.nn.leaky_relu(first(x)))))


class Head(nnx.Module):
    """Pools a map and classifies the result: logits (N, classes), pooled (N, channels). Dropout acts on the logits."""

    def __init__(self, channels: int, classes: int, init: Init):
        self.mlp = nnx.Dict({"0": Linear(channels, HIDDEN, init), "2": Linear(HIDDEN, classes, init)})

    def __call__(self, x: Array, mode: Mode) -> tuple[Array, Array]:
        """Return logits and pooled features of (N, h, w, channels)."""
        pooled = x.mean((1, 2))
        return dropout(self.mlp["2"](jax.nn.leaky_relu(self.mlp["0"](pooled))), 0.2, mode), pooled


class Decoder(nnx.Module):
    """Decodes an image from forgery (as style) and content: two (N, h, w, C) to (N, 32 h, 32 w, 3)."""

    def __init__(self, width: int, init: Init):
        self.dconv_up3 = _make_double_conv(width, width // 2, init)
        self.dconv_up2 = _make_double_conv(width // 2, width // 4, init)
        self.dconv_up1 = _make_double_conv(width // 4, width // 8, init)
        self.conv_last = Conv(width // 8, 3, 1, init)

    def __call__(self, forgery: Array, content: Array, mode: Mode) -> Array:
        """Return images, -1..1."""
        c, x = forgery, content
        for layer in (self.dconv_up3, self.dconv_up2):
            x, c = (self._upsample_with(layer, part, mode) for part in (adain(x, c), c))
        x = self._upsample_with(self.dconv_up1, adain(x, c), mode)
        return jnp.tanh(upsample(self.conv_last(x), 4))

    def _upsample_with(self, layer: nnx.Dict, x: Array, mode: Mode) -> Array:
        x = dropout(upsample(x, 2), 0.3, mode)
        return jax.nn.relu(layer["2"](jax.nn.relu(layer["0"](x))))


def _make_double_conv(inner: int, outer: int, init: Init) -> nnx.Dict:
    return nnx.Dict({"0": Conv(inner, outer, 3, init, padding=1), "2": Conv(outer, outer, 3, init, padding=1)})


def upsample(x: Array, factor: int) -> Array:
    """Enlarge (N, h, w, C) bilinearly, mapping corner pixels to corner pixels (PyTorch's `align_corners`)."""
    rows, columns = (jnp.asarray(_make_stretch_weights(n, factor), x.dtype) for n in x.shape[1:3])
    return jnp.einsum("yh,xw,nhwc->nyxc", rows, columns, x)


def _make_stretch_weights(n: int, factor: int) -> np.ndarray:
    """Return the weights (factor * n, n) of old pixels in new ones."""
    return np.maximum(0, 1 - np.abs(np.linspace(0, n - 1, factor * n)[:, None] - np.arange(n)))


def adain(content: Array, style: Array) -> Array:
    """Give each channel of `content` (N, h, w, C) the spatial mean and standard deviation of `style`.

    Huang and Belongie 2017, equation 8; variances are unbiased, with 1e-5 added.
    """
    (mean_x, std_x), (mean_y, std_y) = _compute_moments(content), _compute_moments(style)
    return ((content - mean_x) / std_x * std_y + mean_y).astype(content.dtype)


def _compute_moments(x: Array) -> tuple[Array, Array]:
    x = to_full_precision(x)
    return x.mean((1, 2), keepdims=True), jnp.sqrt(x.var((1, 2), keepdims=True, ddof=1) + 1e-5)
