"""timm's image classifiers with two classes: Xception, EfficientNet-B4, ResNet-34, any other as `timm:NAME`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.registry import detectors
from ..common import efficientnet_names
from ..common.network_detector import UNUSED_IN_XCEPTION
from ..common.options import Options
from ..common_torch import xception
from ..common_torch.efficientnet import make_efficientnet_b4
from ..common_torch.timm_interface import as_timm_model
from ..common_torch.timm_models import create_timm_model
from .plain import PlainClassifier
from .shared import ClassifierMixin

VARIANTS = ("paper", "deepfakebench")


def _name_efficientnet(name: str) -> str:
    theirs = efficientnet_names.to_lukemelas_name("efficientnet-b4", name)
    return efficientnet_names.to_deepfakebench_name(theirs)


_BENCH_NAMES: dict[str, Callable[[str], str]] = {
    "legacy_xception": xception.to_deepfakebench_name,
    "tf_efficientnet_b4": _name_efficientnet,
}


@detectors.register(
    "xception",
    backend="torch",
    title="Xception",
    paper="FaceForensics++: Learning to Detect Manipulated Facial Images",
    venue="ICCV",
    year=2019,
    url="https://arxiv.org/abs/1901.08971",
    weights="DeepfakeBench's (variant deepfakebench; CC BY-NC 4.0); starts from timm's legacy_xception.tf_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="a baseline with crossfake's recipe. The FaceForensics++ paper: 299 px; deepfakebench: the same "
    "network under its names",
    input_size=256,
    options={"arch": "legacy_xception", "input_size": 256},
    defaults={"variant": "paper"},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
@detectors.register(
    "efficientnet-b4",
    backend="torch",
    aliases=("efficientnet_b4", "effnet-b4"),
    title="EfficientNet-B4",
    paper="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    venue="ICML",
    year=2019,
    url="https://arxiv.org/abs/1905.11946",
    weights="DeepfakeBench's (variant deepfakebench; CC BY-NC 4.0); starts from timm's "
    "tf_efficientnet_b4.ns_jft_in1k (NoisyStudent on JFT); deepfakebench: from tf_efficientnet_b4.aa_in1k",
    input="256 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="a baseline with crossfake's recipe; deepfakebench: its stem and padding",
    input_size=256,
    options={"arch": "tf_efficientnet_b4", "input_size": 256},
    defaults={"variant": "paper"},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
@detectors.register(
    "resnet34",
    backend="torch",
    aliases=("resnet-34",),
    title="ResNet-34",
    paper="Deep Residual Learning for Image Recognition",
    venue="CVPR",
    year=2016,
    url="https://arxiv.org/abs/1512.03385",
    weights="none published for deepfakes; starts from timm's resnet34.a1_in1k",
    input="224 px RGB",
    crop="square face box, enlarged 1.3 times",
    normalisation="-1..1 (mean = std = 0.5)",
    pooling="mean over frames",
    faithful_to="a baseline with crossfake's recipe",
    input_size=224,
    options={"arch": "resnet34", "input_size": 224},
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
@detectors.register(
    "timm",
    backend="torch",
    takes="arch",
    title="any timm image model, as timm:NAME",
    url="https://github.com/huggingface/pytorch-image-models",
    input_size=224,
    can=("crop", "load", "save", "sample", "train", "features", "parameters"),
)
class ImageClassifier(ClassifierMixin, PlainClassifier):
    """A timm model with two outputs, cross-entropy, and the face box crop; inputs scaled to -1..1.

    The options are those of `ClassifierMixin`, and `variant`: `deepfakebench` for Xception and EfficientNet-B4 with
    DeepfakeBench's weight names and, for EfficientNet-B4, its stem and padding.

    Raises:
        BenchError: an option isn't valid, or the network isn't available.
    """

    def __init__(
        self,
        arch: str,
        input_size: int = 224,
        pretrained: bool | str = False,
        arch_args: Options | None = None,
        variant: str = "paper",
    ):
        require_known("classifier variant", variant, VARIANTS)
        if variant == "deepfakebench" and arch not in _BENCH_NAMES:
            raise BenchError(f"{arch} has no variant 'deepfakebench'; only xception and efficientnet-b4 have one")
        self.arch, self.variant = arch, variant
        super().__init__(arch, input_size, pretrained, arch_args)

    def build_network(self, arch: str, input_size: int, pretrained: bool | str, arch_args: Options) -> None:
        """Start with timm's network, or with DeepfakeBench's version of it."""
        if self.variant == "deepfakebench" and arch == "tf_efficientnet_b4":
            network: nn.Module = make_efficientnet_b4("aa_in1k", pretrained, padded_stem=False)
        else:
            network = create_timm_model(arch, pretrained, "arch_args", num_classes=2, **arch_args)
        PlainClassifier.__init__(self, network, input_size)
        config = as_timm_model(network).pretrained_cfg
        self.takes_any_size = not config.get("fixed_input_size")  # Vision transformers have one.

    def reference_name(self, name: str) -> str:
        """Return DeepfakeBench's name for one of our weights if the variant is DeepfakeBench's."""
        return _BENCH_NAMES[self.arch](name) if self.variant == "deepfakebench" else name

    def is_unused(self, name: str) -> bool:
        """Return whether the weight belongs to an unused layer of DeepfakeBench's Xception."""
        return self.variant == "deepfakebench" and name.startswith(UNUSED_IN_XCEPTION)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2) and the pooled `features` (N, C) from which a linear layer computes them."""
        network = as_timm_model(self.network)
        features = network.forward_head(network.forward_features(x), pre_logits=True)
        return {"logits": network.get_classifier()(features), "features": features}
