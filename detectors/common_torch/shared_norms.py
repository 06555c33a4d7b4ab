"""Batch norm over the images of several processes at once, whatever the class of the layer, on any device.

torch's own SyncBatchNorm refuses a processor and replaces layers, of which timm's have an activation besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

AddUp = Callable[[Tensor], Tensor]
"""Returns the sum of all processes' tensors of one shape, where this one was."""


class SharedNorms(TorchFunctionMode):
    """While active, batch norms in training see the images of all processes."""

    def __init__(self, add_up: AddUp):
        super().__init__()
        self.add_up = add_up

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call a function of torch, or ours in batch norm's place."""
        ours: Callable[..., object] = self._normalise
        return (ours if func is F.batch_norm else func)(*args, **(kwargs or {}))

    def _normalise(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        count, mean, var = _add_up_moments(x.detach(), self.add_up)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
        normalised: Tensor = _Normalise.apply(x, weight, bias, mean, var, count, eps, self.add_up)
        return normalised


def _add_up_moments(x: Tensor, add_up: AddUp) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of values (1,), and each channel's mean and biased variance (C,), over all processes."""
    var, mean = torch.var_mean(x if x.dtype == torch.float64 else x.float(), _list_others(x), correction=0)
    own = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float64)
    mean, var = mean.double(), var.double()
    sums = add_up(torch.cat([own, own * mean, own * (var + mean.square())]))
    count, first, second = sums.split([1, len(mean), len(mean)])
    mean = first / count
    return count, mean, second / count - mean.square()


class _Context(Protocol):
    """What torch keeps of a forward pass for the backward pass, and what we add."""

    saved_tensors: tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]
    add_up: AddUp
    has_bias: bool

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _Normalise(torch.autograd.Function):
    """(x - mean) / deviation * weight + bias, of which mean and deviation depend on all processes' x."""

    @staticmethod
    def forward(
        ctx: _Context,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
        add_up: AddUp,
    ) -> Tensor:
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        ctx.save_for_backward(x, weight, mean.to(dtype), (var + eps).rsqrt().to(dtype), count.to(dtype))
        ctx.add_up, ctx.has_bias = add_up, bias is not None
        return F.batch_norm(x, mean.to(dtype), var.to(dtype), weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: _Context, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        slope, others = slopes[0].to(mean.dtype), _list_others(x)
        shape = [1, -1, *[1] * (x.ndim - 2)]
        centred = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        own = torch.cat([slope.sum(others), (slope * centred).sum(others)])
        first, second = (ctx.add_up(own.clone()) / count).chunk(2)
        back = (slope - first.view(shape) - centred * second.view(shape)) * scale.view(shape)
        back = back if weight is None else back * weight.view(shape)
        bias_slope, weight_slope = own.chunk(2)  # This process's part, as of all other weights.
        return (
            back.to(x.dtype),
            None if weight is None else weight_slope.to(weight.dtype),
            bias_slope if ctx.has_bias else None,
            *[None] * 5,
        )


def _list_others(x: Tensor) -> list[int]:
    """Return the dimensions other than the channels'."""
    return [d for d in range(x.ndim) if d != 1]
