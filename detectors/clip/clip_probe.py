"""UnivFD as a detector of the harness (PyTorch): a logistic head on CLIP's frozen image encoder."""

from __future__ import annotations

from ...benchmark.core.registry import detectors
from ..common.options import Options
from .backbone import CLIP
from .probe import Probe


@detectors.register(
    "clip-probe",
    backend="torch",
    aliases=("univfd",),
    title="CLIP probe (UnivFD)",
    paper="Towards Universal Fake Image Detectors that Generalize Across Generative Models",
    venue="CVPR",
    year=2023,
    url="https://arxiv.org/abs/2302.10174",
    license="original: MIT",
    weights="the authors' head (MIT, trained on ProGAN); CLIP's by OpenAI (MIT), "
    "vit_large_patch14_clip_quickgelu_224.openai",
    input="224 px RGB",
    crop="square face box, enlarged 1.3 times (the paper: the image's centre)",
    normalisation="CLIP's mean and standard deviation",
    pooling="mean over frames",
    faithful_to="paper: the head on the 768 projected features, computed once per crop; released: with its blur and "
    "JPEG in training. Here the head is trained on faces",
    input_size=224,
    defaults={"variant": "paper", "input_size": 224},
    frozen=True,
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class ClipProbe(Probe):
    """A linear head on the projected class token of CLIP's ViT-L/14. The options are those of `ClipDetector`."""

    who = "clip-probe"
    projected = 768
    prefix = "vision_model."

    def __init__(
        self,
        variant: str = "paper",
        input_size: int = 224,
        arch: str = CLIP,
        arch_args: Options | None = None,
        augment: str = "",
        pretrained: bool | str = False,
    ):
        super().__init__(variant, input_size, arch, arch_args, augment, pretrained)
