"""How much memory training may still use, so that slower, smaller methods are used only when memory is short."""

from __future__ import annotations

from pathlib import Path

import torch

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def measure_free_memory(device: torch.device) -> int:
    """Return the free bytes on a device, within a container's limit; 0 if unknown."""
    if device.type == "cuda":
        own = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + own
    if device.type != "cpu":
        return 0
    try:
        available = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # Not on Linux.
        return 0
    return min([1024 * int(available.split()[1]), *_measure_container()])


def _measure_container() -> list[int]:
    """Return what a container has left; empty if there is no limit."""
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return []
    return [] if limit == "max" else [int(limit) - int(used)]
