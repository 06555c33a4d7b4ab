"""Translates weight names of timm's EfficientNet-B3 and B4 to those of efficientnet_pytorch. No backend."""

from __future__ import annotations

from itertools import accumulate

BLOCKS = {"efficientnet-b3": (2, 3, 3, 5, 5, 6, 2), "efficientnet-b4": (2, 4, 4, 6, 6, 8, 2)}
_TOP = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
_SE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
_PLAIN = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2", **_SE}
_EXPANDING = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
    **_SE,
}


def to_lukemelas_name(backbone: str, name: str) -> str:
    """Return efficientnet_pytorch's name for a weight of timm's network."""
    path, _, leaf = name.rpartition(".")
    if not path.startswith("blocks."):
        return f"{_TOP[path]}.{leaf}"
    first = [0, *accumulate(BLOCKS[backbone])]
    _, stage, index, module = path.split(".", 3)
    names = _PLAIN if stage == "0" else _EXPANDING
    return f"_blocks.{first[int(stage)] + int(index)}.{names[module]}.{leaf}"


def to_deepfakebench_name(name: str) -> str:
    """Return DeepfakeBench's name for a weight with efficientnet_pytorch's name."""
    return "backbone." + (name.replace("_fc", "last_layer") if name.startswith("_fc.") else f"efficientnet.{name}")
