"""Detectors: one folder per family. `create` makes one from its registered name or from `file.py:Class`.

A detector's two ports take their options from one constructor, in their folder's `shared.py`; Meso4, the documented
example of a port, repeats its single option. Each port has its own card, since cards are read from the source; a test
compares them.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..benchmark.core.contracts import (
    CAPABILITIES,
    Cropper,
    CutsCrops,
    InspectsTrainingSet,
    LoadsWeights,
    Scores,
    Seeded,
    StartsTraining,
    StudiesTrainingSet,
    Trainable,
    make_contract_error,
)
from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import Entry, detectors
from .common.options import check_options, list_options


def create(name: str, backend: str = "", **options: object) -> Scores:
    """Make a detector.

    Args:
        name: a registered name or alias, `timm:NAME`, `file.py:Class` or `package.module:Class`.
        backend: `torch` or `jax`; by default torch if there is a choice.
        options: the detector's options, such as `backbone="resnet34"`.

    Raises:
        BenchError: unknown name, backend or option, a value that doesn't match its option's annotation, a package that
            isn't installed, or a class that lacks a required method.
    """
    return create_from(detectors.find(name, backend), None, **options)


def create_from(entry: Entry, seed: int | None = None, **options: object) -> Scores:
    """Make the detector of a registry entry; its card's `options` are the defaults. See `create`.

    With `seed`, random initial weights and later dropout are the same every time.
    """
    cls = entry.load()
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
    if seed is not None and isinstance(made, Seeded):  # JAX has no random state of the process: it draws later.
        made.seed = seed
    _rename_hook(made, entry.target)
    return _check_contract(made, entry)


def _check_contract(made: object, entry: Entry) -> Scores:
    """Reject a detector that can't score, is only half trainable, or lacks an ability that its card lists."""
    if not isinstance(made, Scores):
        raise make_contract_error(made, Scores, entry.target, "every detector")
    if isinstance(made, StartsTraining) and not isinstance(made, Trainable):
        raise make_contract_error(made, Trainable, entry.target, "training")
    for word in entry.capabilities if "can" in entry.card else ():
        if not isinstance(made, CAPABILITIES[word]):
            raise make_contract_error(made, CAPABILITIES[word], entry.target, f"the word '{word}' on its card")
    return made


def _rename_hook(made: object, target: str) -> None:
    """Rename the method `study` of an older detector to its new name."""
    if isinstance(made, StudiesTrainingSet) and not isinstance(made, InspectsTrainingSet):
        _warn_of_old_hook(target)
        renamed: Any = made
        renamed.inspect_training_set = made.study


@cache
def _warn_of_old_hook(target: str) -> None:
    print(
        f"warning: {target}: the method study(videos, frames) is called inspect_training_set(videos, frames) now. "
        "Rename it: the next version won't call the old name",
        file=sys.stderr,
    )


def _instantiate(name: str, cls: Callable[..., object], options: Mapping[str, object]) -> object:
    """Make a detector; report in one line which entry of a mapping that it passes on (backbone_args) isn't accepted."""
    try:
        return cls(**options)
    except TypeError as error:
        found = re.search(r"(?:unexpected|multiple values for)(?: keyword)? argument '(\w+)'", str(error))
        nameless = "keywords must be strings" in str(error)
        for option, value in options.items():
            for key in value if isinstance(value, Mapping) else ():
                if (found and key == found[1]) or (nameless and not isinstance(key, str)):
                    raise BenchError(
                        f"{name} doesn't accept {option} '{key}': {error}. Leave it out of options.{option}"
                    ) from None
        raise  # A mistake in the detector's own code.


def load_from(entry: Entry, checkpoint: Path, **options: object) -> Scores:
    """Make a detector with a checkpoint's weights, without fetching the ImageNet weights it may have started from.

    Raises:
        BenchError: see `create`; also if the detector can't load checkpoints, or not this one.
    """
    if options.get("pretrained") and not entry.card.get("frozen"):  # A frozen part may not be in the checkpoint.
        options["pretrained"] = False
    made = create_from(entry, None, **options)
    if not isinstance(made, LoadsWeights):
        raise make_contract_error(made, LoadsWeights, entry.name, "a checkpoint")
    made.load(checkpoint)
    return made


def get_cropper(detector: Scores, entry: Entry) -> Cropper:
    """Return the detector's own cropper, or one for the square face box at the card's `input_size` (224)."""
    from .common.crops import BoxCrop

    if isinstance(detector, CutsCrops):
        return detector.cropper()
    return BoxCrop(entry.card.get("input_size", 224))
