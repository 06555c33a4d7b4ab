"""A copy of a network for scoring: batch norms folded into preceding convolutions, weights in the fastest layout.

Which convolution precedes which batch norm is found by running an image through the network: names and order don't show
it, and `torch.fx` can't trace timm's padding.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle


@torch.no_grad()
def fold_network(
    network: nn.Module,
    run: Callable[[nn.Module], object],
    layout: torch.memory_format,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Return a copy for scoring that shares all unchanged parts with `network`.

    Args:
        network: in evaluation mode.
        run: sends an image through a network; only layers that it reaches are changed.
        layout: memory layout of the convolutions' weights.
        dtype: number type of the weights of convolutions and linear layers; by default unchanged.
    """
    made: nn.Module = deepcopy(network, {id(t): t for t in chain(network.parameters(), network.buffers())})
    seen = Passage(made)
    with seen:
        run(made)
    seen.close()
    for convolution, norm, remains in seen.list_pairs():
        _fold(convolution, norm)
        _replace(made, norm, remains)
    for layer in seen.layers:
        weight = layer.weight.to(dtype or layer.weight.dtype)
        layer.weight = _freeze(weight.contiguous(memory_format=layout) if weight.ndim == 4 else weight)
    return made


def choose_layout(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the fastest memory layout for maps; benchmarks/test_runtimes.py measures it.

    On a processor, networks with squeeze-and-excitation (EfficientNets) are 1.2 times as fast with contiguous maps;
    ResNets and Xception are 1.1 to 1.4 times as fast with channels-last ones, as is everything on GPUs.
    """
    excited = any("SqueezeExcite" in type(module).__name__ for module in network.modules())
    return torch.contiguous_format if excited and device.type == "cpu" else torch.channels_last


def choose_training_layout(device: torch.device) -> torch.memory_format:
    """Return how maps are laid out in training: channels-last on CUDA, contiguous elsewhere.

    On a processor, batch norm sums channels-last maps in single precision, contiguous ones in double: gradients would
    be off by up to 1 %. CUDA sums in the same precision either way, and convolves channels-last maps faster.
    """
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def name_layout(layout: torch.memory_format) -> str:
    """Return a layout's name in results."""
    return "channels-last" if layout == torch.channels_last else "contiguous"


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = _freeze(weight), _freeze(bias)


def _freeze(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for module in network.modules():
        for name, child in module.named_children():
            if child is old:
                setattr(module, name, new)


class Passage(TorchDispatchMode):
    """Records an image's way through a network: how often each tensor is used, and which layers made and used it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.layers: list[nn.Conv2d | nn.Linear] = []  # In the order of their first use.
        self._made: dict[int, tuple[nn.Conv2d, Tensor]] = {}
        self._weights: dict[int, object] = {}
        self._taken: list[tuple[nn.BatchNorm2d, Tensor]] = []
        self._uses: Counter[int] = Counter()
        self._held: list[object] = []  # All results, so that no id is reused.
        self._runs: Counter[int] = Counter()
        self._hooks = [hook for module in network.modules() for hook in self._watch(module)]

    def _watch(self, module: nn.Module) -> list[RemovableHandle]:
        if isinstance(module, nn.Conv2d | nn.Linear):
            return [module.register_forward_hook(self._note_layer)]
        if _name_remains(module) is not None:
            return [module.register_forward_pre_hook(self._note_norm)]
        return []

    def _note_layer(self, module: nn.Conv2d | nn.Linear, given: object, result: Tensor) -> None:
        self._runs[id(module)] += 1
        if "weight" in module._parameters and self._runs[id(module)] == 1:  # It isn't computed from others.
            self.layers.append(module)
        if isinstance(module, nn.Conv2d):
            self._made[id(result)] = module, result

    def _note_norm(self, module: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
        self._runs[id(module)] += 1
        self._taken.append((module, given[0]))

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run an operation, and count its inputs."""
        result = func(*args, **(kwargs or {}))
        self._held.append(result)
        self._uses.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if func is torch.ops.aten.convolution.default:
            self._weights[id(result)] = args[1]
        return result

    def list_pairs(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module]]:
        """Return convolutions whose result only goes to one batch norm, that norm, and what replaces it."""
        pairs = []
        for norm, tensor in self._taken:
            convolution, _ = self._made.get(id(tensor), (None, None))
            remains = _name_remains(norm)
            if (
                convolution is not None
                and remains is not None
                and "weight" in convolution._parameters
                and self._weights.get(id(tensor)) is convolution.weight
                and self._uses[id(tensor)] == 1
                and self._runs[id(convolution)] == self._runs[id(norm)] == 1
            ):
                pairs.append((convolution, norm, remains))
        return pairs

    def close(self) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()


def _name_remains(module: nn.Module) -> nn.Module | None:
    """Return what replaces a folded batch norm; None if it can't be folded or isn't one."""
    if getattr(module, "running_mean", None) is None:
        return None
    if type(module) is nn.BatchNorm2d:
        return nn.Identity()
    timm = sys.modules.get("timm.layers")
    if timm is not None and type(module) is timm.BatchNormAct2d:
        return nn.Sequential(module.get_submodule("drop"), module.get_submodule("act"))
    return None
