"""Exported networks in OpenVINO, on the processor, in fp32 or bf16."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from openvino import Core

NAMES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


@cache
def _open_core() -> Core:
    import openvino

    return openvino.Core()


def find_obstacle(precision: str) -> str:
    """Return why a precision isn't available on this processor; "" if it is."""
    if precision == "fp32":
        return ""
    able = _open_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    known = [name for name in NAMES if name.upper() in able]
    return "" if precision in known else f"OpenVINO supports {', '.join(known)} on this processor"


def start_session(path: Path, precision: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return an exported network as a function of uint8 crops."""
    settings = {"INFERENCE_PRECISION_HINT": NAMES[precision], "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = _open_core().compile_model(str(path), "CPU", settings)

    def run(frames: np.ndarray) -> np.ndarray:
        logits: np.ndarray = compiled([frames])[0]
        return logits

    return run
