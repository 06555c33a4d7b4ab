"""Which torch device a name means here, and what torch sees if there is none."""

from __future__ import annotations

import torch

from ...benchmark.core.device_names import CPU, CUDA, INSTALL, MPS, TPU, parse_device
from ...benchmark.core.errors import BenchError
from ...benchmark.core.precisions import AUTO


def find_torch_device(name: str = AUTO) -> torch.device:
    """Return the device of a name; `auto`: the first GPU that CUDA sees, else the processor.

    Raises:
        BenchError: there is no such device, or torch can't use it.
    """
    asked = parse_device(name)
    if asked.kind == AUTO:
        return torch.device(CUDA if torch.cuda.is_available() else CPU)
    if asked.kind == TPU:
        raise BenchError("no device tpu in torch here. TPUs are used by JAX: --backend jax")
    if asked.kind == MPS and not torch.backends.mps.is_available():
        raise BenchError(f"no device mps here: torch {torch.__version__} sees no Apple GPU. Use --device cpu")
    if asked.kind == CUDA:
        _check_cuda(asked.number or 0, name)
    return torch.device(asked.kind if asked.number is None else str(asked))


def _check_cuda(index: int, name: str) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        raise BenchError(
            f"no device {name} here: torch {torch.__version__} {built} and sees no GPU. "
            f"Use --device cpu, or install {INSTALL['torch']}"
        )
    if index >= count:
        seen = ", ".join(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count))
        raise BenchError(f"no device {name} here: torch sees {seen}")
