"""How CUDA computes, chosen for a while and put back: torch keeps it for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def choose_cuda_settings(*, tf32: bool, benchmark: bool) -> Iterator[None]:
    """Have CUDA multiply float32 in TF32 or not, and as before afterwards; elsewhere nothing happens.

    With `benchmark`, cuDNN tries its convolutions for each shape and takes the fastest: which one that is, and so the
    last digits, may change from one process to the next.
    """
    if not torch.cuda.is_available():
        yield
        return
    wanted = [(torch.backends.cuda.matmul, "allow_tf32", tf32), (torch.backends.cudnn, "allow_tf32", tf32)]
    wanted.append((torch.backends.cudnn, "benchmark", benchmark))
    before = [getattr(part, name) for part, name, _ in wanted]
    try:
        for part, name, value in wanted:
            setattr(part, name, value)
        yield
    finally:
        for (part, name, _), value in zip(wanted, before, strict=True):
            setattr(part, name, value)
