"""Detectors: one folder a family. `create` makes one by its registered name, or by `file.py:Class`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..benchmark.core.contracts import Cropper, Scores
from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import Entry, detectors
from .common.options import check_options, list_options

EXTRAS = {"torch": "torch", "torchvision": "torch", "timm": "torch", "jax": "jax", "flax": "jax", "optax": "jax"}


def create(name: str, backend: str = "", **options: Any) -> Any:
    """Make a detector.

    Args:
        name: a registered name or alias, `timm:NAME`, `file.py:Class` or `package.module:Class`.
        backend: `torch` or `jax`; by default torch where there is a choice.
        options: the detector's own, such as `backbone="resnet34"`.

    Raises:
        BenchError: unknown name, backend or option, a value of another type than its option's annotation, or a package
            that isn't installed.
    """
    return create_from(detectors.find(name, backend), **options)


def create_from(entry: Entry, seed: int | None = None, **options: Any) -> Any:
    """Make the detector of a registry entry; its card's `options` are the defaults. See `create`.

    With `seed`, random initial weights, and dropout from there on, are the same every time.
    """
    try:
        cls = entry.load()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise BenchError(f'{entry.name} needs {package}: pip install "crossfake[{EXTRAS[package]}]"') from None
    merged = {**entry.card.get("options", {}), **options}
    check_options(entry.name, merged, list_options(cls))
    try:
        inspect.signature(cls).bind(**merged)
    except TypeError as error:
        raise BenchError(f"{entry.name}: {error}. Give it as --set options.NAME=VALUE") from None
    if seed is not None and entry.backend != "jax" and "torch" in sys.modules:  # A user's own class needs no backend.
        import torch

        torch.manual_seed(seed)
    made = _instantiate(entry.name, cls, merged)
    if seed is not None and hasattr(made, "seed"):  # JAX has no random state of the process: its detectors draw later.
        made.seed = seed
    if not isinstance(made, Scores):
        raise BenchError(f"{entry.target} has no method score(frames), which every detector needs")
    return made


def _instantiate(name: str, cls: Any, options: Mapping[str, Any]) -> Any:
    """Make a detector, and tell in a line if what it passes on of a mapping, such as backbone_args, isn't taken."""
    try:
        return cls(**options)
    except TypeError as error:
        found = re.search(r"(?:unexpected|multiple values for)(?: keyword)? argument '(\w+)'", str(error))
        nameless = "keywords must be strings" in str(error)
        for option, value in options.items():
            for key in value if isinstance(value, Mapping) else ():
                if (found and key == found[1]) or (nameless and not isinstance(key, str)):
                    raise BenchError(
                        f"{name} takes no {option} '{key}': {error}. Leave it out of options.{option}"
                    ) from None
        raise  # A mistake in the detector's own code.


def load_from(entry: Entry, checkpoint: Path, **options: Any) -> Any:
    """Make a detector with a checkpoint's weights, without fetching the ImageNet weights it may have started from.

    Raises:
        BenchError: see `create`; or the detector takes no checkpoint, or not this one.
    """
    if options.get("pretrained"):
        options["pretrained"] = False
    made = create_from(entry, **options)
    if not hasattr(made, "load"):
        raise BenchError(f"{entry.name} takes no checkpoint: it has no method load(path)")
    made.load(checkpoint)
    return made


def get_cropper(detector: Any, entry: Entry) -> Cropper:
    """Return what cuts a detector's crops: its own, or the square face box at the card's `input_size` (224)."""
    from .common.crops import BoxCrop

    if hasattr(detector, "cropper"):
        return detector.cropper()
    return BoxCrop(entry.card.get("input_size", 224))
