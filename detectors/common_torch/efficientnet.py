"""EfficientNet-B4 with the padding of efficientnet_pytorch 0.7.1, which equals timm's only at 380 px."""

from __future__ import annotations

import torch
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn
from torch.nn import functional as F

from .timm_interface import get_part
from .timm_models import create_timm_model

WIDTH = 1792
# Before each strided convolution (left, right, top, bottom): the values for images of 380 px, fixed for all sizes.
_PADDINGS = {
    "conv_stem": (0, 1, 0, 1),
    "blocks.1.0.conv_dw": (0, 1, 0, 1),
    "blocks.2.0.conv_dw": (2, 2, 2, 2),
    "blocks.3.0.conv_dw": (0, 1, 0, 1),
    "blocks.5.0.conv_dw": (1, 2, 1, 2),
}


class PaddedConv(nn.Conv2d):
    """A convolution with fixed padding (left, right, top, bottom)."""

    def __init__(self, like: nn.Conv2d, padding: tuple[int, int, int, int]):
        super().__init__(
            like.in_channels, like.out_channels, like.kernel_size[0], like.stride[0], groups=like.groups, bias=False
        )
        self.weight, self.sides = like.weight, padding

    def forward(self, x: Tensor) -> Tensor:
        """Pad with zeros, and convolve."""
        return super().forward(F.pad(x, self.sides))


def make_efficientnet_b4(tag: str, pretrained: bool | str, padded_stem: bool = True) -> EfficientNet:
    """Make timm's EfficientNet-B4 with two classes, dropout 0.4 and drop-connect 0.2.

    Args:
        tag: tag of timm's weights, such as `ap_in1k`.
        pretrained: start from these weights.
        padded_stem: False for DeepfakeBench's stem, a convolution without padding, randomly initialised.

    Raises:
        BenchError: the weights aren't available.
    """
    name = f"tf_efficientnet_b4.{tag}"
    made = create_timm_model(
        name, pretrained, "options", num_classes=2, drop_rate=0.4, drop_path_rate=0.2, bn_momentum=0.01
    )
    assert isinstance(made, EfficientNet)
    for path, padding in _PADDINGS.items():
        made.set_submodule(path, PaddedConv(get_part(made, path, nn.Conv2d), padding))
    if not padded_stem:
        stem = get_part(made, "conv_stem", PaddedConv)
        stem.sides = (0, 0, 0, 0)
        with torch.no_grad():
            stem.reset_parameters()
    return made
