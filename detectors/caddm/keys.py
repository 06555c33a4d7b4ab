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


def to_reference_key(backbone: str, key: str) -> str:
    """Return the released code's key for one of our state dict's; only the EfficientNets' differ."""
    if backbone not in _BLOCKS or not key.startswith("base_model."):
        return key
    return _to_efficientnet_key(key, [0, *accumulate(_BLOCKS[backbone])])


def _to_efficientnet_key(key: str, first: list[int]) -> str:
    path, _, leaf = key.removeprefix("base_model.").rpartition(".")
    if not path.startswith("blocks."):
        return f"base_model.{_TOP[path]}.{leaf}"
    _, stage, index, module = path.split(".", 3)
    names = _PLAIN if stage == "0" else _EXPANDING
    return f"base_model._blocks.{first[int(stage)] + int(index)}.{names[module]}.{leaf}"
