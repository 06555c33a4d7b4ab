"""Exported networks in ONNX Runtime, on the processor, in fp32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np


def find_obstacle(precision: str) -> str:
    """Return why a precision isn't available here; "" if it is."""
    return "" if precision == "fp32" else "ONNX Runtime runs exported networks in fp32 only. Use --runtime openvino"


def start_session(path: Path, precision: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return an exported network as a function of uint8 crops; `precision` is fp32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # Waiting shouldn't cost processor time.
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(frames: np.ndarray) -> np.ndarray:
        logits: np.ndarray = session.run(["logits"], {"frames": frames})[0]
        return logits

    return run
