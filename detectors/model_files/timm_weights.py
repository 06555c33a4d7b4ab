"""A timm model with the user's own weights: `timm:NAME@FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ...benchmark.core.errors import require_existing
from ...benchmark.core.keys import file_hash
from ..common.weights import load_weights
from ..common_torch.timm_interface import as_timm_model
from ..common_torch.timm_models import create_timm_model
from .inputs import FileModel, Inputs


def open_model(where: str, inputs: Inputs) -> FileModel:
    """Make the model with one or two outputs, as in its weights; size and normalisation are timm's.

    Raises:
        BenchError: timm has no such model, there is no such file, or its weights belong to another model.
    """
    name, _, file = where.partition("@")
    path = require_existing(Path(file), "weights")
    network = _load(name, path)
    said = as_timm_model(network).pretrained_cfg
    told = inputs.over(said.get("input_size", (3, 224))[-1], said.get("mean"), said.get("std"), None)
    return FileModel(f"timm:{name}@{path.stem}", file_hash(path), network, told)


def _load(name: str, path: Path) -> nn.Module:
    made = [create_timm_model(name, False, "NAME", num_classes=2)]
    head = f"{as_timm_model(made[0]).pretrained_cfg['classifier']}.weight"

    def follow(shapes: Mapping[str, tuple[int, ...]]) -> None:
        if shapes.get(head, ())[:1] == (1,):
            made[0] = create_timm_model(name, False, "NAME", num_classes=1)

    arrays = load_weights(path, "torch", lambda: made[0].state_dict(), follow)
    made[0].load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    return made[0].eval()
