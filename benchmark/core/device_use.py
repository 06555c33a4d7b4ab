"""The devices on which networks were computed, as recorded in results."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .records import Record


@runtime_checkable
class TellsLayout(Protocol):
    """A detector or training session that states the memory layout of its maps: `contiguous` or `channels-last`."""

    layout: str


class DeviceUse(Record):
    """A device and how it was used; unknown fields aren't set.

    `kind` is `cpu`, `cuda`, `tpu` ..., `count` how many share a batch. `driver` is NVIDIA's, `runtime` the backend with
    its version. `precision` is the one used, with `auto` resolved; `tf32` (CUDA only), whether float32 was multiplied
    in TF32; `threads` (processors only), how many. `batch` is the number of images at once.
    """

    kind: str = ""
    name: str = ""
    count: int = 1
    driver: str = ""
    runtime: str = ""
    precision: str = ""
    layout: str = ""
    tf32: bool | None = None
    threads: int | None = None
    batch: int | None = None

    def describe(self) -> str:
        """Say it in a line: `2 x NVIDIA H100, bf16, batches of 32 (16 each), driver 550.54.14, torch 2.9.0`."""
        share = f" ({-(-self.batch // self.count)} each)" if self.batch and self.count > 1 else ""
        parts = [
            (f"{self.count} x " if self.count > 1 else "") + self.name,
            f"{self.threads} threads" if self.threads else "",
            " ".join(filter(None, [self.precision, self.layout])),
            f"batches of {self.batch}{share}" if self.batch else "",
            f"driver {self.driver}" if self.driver else "",
            self.runtime,
        ]
        return ", ".join(filter(None, parts))
