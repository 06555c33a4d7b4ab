"""Sharpness-aware minimisation (Foret et al. 2021; adaptive: Kwon et al. 2021) for any optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def perturb_weights(parameters: Iterable[Tensor], rho: float, adaptive: bool = False) -> Iterator[None]:
    """Move parameters that have gradients to the highest loss within `rho`, and back at the end.

    Use the gradients computed in between for the step. `adaptive` measures distance in units of each weight's size.
    """
    moved = [(p, p.detach().clone(), p.grad) for p in parameters if p.grad is not None]
    with torch.no_grad():
        slopes = [p.abs() * gradient if adaptive else gradient for p, _, gradient in moved]
        norm = torch.stack([slope.norm() for slope in slopes]).norm()
        for (p, _, _), slope in zip(moved, slopes, strict=True):
            p.add_((p.abs() * slope if adaptive else slope) * (rho / (norm + 1e-12)))
    try:
        yield
    finally:
        with torch.no_grad():
            for p, before, _ in moved:
                p.copy_(before)


@contextmanager
def override_batch_norms(module: nn.Module, **attributes: object) -> Iterator[None]:
    """Set attributes of all batch norms temporarily; `momentum=0` keeps the running statistics unchanged."""
    layers: list[nn.Module] = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [{name: getattr(m, name) for name in attributes} for m in layers]
    try:
        _set_attributes(layers, [attributes] * len(layers))
        yield
    finally:
        _set_attributes(layers, before)


def _set_attributes(layers: list[nn.Module], values: list[dict[str, object]]) -> None:
    for layer, attributes in zip(layers, values, strict=True):
        for name, value in attributes.items():
            setattr(layer, name, value)
