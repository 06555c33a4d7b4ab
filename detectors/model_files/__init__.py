"""Model files from any source: `onnx:FILE`, `hf:FOLDER_OR_ID`, `timm:NAME@FILE`. No code in them is run.

`open_model` returns a `ModelDetector` that knows its name and its file's hash. Options (`Inputs`) describe what the
file doesn't say about its input.
"""

from __future__ import annotations

from importlib import import_module

from ...benchmark.core.errors import BenchError, require_known
from .inputs import FileModel, Inputs

KINDS = {"onnx": "onnx", "hf": "huggingface", "timm": "timm_weights"}
"""Prefixes of names, and the modules that open them."""
PACKAGES = {"onnxruntime": "onnx", "transformers": "hf", "torch": "torch", "timm": "torch"}


def names_model_file(name: str) -> bool:
    """Return whether a name is `onnx:...`, `hf:...` or `timm:...@...` and not a detector's."""
    kind, colon, rest = name.partition(":")
    return bool(colon) and kind in KINDS and (kind != "timm" or "@" in rest)


def open_model(name: str, inputs: Inputs | None = None) -> FileModel:
    """Open a model and try it on random images, so that problems show before any video is read.

    Args:
        name: `onnx:FILE`, `hf:FOLDER`, `hf:ORGANISATION/MODEL` or `timm:NAME@FILE`.
        inputs: describes the model's inputs and outputs where the file doesn't, or is wrong.

    Raises:
        BenchError: there is no such file, it can't be opened, its output isn't one or two numbers per image, its
            classes don't say which is fake, or a package that it needs isn't installed.
    """
    kind, _, where = name.partition(":")
    require_known("kind of model", kind, KINDS)
    if not where.strip():
        raise BenchError(f"{name} names no file. Examples: onnx:model.onnx, hf:./my_model, timm:resnet50@w.safetensors")
    try:
        opened: FileModel = import_module(f"{__name__}.{KINDS[kind]}").open_model(where, inputs or Inputs())
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise BenchError(f'{name} needs {package}: pip install "crossfake[{PACKAGES[package]}]"') from None
    opened.try_out()
    return opened
