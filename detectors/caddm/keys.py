"""The released code's weight names: its EfficientNets come from a different library than ours."""

from __future__ import annotations

from ..common.efficientnet_names import BLOCKS, to_lukemelas_name


def to_reference_key(backbone: str, key: str) -> str:
    """Return the released code's key for a key of our state dict; they differ only for EfficientNets."""
    if backbone not in BLOCKS or not key.startswith("base_model."):
        return key
    return "base_model." + to_lukemelas_name(backbone, key.removeprefix("base_model."))
