"""What the work is done on, as results have it; and a warning where a GPU is left unused."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ..core.contracts import Scores, TellsPrecision, TellsThreads, TrainingSession
from ..core.device_names import CPU, CUDA, INSTALL
from ..core.device_use import DeviceUse, TellsLayout
from ..core.display import say_once
from .devices import find_device, list_jax_devices

NVIDIA = Path("/proc/driver/nvidia/version")
HIDING = ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
"""Environment variables with which a user may have chosen the processor."""


def describe_device(detector: Scores, backend: str, batch: int | None = None) -> DeviceUse:
    """Return what a detector scores on, and how; `batch`: of so many images."""
    device = find_device(detector, backend)
    if device.kind == CPU:
        warn_unused_gpu(backend)
    count = len(list_jax_devices(detector)) if backend == "jax" else 1  # Torch takes one.
    told: dict[str, str | int | None] = {"kind": device.kind, "name": device.name.removeprefix(f"{count} x ")}
    told |= {"count": count, "precision": device.precision, "batch": batch, "threads": device.threads}
    told |= {"driver": read_driver() if device.kind == CUDA else "", "runtime": _find_runtime(backend)}
    told |= {"layout": detector.layout if isinstance(detector, TellsLayout) else ""}
    told |= {"tf32": device.precision == "tf32" if device.kind == CUDA else None}
    return DeviceUse.model_validate({k: v for k, v in told.items() if v or v is False})


def describe_training(detector: Scores, backend: str, session: TrainingSession, batch: int) -> DeviceUse:
    """Return what a session trains on, and how, as far as it tells; see `describe_device`."""
    known = describe_device(detector, backend, batch).without(("precision", "layout", "tf32"))
    told: dict[str, str | int | bool] = {}
    if isinstance(session, TellsPrecision):
        told |= {"precision": session.precision}
        told |= {"tf32": session.precision == "tf32"} if known.kind == CUDA else {}
    if isinstance(session, TellsThreads) and known.kind == CPU:
        told |= {"threads": session.threads}
    if isinstance(session, TellsLayout):
        told |= {"layout": session.layout}
    return known.merge(DeviceUse.model_validate(told))


def read_driver() -> str:
    """Return the version of NVIDIA's driver; empty if there is none."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", NVIDIA.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[0] if found else ""


def warn_unused_gpu(backend: str) -> None:
    """Warn if there is a GPU with a driver but the backend runs on the processor, unless the user chose that."""
    driver = read_driver()
    if driver and backend in INSTALL and not any(name in os.environ for name in HIDING):
        say_once(
            f"there is a GPU (NVIDIA driver {driver}), but this {backend} can't use it and runs on the processor. "
            f"Install {INSTALL[backend]}"
        )


def _find_runtime(backend: str) -> str:
    if backend not in INSTALL:
        return ""
    module = sys.modules[backend]
    cuda = module.version.cuda if backend == "torch" else ""
    return f"{backend} {module.__version__}" + (f" with CUDA {cuda}" if cuda else "")
