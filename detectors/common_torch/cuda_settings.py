"""Chooses temporarily how CUDA multiplies: torch has one setting for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def choose_tf32(wanted: bool) -> Iterator[None]:
    """Switch TF32 for float32 products on CUDA on or off, and restore it afterwards; has no effect elsewhere."""
    if not torch.cuda.is_available():
        yield
        return
    parts: tuple[Any, Any] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [part.allow_tf32 for part in parts]
    try:
        for part in parts:
            part.allow_tf32 = wanted
        yield
    finally:
        for part, value in zip(parts, before, strict=True):
            part.allow_tf32 = value
