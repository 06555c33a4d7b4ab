"""Values of `--device`: one vocabulary for both backends, and what to install if a device can't be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .errors import BenchError, did_you_mean
from .precisions import AUTO

CPU, CUDA, MPS, TPU = "cpu", "cuda", "mps", "tpu"
DEVICES = (AUTO, CPU, CUDA, MPS, TPU)
ALSO_CALLED: Mapping[str, str] = {"gpu": CUDA, "nvidia": CUDA, "metal": MPS, "apple": MPS, "processor": CPU}
"""Common other names for some of them: not accepted, but answered with a suggestion."""
INSTALL: Mapping[str, str] = {
    "torch": "a build of torch with CUDA: https://pytorch.org/get-started/locally",
    "jax": 'JAX for CUDA: pip install "crossfake[jax-cuda]"',
}


class DeviceName(NamedTuple):
    """A kind of device, and which one of several; `cuda` alone is the first for torch, and all of them for JAX."""

    kind: str = AUTO
    number: int | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number}"


def parse_device(text: str) -> DeviceName:
    """Read `auto` (or nothing), `cpu`, `cuda`, `cuda:1`, `mps` or `tpu`.

    Raises:
        BenchError: there is no such device anywhere.
    """
    kind, colon, number = text.partition(":")
    if (kind or AUTO) not in DEVICES:
        advice = f" Did you mean '{ALSO_CALLED[kind]}'?" if kind in ALSO_CALLED else did_you_mean(kind, DEVICES)
        raise BenchError(f"no device named '{text[:60]}'.{advice} Known: {', '.join(DEVICES)}, and cuda:N")
    if not colon:
        return DeviceName(kind or AUTO)
    if kind != CUDA or not (number.isdecimal() and len(number) < 5):
        raise BenchError(f"--device {text[:60]}: only cuda takes a number, from 0 on, such as cuda:1")
    return DeviceName(kind, int(number))
