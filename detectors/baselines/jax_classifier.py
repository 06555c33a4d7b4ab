"""Xception, EfficientNet-B4 and ResNet-34 in JAX, with timm's names for their weights."""

from __future__ import annotations

import jax
from jax import Array

from ...benchmark.core.errors import require_known
from ...benchmark.core.registry import detectors
from ..common.options import Options, bind_options, check_options, list_options
from ..common_jax.detector import Named
from ..common_jax.efficientnet import EfficientNet
from ..common_jax.imagenet import load_imagenet_weights
from ..common_jax.layers import Init, Linear, Mode
from ..common_jax.resnet import ResNet
from ..common_jax.xception import Xception
from .jax_plain import JaxPlainClassifier
from .shared import ClassifierMixin


class ResNetClassifier(ResNet):
    """A ResNet with two logits."""

    below = ResNet  # Whose named options may be given.

    def __init__(self, arch: str, init: Init, classes: int = 2, **options: object):
        bind_options(super().__init__, options)(arch, init)
        self.fc = Linear(self.width, classes, init)

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return logits (N, 2) and features (N, C)."""
        return _pool_and_classify(self.features(x, mode), self.fc)


class EfficientNetClassifier(EfficientNet):
    """An EfficientNet with two logits."""

    below = EfficientNet  # Whose named options may be given.

    def __init__(self, arch: str, init: Init, **options: object):
        bind_options(super().__init__, options)(arch, init)
        self.classifier = Linear(self.width, 2, init, bound=2**-0.5)

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return logits (N, 2) and features (N, C)."""
        return _pool_and_classify(self.features(x, mode), self.classifier)


class XceptionClassifier(Xception):
    """Xception with two logits."""

    below = Xception  # Whose named options may be given.

    def __init__(self, arch: str, init: Init, classes: int = 2):
        super().__init__(init)
        self.fc = Linear(self.width, classes, init)

    def __call__(self, x: Array, mode: Mode) -> Named:
        """Return logits (N, 2) and features (N, C)."""
        return _pool_and_classify(jax.nn.relu(self.features(x, mode)), self.fc)


NETWORKS: dict[str, type[XceptionClassifier | EfficientNetClassifier | ResNetClassifier]] = {
    "xception": XceptionClassifier,
    "efficientnet-b4": EfficientNetClassifier,
    "resnet34": ResNetClassifier,
}


@detectors.register(
    "xception",
    backend="jax",
    title="Xception",
    year=2019,
    input_size=256,
    options={"arch": "xception", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
@detectors.register(
    "efficientnet-b4",
    backend="jax",
    aliases=("efficientnet_b4", "effnet-b4"),
    title="EfficientNet-B4",
    year=2019,
    input_size=256,
    options={"arch": "efficientnet-b4", "input_size": 256},
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
@detectors.register(
    "resnet34",
    backend="jax",
    aliases=("resnet-34",),
    title="ResNet-34",
    year=2016,
    input_size=224,
    options={"arch": "resnet34", "input_size": 224},
    can=("crop", "load", "save", "sample", "train", "features", "parameters", "flops"),
)
class JaxImageClassifier(ClassifierMixin, JaxPlainClassifier):
    """One of `NETWORKS` with two outputs, cross-entropy, and the face box crop; inputs scaled to -1..1.

    The options are those of `ClassifierMixin`.

    Raises:
        BenchError: an option isn't valid, or the network has no port.
    """

    takes_any_size = True

    def build_network(self, arch: str, input_size: int, pretrained: bool | str, arch_args: Options) -> None:
        """Start with the network of `NETWORKS`."""
        require_known("network in JAX", arch, NETWORKS, ". Use --backend torch for others")
        check_options(arch, arch_args, list_options(NETWORKS[arch].below.__init__, keyword_only=True), "arch_args")
        start = (
            load_imagenet_weights(arch, _is_below_head, pretrained=pretrained, arch_args=arch_args)
            if pretrained
            else {}
        )
        JaxPlainClassifier.__init__(
            self, lambda init: bind_options(NETWORKS[arch], arch_args)(arch, init), input_size, start
        )


def _pool_and_classify(maps: Array, head: Linear) -> Named:
    features = maps.mean((1, 2))
    return {"logits": head(features), "features": features}


def _is_below_head(name: str) -> bool:
    return not name.startswith(("fc.", "classifier."))
