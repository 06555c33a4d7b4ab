"""The part of timm's models that detectors use, and access to a network's parts by their type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar

from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)


class Config(TypedDict, total=False):
    """What timm says about a model's weights."""

    classifier: str | tuple[str, ...]  # Names of the last layers.
    num_classes: int
    input_size: tuple[int, int, int]  # (C, H, W)
    fixed_input_size: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    state_dict: Mapping[str, Tensor]


class Stage(TypedDict):
    """What timm says about a map inside a model."""

    reduction: int  # How many times smaller than the image it is.


class TimmModel(Protocol):
    """What an image classifier of timm has besides what every `torch.nn.Module` has."""

    num_features: int
    pretrained_cfg: Config
    feature_info: Sequence[Stage]

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map (N, C, h, w), or a transformer's tokens (N, L, C)."""

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool what `forward_features` returns; classify the result unless `pre_logits`."""

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer; with 0 classes there is none."""


def as_timm_model(network: nn.Module) -> TimmModel:
    """Return a network that timm made, as what it is; this costs nothing, in a network's `forward` too."""
    made: Any = network
    return made


def get_part(network: nn.Module, path: str, kind: type[Part]) -> Part:
    """Return the part of a network at a dotted path.

    Raises:
        AttributeError: there is none.
        TypeError: it is of another kind.
    """
    found = network.get_submodule(path)
    if not isinstance(found, kind):
        raise TypeError(f"{type(network).__name__}.{path} is a {type(found).__name__}, expected a {kind.__name__}")
    return found
