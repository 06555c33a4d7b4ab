"""Forensics Adapter as a detector of the harness (PyTorch)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.registry import detectors
from ...benchmark.core.types import FAKE, Video
from ..clip.backbone import CLIP, CLIP_MEAN, CLIP_STD
from ..common.crops import BoxCrop
from ..common.options import Options, bind_options, check_multiple, check_options, list_options
from ..common_torch.lazy import LazyDetector
from ..common_torch.timm_interface import get_part
from ..common_torch.timm_models import create_timm_model
from .network import HEAD_WIDTH, USED, ForensicsNet, GuidedClip, Sizes
from .objective import compute_losses
from .sampler import PATCH, ForensicsSampler

VARIANTS = ("paper", "released")
# CLIP's copies, its text encoder, and unused parts of the adapter's ViT.
_UNUSED = re.compile(
    r"^clip_model\.|^rec_attn_clip\.(proj$|intra_scale$|vit\.(transformer|ln_post)\.)|^adapter\.vit_model\.patch_embed\."
)
_SAME = (  # Parts of a block of CLIP's, as named here and by timm.
    ("ln_1", "norm1"),
    ("ln_2", "norm2"),
    ("attn.out_proj", "attn.proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
)
_BLOCK = re.compile(r"^adapter\.vit_model\.blocks\.(\d+)\.")


@detectors.register(
    "forensics-adapter",
    backend="torch",
    title="Forensics Adapter",
    paper="Forensics Adapter: Adapting CLIP for Generalizable Face Forgery Detection",
    venue="CVPR",
    year=2025,
    url="https://arxiv.org/abs/2411.19715",
    license="original: CC BY-NC 4.0",
    weights="the authors' (CC BY-NC 4.0); CLIP's by OpenAI (MIT), vit_large_patch14_clip_quickgelu_224.openai",
    input="256 px RGB; CLIP gets it at 224",
    crop="square face box, enlarged 1.3 times",
    normalisation="CLIP's mean and standard deviation",
    pooling="mean over frames",
    faithful_to="paper and released (the same), without fusing CLIP's features into the adapter: in the released code "
    "that is a new random layer in every pass, never trained. Masks are where a fake differs from its original",
    input_size=256,
    defaults={"variant": "paper", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "inspect", "features", "parameters"),
)
class ForensicsAdapter(LazyDetector[ForensicsNet]):
    """A small ViT that tells a frozen CLIP where to look for traces of blending.

    Args:
        variant: `paper` or `released`, which are the same.
        input_size: side of the crop, a multiple of 16.
        sizes: fields of `Sizes` to change for small experiments, such as `{layers: 8, width: 128}`.
        pretrained: start from CLIP's weights, downloaded if needed; otherwise the frozen part is random.

    Raises:
        BenchError: an option isn't valid, or the weights aren't available.
    """

    needs_whole_batch = "its losses compare patches of all faces of a batch"

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 256,
        sizes: Options | None = None,
        pretrained: bool | str = False,
    ):
        require_known("forensics-adapter variant", variant, VARIANTS)
        check_multiple("forensics-adapter", "input_size", input_size, PATCH, 4 * PATCH, 256)
        check_options("forensics-adapter", dict(sizes or {}), list_options(Sizes), "sizes")
        if pretrained and sizes:
            raise BenchError("forensics-adapter: CLIP's weights only fit the published sizes. Leave out options.sizes")
        self.variant, self.input_size, self.sizes = variant, input_size, bind_options(Sizes, sizes or {})()
        self.start(pretrained)

    def build(self, pretrained: bool | str) -> ForensicsNet:
        """Make the network, with CLIP's weights or random ones, and freeze CLIP."""
        network = ForensicsNet(self.sizes)
        if pretrained:
            copy_clip(network.rec_attn_clip, create_timm_model(CLIP, pretrained, "options"))
        network.rec_attn_clip.requires_grad_(False)
        network.rec_attn_clip.clip_intra_blocks.requires_grad_(True)
        return network

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> ForensicsSampler:
        """Face boxes and the forged regions of fakes."""
        return ForensicsSampler(self.cropper())

    def normalise(self, frames: Tensor) -> Tensor:
        """Normalise 0..255 by CLIP's mean and standard deviation."""
        mean, std = (torch.tensor(v, device=frames.device)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
        return (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every named output; see `ForensicsNet`."""
        return self.network(x)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss` and its four components; see `compute_losses`."""
        side = self.input_size // PATCH
        outputs = self.network(self.inputs(batch["image"]), batch["patches"].unflatten(1, (side, side)))
        return compute_losses(outputs, batch)

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Leave out fakes whose original isn't among the videos.

        Raises:
            BenchError: there is no fake with its original.
        """
        known = {v.id for v in videos}
        kept = [v for v in videos if v.label != FAKE or v.original in known]
        if not any(v.label == FAKE for v in kept):
            raise BenchError(
                "forensics-adapter finds the forged region by comparing a fake with its original, and none of "
                f"{len(videos)} training videos is a fake whose original is among them. Train on a set such as ff++"
            )
        return kept, "their original isn't among the videos, so the forged region is unknown"

    # ---- checkpoints

    def is_unused(self, name: str) -> bool:
        """Return whether it belongs to CLIP's other copies, its text encoder, or the adapter's unused blocks."""
        block = _BLOCK.match(name)
        return _UNUSED.match(name) is not None or (block is not None and int(block[1]) >= USED)

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the sizes of a checkpoint's network."""
        width = shapes.get("rec_attn_clip.vit.class_embedding", (0,))[0]
        decoder = "adapter.mask_decoder.query_mlp.layers"
        layers = [name for name in shapes if re.fullmatch(r"rec_attn_clip\.resblocks\.\d+\.ln_1\.weight", name)]
        if not (layers and width and width % HEAD_WIDTH == 0 and f"{decoder}.2.weight" in shapes):
            return
        found = replace(
            self.sizes,
            width=width,
            layers=len(layers),
            projected=(*shapes.get("rec_attn_clip.vit.proj", ()), self.sizes.projected)[1],
            queries=(*shapes.get("adapter.query_embed", ()), 1, self.sizes.queries)[1],
            hidden=shapes[f"{decoder}.2.weight"][1],
            out=shapes[f"{decoder}.2.weight"][0],
        )
        if found != self.sizes:
            self.sizes = found
            self.network = self.build_empty().to_empty(device="cpu")


@torch.no_grad()
def copy_clip(guided: GuidedClip, clip: nn.Module) -> None:
    """Copy the weights of timm's CLIP, including its projection, into ours."""
    vit = guided.vit
    assert isinstance(clip, VisionTransformer)
    assert clip.cls_token is not None
    assert clip.pos_embed is not None
    vit.class_embedding.copy_(clip.cls_token.flatten())
    vit.positional_embedding.copy_(clip.pos_embed[0])
    vit.proj.copy_(get_part(clip, "head", nn.Linear).weight.T)
    vit.conv1.load_state_dict({"weight": clip.patch_embed.proj.weight})
    vit.ln_pre.load_state_dict(clip.norm_pre.state_dict())
    guided.ln_post.load_state_dict(clip.norm.state_dict())
    for ours, theirs in zip(guided.resblocks, clip.blocks, strict=True):
        attention, both = get_part(ours, "attn", nn.MultiheadAttention), get_part(theirs, "attn.qkv", nn.Linear)
        attention.in_proj_weight.copy_(both.weight)
        attention.in_proj_bias.copy_(both.bias)
        for own, other in _SAME:
            ours.get_submodule(own).load_state_dict(theirs.get_submodule(other).state_dict())
