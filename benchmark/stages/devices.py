"""What a detector runs on: a processor with so many threads, or an accelerator, and in which precision."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..core.contracts import HasNetwork, PlacesNetwork, Scores, TakesRuntime
from ..core.errors import BenchError
from ..core.provenance import name_processor
from ..core.workers import available_cores

if TYPE_CHECKING:
    import torch

PROCESSOR = "cpu"


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
        return _find_jax_device()
    return Device(PROCESSOR, name_processor(), "fp32", available_cores())


def _find_torch_device(detector: Scores) -> Device:
    import torch

    device = _locate(detector)
    precision = detector.precision if isinstance(detector, TakesRuntime) else "fp32"
    if device.type == PROCESSOR:
        return Device(PROCESSOR, name_processor(), precision, torch.get_num_threads())
    if device.type != "cuda":
        return Device(device.type, device.type, precision, 0)
    # Where a detector doesn't decide, convolutions are in TF32 unless torch is told otherwise.
    quick = torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability(device)[0] >= 8
    undecided = quick and not isinstance(detector, TakesRuntime)
    return Device("cuda", torch.cuda.get_device_name(device), "tf32" if undecided else precision, 0)


def _locate(detector: Scores) -> torch.device:
    import torch

    if isinstance(detector, PlacesNetwork):
        return torch.device(str(detector.device))
    module = _find_module(detector)
    return next((p.device for p in module.parameters()), torch.device(PROCESSOR)) if module else torch.device(PROCESSOR)


def _find_jax_device() -> Device:
    import jax

    first, count = jax.local_devices()[0], jax.local_device_count()
    if first.platform == PROCESSOR:
        return Device(PROCESSOR, name_processor(), "fp32", available_cores())
    # What jax.lax.Precision.DEFAULT means there.
    precision = {"gpu": "tf32", "tpu": "bf16"}.get(first.platform, "fp32")
    return Device(first.platform, (f"{count} x " if count > 1 else "") + first.device_kind, precision, 0)


def _find_module(detector: Scores) -> torch.nn.Module | None:
    """Return the torch module that a detector scores with, where it shows one; torch isn't imported to find out."""
    torch = sys.modules.get("torch")
    found = detector.network if isinstance(detector, HasNetwork) else getattr(detector, "model", None)
    return found if torch is not None and isinstance(found, torch.nn.Module) else None


def move(detector: Scores, device: str) -> None:
    """Have a torch detector score on `cpu`, `cuda`, `cuda:1` ...

    Raises:
        BenchError: there is no such device here, or the detector decides that itself.
    """
    if not isinstance(detector, PlacesNetwork):
        raise BenchError(f"{type(detector).__name__} chooses its device itself. Leave out --device")
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise BenchError(f"no device {device} here ({reason}). There are: {', '.join(here)}") from None
    detector.device = torch.device(device)


@contextmanager
def use_threads(backend: str, threads: int | None) -> Iterator[None]:
    """Let torch work with so many processor threads meanwhile; None: as many as it takes.

    Raises:
        BenchError: another backend is asked for a number of threads.
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


def reset_device_peak(device: Device) -> None:
    """Count the device's memory at its highest from now on."""
    if device.kind == "cuda":
        sys.modules["torch"].cuda.reset_peak_memory_stats()


def read_device_peak(device: Device, backend: str) -> int | None:
    """Return the bytes of a device's memory in use at the highest; None for a processor, or where unknown."""
    if device.kind == "cuda":
        return int(sys.modules["torch"].cuda.max_memory_allocated())
    if backend == "jax" and device.kind != PROCESSOR:
        told = sys.modules["jax"].local_devices()[0].memory_stats() or {}
        return told.get("peak_bytes_in_use")
    return None
