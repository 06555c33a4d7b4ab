"""Makes timm's models, or says why one isn't available."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import timm
from torch import nn

from ...benchmark.core.errors import BenchError, did_you_mean
from ...benchmark.core.keys import SHA, file_hash
from ...benchmark.core.storage import expand_user
from .start_weights import find_start_weights, read_own_weights

# Arguments of timm.create_model that name files or addresses: options also come from checkpoints' headers.
LOADS_FILES = {"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}


# The weights that names without a tag have meant so far: timm may choose others some day.
_TAGGED = {
    "legacy_xception": "legacy_xception.tf_in1k",
    "resnet34": "resnet34.a1_in1k",
    "tf_efficientnet_b4": "tf_efficientnet_b4.ns_jft_in1k",
}


def create_timm_model(name: str, pretrained: bool | str, given_as: str, **arguments: object) -> nn.Module:
    """Make a timm model.

    Args:
        name: timm's name, with or without the tag of its weights.
        pretrained: start from the published weights that the name's tag means, or from those in a file.
        given_as: the options that `arguments` come from, such as `arch_args`.
        arguments: arguments of `timm.create_model`.

    Raises:
        BenchError: an argument names a file; timm has no such model or doesn't accept the arguments; its weights
            aren't available; the name says not which; or the file's are of another model.
    """
    if code := sorted(LOADS_FILES & arguments.keys()):
        raise BenchError(f"{given_as}: {code[0]} isn't accepted: it names a file, and timm would run code in it")
    if not timm.is_model(name):
        raise BenchError(f"timm {timm.__version__} has no model '{name}'.{did_you_mean(name, timm.list_models())}")
    started_from, start = _choose_start(name, pretrained, arguments) if pretrained else ("", None)
    make: Callable[..., nn.Module] = timm.create_model  # Most of its arguments are the model's own.
    try:
        made = make(name, pretrained=bool(pretrained), pretrained_cfg_overlay=start, **arguments)
    except Exception as error:  # Wrong arguments raise three types, weights that don't fit a fourth.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        hint = "To start from random weights: --set options.pretrained=false" if pretrained else f"Check {given_as}"
        raise BenchError(f"timm's {name} can't be built: {reason}. {hint}") from error
    if started_from:
        made.started_from = started_from  # type: ignore[assignment]  # See `TellsStart`.
    for config in (getattr(made, "pretrained_cfg", {}), getattr(made, "default_cfg", {})):
        config.pop("state_dict", None)  # A second copy of all weights.
    return made


def _choose_start(name: str, pretrained: bool | str, arguments: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return which weights are meant, and what tells timm where they are: a checked file, or what the user's holds."""
    if isinstance(pretrained, str):
        if pretrained.startswith(SHA):  # In a checkpoint's header, which has no paths.
            raise BenchError(f"its frozen part was in a file ({pretrained[:19]}...). Give that: --pretrained FILE")
        own = expand_user(pretrained)
        held = read_own_weights(name, own, arguments)
        return f"{SHA}{file_hash(own)}", {"state_dict": held}
    tagged = _TAGGED.get(name, name)
    path = find_start_weights(tagged)
    return f"{tagged} {SHA}{file_hash(path)}", {"file": str(path)}
