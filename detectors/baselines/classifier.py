"""Image classifiers of timm with two classes: Xception, EfficientNet-B4, ResNet-34, and any other as `timm:NAME`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...benchmark.core.registry import detectors
from ..common.options import Options
from ..common_torch.timm_models import create_timm_model
from .plain import PlainClassifier
from .shared import ClassifierMixin


@detectors.register(
    "xception",
    backend="torch",
    title="Xception",
    year=2019,
    paper="FaceForensics++: Learning to Detect Manipulated Facial Images",
    url="https://arxiv.org/abs/1901.08971",
    input_size=256,
    options={"arch": "legacy_xception", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
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
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
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
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
@detectors.register(
    "timm",
    backend="torch",
    takes="arch",
    title="any image model of timm, as timm:NAME",
    url="https://github.com/huggingface/pytorch-image-models",
    input_size=224,
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class ImageClassifier(ClassifierMixin, PlainClassifier):
    """A timm model with two outputs, cross-entropy, and the face box crop; inputs scaled to -1..1.

    The options are those of `ClassifierMixin`.

    Raises:
        BenchError: an option isn't valid, or the network can't be had.
    """

    def build_network(self, arch: str, input_size: int, pretrained: bool, arch_args: Options) -> None:
        """Start with timm's network."""
        network: Any = create_timm_model(arch, pretrained, "arch_args", num_classes=2, **arch_args)
        PlainClassifier.__init__(self, network, input_size)
        self.takes_any_size = not network.pretrained_cfg.get("fixed_input_size")  # As vision transformers have.

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2), and the pooled `features` (N, C) that they are linear in."""
        network: Any = self.network
        features = network.forward_head(network.forward_features(x), pre_logits=True)
        return {"logits": network.get_classifier()(features), "features": features}
