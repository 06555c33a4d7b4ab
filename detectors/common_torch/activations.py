"""Counts the outputs of a torch network's convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class ActivationCounter(TorchDispatchMode):
    """Adds up the output sizes of all operations whose FLOPs torch's own counter knows."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run an operation, and count its first output."""
        found = func(*args, **(kwargs or {}))
        if getattr(func, "overloadpacket", None) in _COUNTED:
            first = found[0] if isinstance(found, tuple) else found
            self.count += first.numel() if isinstance(first, Tensor) else 0
        return found


_COUNTED: Mapping[Callable[..., object], object] = flop_registry
