"""The released code's names of weights: its EfficientNets come from another library than ours."""

from __future__ import annotations

from ..common.efficientnet_names import BLOCKS, to_lukemelas_name


def to_reference_key(backbone: str, key: str) -> str:
    """Return the released code's key for one of our state dict's; only the EfficientNets' differ."""
    if backbone not in BLOCKS or not key.startswith("base_model."):
        return key
    return "base_model." + to_lukemelas_name(backbone, key.removeprefix("base_model."))
