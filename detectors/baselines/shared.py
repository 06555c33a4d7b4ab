"""What both ports of the plain classifiers share. No backend."""

from __future__ import annotations

from ..common.network_detector import LEAST_SIZE
from ..common.options import Options, check_multiple

# Meso4's blocks: channels in and out, kernel, and pooling.
MESO_BLOCKS = ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4))
INCEPTION_WIDTHS = ((1, 4, 4, 2), (2, 4, 4, 2))  # Widths of MesoInception4's branches in its two inception layers.
MESO_VARIANTS = ("paper", "deepfakebench")
MESO_STRIDE = 32  # The four poolings together.


def check_input_size(input_size: int, step: int = 1) -> None:
    """Raise a BenchError unless a classifier can be made for crops of this size."""
    check_multiple("classifiers", "input_size", input_size, step, LEAST_SIZE, 256)


def to_deepfakebench_meso_name(name: str) -> str:
    """Return DeepfakeBench's name (as it spells it) for one of the weights of MesoInception4 or Meso4."""
    return "backbone." + name.replace("inception1.", "Incption1_").replace("inception2.", "Incption2_")


class ClassifierMixin:
    """The options of image classifiers; to be mixed in before a backend's base class. A port defines `build_network`.

    Args:
        arch: the network's name: timm's in PyTorch, one of `NETWORKS` in JAX.
        input_size: side of the crop.
        pretrained: start from timm's ImageNet weights, from the local cache or downloaded.
        arch_args: passed to `timm.create_model`, or to the network in JAX, such as `channels` for a ResNet.

    Raises:
        BenchError: an option isn't valid, or the network can't be built.
    """

    def __init__(
        self, arch: str, input_size: int = 224, pretrained: bool | str = False, arch_args: Options | None = None
    ):
        self.build_network(arch, input_size, pretrained, dict(arch_args or {}))

    def build_network(self, arch: str, input_size: int, pretrained: bool | str, arch_args: Options) -> None:
        """Start the backend's base class with the network."""
        raise NotImplementedError
