"""Makes timm's models, or says why one isn't available."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from ...benchmark.core.errors import BenchError, did_you_mean

# Arguments of timm.create_model that name files or addresses: options also come from checkpoints' headers.
LOADS_FILES = {"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}


def create_timm_model(name: str, pretrained: bool, given_as: str, **arguments: Any) -> nn.Module:
    """Make a timm model.

    Args:
        name: timm's name, with or without the tag of its weights.
        pretrained: start from ImageNet weights, which timm downloads.
        given_as: the options that `arguments` come from, such as `arch_args`.
        arguments: arguments of `timm.create_model`.

    Raises:
        BenchError: an argument names a file; timm has no such model or doesn't accept the arguments; or its ImageNet
            weights aren't available.
    """
    if code := sorted(LOADS_FILES & arguments.keys()):
        raise BenchError(f"{given_as}: {code[0]} isn't accepted: it names a file, and timm would run code in it")
    if not timm.is_model(name):
        raise BenchError(f"timm {timm.__version__} has no model '{name}'.{did_you_mean(name, timm.list_models())}")
    try:
        return timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:  # Downloads fail with a dozen types, wrong arguments with three more.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        hint = "To start from random weights: --set options.pretrained=false" if pretrained else f"Check {given_as}"
        raise BenchError(f"timm's {name} can't be built: {reason}. {hint}") from error
