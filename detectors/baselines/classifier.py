"""Image classifiers of timm with two classes: Xception, EfficientNet-B4, ResNet-34, and any other as `timm:NAME`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...benchmark.errors import BenchError, did_you_mean
from ...benchmark.registry import detectors
from .plain import PlainClassifier


@detectors.register(
    "xception",
    backend="torch",
    title="Xception",
    year=2019,
    paper="FaceForensics++: Learning to Detect Manipulated Facial Images",
    url="https://arxiv.org/abs/1901.08971",
    input_size=256,
    options={"arch": "legacy_xception", "input_size": 256},
)
@detectors.register(
    "efficientnet-b4",
    backend="torch",
    aliases=("efficientnet_b4", "effnet-b4"),
    title="EfficientNet-B4",
    year=2019,
    url="https://arxiv.org/abs/1905.11946",
    input_size=256,
    paper="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    options={"arch": "tf_efficientnet_b4", "input_size": 256},
)
@detectors.register(
    "resnet34",
    backend="torch",
    aliases=("resnet-34",),
    title="ResNet-34",
    year=2015,
    paper="Deep Residual Learning for Image Recognition",
    url="https://arxiv.org/abs/1512.03385",
    input_size=224,
    options={"arch": "resnet34", "input_size": 224},
)
@detectors.register(
    "timm",
    backend="torch",
    takes="arch",
    title="any image model of timm, as timm:NAME",
    url="https://github.com/huggingface/pytorch-image-models",
    input_size=224,
)
class ImageClassifier(PlainClassifier):
    """A timm model with two outputs, cross-entropy, and the face box crop; inputs scaled to -1..1.

    Options: `arch` is timm's name; `arch_args` go to `timm.create_model`; `pretrained` starts from timm's ImageNet
    weights, which need to be in the local cache or downloadable.
    """

    def __init__(
        self, arch: str, input_size: int = 224, pretrained: bool = False, arch_args: dict[str, Any] | None = None
    ):
        super().__init__(timm_model(arch, pretrained, num_classes=2, **(arch_args or {})), input_size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), and the pooled `features` (N, C) that they are linear in."""
        network: Any = self.network
        maps = network.forward_features(x.contiguous(memory_format=torch.channels_last))
        features = network.forward_head(maps, pre_logits=True)
        return {"logits": network.get_classifier()(features), "features": features}


def timm_model(arch: str, pretrained: bool, **options: Any) -> nn.Module:
    """Make a timm model.

    Raises:
        BenchError: timm has no such model, or its ImageNet weights can't be had here.
    """
    import timm

    if not timm.is_model(arch):
        raise BenchError(f"timm {timm.__version__} has no model '{arch}'.{did_you_mean(arch, timm.list_models())}")
    try:
        return timm.create_model(arch, pretrained=pretrained, **options)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = " ".join(str(error).split())[:120]
        raise BenchError(
            f"no ImageNet weights of {arch} at hand ({reason}). To train from scratch: --set options.pretrained=false"
        ) from None
