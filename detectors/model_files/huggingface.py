"""Image classifiers from Hugging Face transformers: `hf:FOLDER`, or `hf:ORGANISATION/MODEL`, fetched once.

Weights are read only from safetensors, and code next to them is never run (`trust_remote_code=False`).
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ...benchmark.core.errors import BenchError
from ...benchmark.core.fetching import check_online
from ...benchmark.core.keys import file_hash
from ...benchmark.core.readers import parse_json, read_text
from .inputs import FileModel, Inputs, find_fake_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREPROCESSOR = "preprocessor_config.json"


def open_model(where: str, inputs: Inputs) -> FileModel:
    """Open an image classifier, with its image processor's size and normalisation.

    Raises:
        BenchError: no such model, no safetensors, no image processor and no settings in its place, or its classes don't
            say which is fake.
    """
    folder = Path(where) if Path(where).exists() else _fetch(where)
    files = sorted(folder.glob("*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise BenchError(f"{folder} isn't an image classifier: expected config.json and model.safetensors in it")
    name = f"hf:{where if folder != Path(where) else folder.resolve().name}"
    network = _load(folder)
    named = network.model.config.id2label or {}
    labels = [str(label) for _, label in sorted(named.items())]
    fake = inputs.fake if inputs.fake is not None or len(labels) == 1 else find_fake_class(labels, name)
    told = inputs.over(*_read_processor(folder, inputs), fake)
    content = hashlib.sha256("".join(file_hash(f) for f in [*files, folder / "config.json"]).encode()).hexdigest()
    return FileModel(name, content, network, told)


class Classifier(nn.Module):
    """A transformers classifier that returns only its logits."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits: Tensor = self.model(pixel_values=x).logits
        return logits


def _load(folder: Path) -> Classifier:
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model = AutoModelForImageClassification.from_pretrained(  # a local folder, no code # nosec B615
            str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # One of a dozen types.
        reason = " ".join(str(error).split())[:200]
        raise BenchError(f"{folder} can't be opened as an image classifier: {reason}") from None
    return Classifier(model)


def _read_processor(folder: Path, inputs: Inputs) -> tuple[int | None, list[float] | None, list[float] | None]:
    """Return the image processor's size, mean and std."""
    path = folder / PREPROCESSOR
    if not path.is_file():
        if inputs.size is None or inputs.mean is None or inputs.std is None:
            raise BenchError(
                f"{folder} has no {PREPROCESSOR}. Describe the model's input: --size S --mean R,G,B --std R,G,B"
            )
        return None, None, None
    said = parse_json(read_text(path), dict, str(path))
    size = _read_size(said.get("crop_size") or said.get("size"))
    if said.get("do_normalize") is False:
        return size, [0.0] * 3, [1.0] * 3
    return size, said.get("image_mean"), said.get("image_std")


def _read_size(said: object) -> int | None:
    if isinstance(said, dict):
        said = said.get("height") or said.get("shortest_edge")
    return said if isinstance(said, int) else None


def _fetch(name: str) -> Path:
    """Return the folder of a model from the Hub, downloaded if needed.

    Raises:
        BenchError: it isn't available.
    """
    from huggingface_hub import hf_hub_url, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    # Only descriptions of a model and its tensors, nothing that could be run. No revision is pinned: the user asked
    # for the newest, and its results' key contains the hash of what was fetched.
    fetch = partial(snapshot_download, name, allow_patterns=["*.json", "*.safetensors"])
    try:
        try:
            return Path(fetch(local_files_only=True))
        except LocalEntryNotFoundError:
            check_online(hf_hub_url(name, "config.json"))
            return Path(fetch())
    except Exception as error:  # Network, name and permission errors: a dozen types.
        reason = " ".join(str(error).split())[:160]
        raise BenchError(
            f"hf:{name} is not a local folder and can't be fetched from the Hub: {reason}. "
            f"Put config.json, {PREPROCESSOR} and model.safetensors of https://huggingface.co/{name} into a folder, "
            "and give hf:FOLDER"
        ) from None
