"""What the work is done on, in a line and as training.json has it; and a warning where a GPU is left unused."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ..core.contracts import Scores
from ..core.device_names import CPU, CUDA, INSTALL
from ..core.display import say_once
from .devices import find_device, list_jax_devices

NVIDIA = Path("/proc/driver/nvidia/version")
HIDING = ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
"""Variables by which somebody may have chosen the processor."""

DeviceReport = dict[str, str | int]


def describe_device(detector: Scores, backend: str) -> DeviceReport:
    """Return where a detector works: its device, how many there are, driver, runtime, and processor threads."""
    device = find_device(detector, backend)
    if device.kind == CPU:
        warn_unused_gpu(backend)
    count = len(list_jax_devices(detector)) if backend == "jax" else 1  # Torch takes one.
    told: DeviceReport = {"kind": device.kind, "name": device.name.removeprefix(f"{count} x "), "count": count}
    told |= {"driver": read_driver() if device.kind == CUDA else "", "runtime": _find_runtime(backend)}
    told |= {"threads": device.threads}
    return {name: value for name, value in told.items() if value}


def describe_line(told: DeviceReport) -> str:
    """Say it in a line: `2 x NVIDIA H100, driver 550.54.14, torch 2.9.0 with CUDA 12.8`."""
    count = f"{told['count']} x " if int(told.get("count", 1)) > 1 else ""
    driver = f"driver {told['driver']}" if "driver" in told else ""
    threads = f"{told['threads']} threads" if "threads" in told else ""
    return ", ".join(filter(None, [f"{count}{told['name']}", threads, driver, str(told.get("runtime", ""))]))


def read_driver() -> str:
    """Return the version of NVIDIA's driver; empty where there is none."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", NVIDIA.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[0] if found else ""


def warn_unused_gpu(backend: str) -> None:
    """Warn where a driver shows a GPU and the backend works on the processor, unless somebody chose that."""
    driver = read_driver()
    if driver and backend in INSTALL and not any(name in os.environ for name in HIDING):
        say_once(
            f"a GPU is there (NVIDIA driver {driver}), but this {backend} can't use it: the processor does the work. "
            f"Install {INSTALL[backend]}"
        )


def _find_runtime(backend: str) -> str:
    if backend not in INSTALL:
        return ""
    module = sys.modules[backend]
    cuda = module.version.cuda if backend == "torch" else ""
    return f"{backend} {module.__version__}" + (f" with CUDA {cuda}" if cuda else "")
