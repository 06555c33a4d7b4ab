"""What a detector runs on: a processor with so many threads, or an accelerator, and in which precision."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..core.contracts import HasNetwork, PlacesNetwork, Scores, TakesDevice, TellsPrecision
from ..core.device_names import CPU, CUDA, parse_device
from ..core.errors import BenchError
from ..core.precisions import AUTO
from ..core.provenance import name_processor
from ..core.workers import available_cores

if TYPE_CHECKING:
    import jax
    import torch


class Device(NamedTuple):
    """Where scoring is done: `kind` is cpu, cuda, tpu ..., `threads` 0 where no processor does the work."""

    kind: str
    name: str
    precision: str
    threads: int


def find_backend(detector: Scores, backend: str) -> str:
    """Return what a detector is written in, as its card says: else `torch` for a network of torch's, or `python`."""
    return backend or ("torch" if _find_module(detector) is not None else "python")


def find_device(detector: Scores, backend: str) -> Device:
    """Return where a detector scores, and in which precision, as far as its backend decides that."""
    if backend == "torch":
        return _find_torch_device(detector)
    if backend == "jax":
        return _find_jax_device(detector)
    return Device(CPU, name_processor(), "fp32", available_cores())


def _find_torch_device(detector: Scores) -> Device:
    import torch

    device = _locate(detector)
    decided = isinstance(detector, TellsPrecision)
    precision = detector.precision if isinstance(detector, TellsPrecision) else "fp32"
    if device.type == CPU:
        return Device(CPU, name_processor(), precision, torch.get_num_threads())
    if device.type != CUDA:
        return Device(device.type, device.type, precision, 0)
    # Where a detector doesn't decide, convolutions are in TF32 unless torch is told otherwise.
    quick = torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability(device)[0] >= 8
    return Device(CUDA, torch.cuda.get_device_name(device), precision if decided or not quick else "tf32", 0)


def _locate(detector: Scores) -> torch.device:
    import torch

    if isinstance(detector, PlacesNetwork):
        return torch.device(str(detector.device))
    module = _find_module(detector)
    return next((p.device for p in module.parameters()), torch.device(CPU)) if module else torch.device(CPU)


def _find_jax_device(detector: Scores) -> Device:
    devices = list_jax_devices(detector)
    first, count = devices[0], len(devices)
    if first.platform == CPU:
        return Device(CPU, name_processor(), "fp32", available_cores())
    # What a detector's own code leaves undecided is jax.lax.Precision.DEFAULT.
    usual = {"gpu": "tf32", "tpu": "bf16"}.get(first.platform, "fp32")
    precision = detector.precision if isinstance(detector, TellsPrecision) else usual
    kind = CUDA if first.platform == "gpu" else first.platform
    return Device(kind, (f"{count} x " if count > 1 else "") + first.device_kind, precision, 0)


def list_jax_devices(detector: Scores) -> Sequence[jax.Device]:
    """Return the devices that share a JAX detector's work: by default all of this machine."""
    import jax

    from ...detectors.common_jax.detector import JaxDetector

    return detector.devices if isinstance(detector, JaxDetector) else jax.local_devices()


def _find_module(detector: Scores) -> torch.nn.Module | None:
    """Return the torch module with which a detector scores, if it exposes one; doesn't import torch."""
    torch = sys.modules.get("torch")
    found = detector.network if isinstance(detector, HasNetwork) else getattr(detector, "model", None)
    return found if torch is not None and isinstance(found, torch.nn.Module) else None


def place(detector: Scores, device: str) -> Scores:
    """Have a detector work on `cpu`, `cuda`, `cuda:1`, `mps` or `tpu`, and return it; `auto`: where it does by itself.

    Raises:
        BenchError: there is no such device here, or the detector decides that itself.
    """
    if parse_device(device).kind == AUTO:
        return detector
    if isinstance(detector, TakesDevice):
        detector.use_device(device)
    elif isinstance(detector, PlacesNetwork):
        from ...detectors.common_torch.places import find_torch_device

        detector.device = find_torch_device(device)
    else:
        raise BenchError(f"{type(detector).__name__} chooses its device itself. Leave out --device")
    return detector


def check_device(device: str, backends: Iterable[str]) -> None:
    """Check that backends can use a device here; one that anybody has, or that is chosen later, costs no import.

    Raises:
        BenchError: one of them can't.
    """
    if parse_device(device).kind in (AUTO, CPU):
        return
    if "torch" in backends:
        from ...detectors.common_torch.places import find_torch_device

        find_torch_device(device)
    if "jax" in backends:
        from ...detectors.common_jax.places import find_jax_devices

        find_jax_devices(device)


@contextmanager
def use_threads(backend: str, threads: int | None) -> Iterator[None]:
    """Limit torch's processor threads inside the block; None: torch's default.

    Raises:
        BenchError: a number of threads is given for another backend.
    """
    if threads is None:
        yield
        return
    if backend != "torch":
        raise BenchError(f"--threads: {backend} chooses their number itself. Leave it out")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reset_device_peak(device: Device, backend: str) -> None:
    """Track the device's peak memory from now on; JAX tracks from its start."""
    if device.kind == CUDA and backend != "jax":
        sys.modules["torch"].cuda.reset_peak_memory_stats()


def read_device_peak(device: Device, backend: str) -> int | None:
    """Return a device's peak memory in bytes; None for a processor or if unknown."""
    if backend == "jax" and device.kind != CPU:
        told = sys.modules["jax"].local_devices()[0].memory_stats() or {}
        return told.get("peak_bytes_in_use")
    return int(sys.modules["torch"].cuda.max_memory_allocated()) if device.kind == CUDA else None
