"""Which JAX devices a name means here, and what JAX sees if there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import jax

from ...benchmark.core.device_names import CPU, CUDA, INSTALL, MPS, TPU, parse_device
from ...benchmark.core.errors import BenchError
from ...benchmark.core.precisions import AUTO


def find_jax_devices(name: str = AUTO) -> list[jax.Device]:
    """Return the devices of this machine that a name means: all of a kind, or with a number one; `auto`: JAX's own.

    Raises:
        BenchError: there is no such device, or JAX can't use it.
    """
    asked = parse_device(name)
    if asked.kind == AUTO:
        return jax.local_devices()
    found = _list_devices(asked.kind)
    if not found:
        raise BenchError(f"no device {name} here: jax {jax.__version__} sees {_describe_seen()}. {_advise(asked.kind)}")
    if asked.number is None:
        return found
    if asked.number >= len(found):
        seen = ", ".join(f"{asked.kind}:{i} ({one.device_kind})" for i, one in enumerate(found))
        raise BenchError(f"no device {name} here: jax sees {seen}")
    return [found[asked.number]]


@contextmanager
def multiply_in(precision: str, platform: str) -> Iterator[None]:
    """Set how exactly accelerators multiply float32: JAX's default is TF32 on GPUs and bf16 on TPUs.

    On a processor nothing changes; neither does `bf16`, where the numbers that are multiplied have that type already.
    """
    exact = {"fp32": "float32", "tf32": "tensorfloat32"}.get(precision)
    with jax.default_matmul_precision(exact) if exact and platform != CPU else nullcontext():
        yield


def _list_devices(kind: str) -> list[jax.Device]:
    if kind == MPS:
        return []
    try:
        return jax.local_devices(backend=kind)
    except RuntimeError:  # What JAX says of a platform that it doesn't have.
        return []


def _describe_seen() -> str:
    kinds: Sequence[str] = [one.platform for one in jax.local_devices()]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _advise(kind: str) -> str:
    if kind == MPS:
        return "Apple's GPUs are used by torch: --backend torch"
    extra = {CUDA: INSTALL["jax"], TPU: 'JAX for TPUs: pip install "crossfake[jax-tpu]"'}
    return f"Use --device cpu, or install {extra[kind]}" if kind in extra else "Leave out --device"
