"""What numbers a network is computed in: one vocabulary, for training as for scoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .errors import BenchError

PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "int8")
"""From the most exact on. `tf32` rounds what fp32 multiplies, on CUDA; `int8` is named, but nothing computes in it."""
AUTO = "auto"
"""The fastest that may be taken: which one depends on the device."""
ALIASES: Mapping[str, str] = {"float32": "fp32"}
TrainingPrecision = Literal["fp32", "tf32", "bf16", "auto"]
"""What trains. fp16 would need its losses scaled, and bf16 is there wherever fp16 is quick today."""


def check_training_precision(precision: str, kind: str) -> None:
    """Check that a kind of device can train in a precision.

    Raises:
        BenchError: it is TF32, and the device isn't CUDA's.
    """
    if precision == "tf32" and kind != "cuda":
        raise BenchError(f"train.precision=tf32 is CUDA's, and this is {kind}. Use fp32 or auto")


def read_alias(name: object) -> object:
    """Return today's name of a precision; what is none stays as it is."""
    return ALIASES.get(name, name) if isinstance(name, str) else name


def keep_key(name: str) -> str:
    """Return the name under which keys hold a precision: those of before fp32 was called so stay."""
    return next((old for old, new in ALIASES.items() if new == name), name)
