"""The released code's names for the weights. No backend: both ports use them."""

from __future__ import annotations

from itertools import accumulate

_BLOCKS = {"efficientnet-b3": (2, 3, 3, 5, 5, 6, 2), "efficientnet-b4": (2, 4, 4, 6, 6, 8, 2)}
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


def reference_keys(backbone: str, ours: list[str]) -> dict[str, str]:
    """Map our state dict's keys to the released code's; only the EfficientNets' differ."""
    if backbone not in _BLOCKS:
        return {k: k for k in ours}
    first = [0, *accumulate(_BLOCKS[backbone])]
    return {k: _efficientnet_key(k, first) if k.startswith("base_model.") else k for k in ours}


def _efficientnet_key(key: str, first: list[int]) -> str:
    path, _, leaf = key.removeprefix("base_model.").rpartition(".")
    if not path.startswith("blocks."):
        return f"base_model.{_TOP[path]}.{leaf}"
    _, stage, index, module = path.split(".", 3)
    names = _PLAIN if stage == "0" else _EXPANDING
    return f"base_model._blocks.{first[int(stage)] + int(index)}.{names[module]}.{leaf}"
