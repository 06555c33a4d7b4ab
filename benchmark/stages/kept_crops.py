"""Crops stored next to a face store (`faces.crops: keep`): cut once for every training and scoring that needs them.

A folder has one cropper's crops of one store's faces, in a safetensors file per video: the crops and their checksums.
Folders are named by store, cropper and code, files by the faces, so that wrong crops are never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import pickletools
import sys
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from ...datasets.faces.quality import find_quality_flaw
from ..core.contracts import Cropper, FaceReader
from ..core.display import say_once
from ..core.keys import file_hash, hash_key
from ..core.progress import Reporter
from ..core.readers import shorten
from ..core.registry import ROOT
from ..core.settings import FaceSettings
from ..core.storage import WriteError, hold_lock, write_atomically
from ..core.types import Video, name_person
from ..core.workers import WorkerPool

CROPS, CHECKSUMS = "crops", "crc32"


@runtime_checkable
class TakesKeptCrops(Protocol):
    """A sampler that, unless `uses_face`, uses nothing of a face but what `TrainSample.cut` returns for its `crop`.

    If crops are kept, its faces aren't decoded.
    """

    crop: Cropper
    uses_face: bool


@dataclass(frozen=True)
class KeptCrops:
    """Reads and writes the crops of a store's faces in `folder`."""

    store: FaceReader
    cropper: Cropper
    folder: Path

    def __call__(self, video: str) -> None:
        """Cut a video's crops and store them, except if training may reject a face because of its picture.

        Raises:
            WriteError: they can't be written, as on a full disk.
        """
        from safetensors.numpy import save_file

        faces = self.store.faces(video)
        if any(map(find_quality_flaw, faces)):
            return
        crops = np.stack([self.cropper(face) for face in faces])
        checksums = json.dumps([zlib.crc32(crop) for crop in crops])
        with write_atomically(self._locate(video)) as temporary:
            save_file({CROPS: crops}, temporary, {CHECKSUMS: checksums})

    def read(self, video: str, places: Sequence[int] | None = None) -> np.ndarray | None:
        """Return a video's crops (n, S, S, 3), or those of some places; None if they aren't kept, or are damaged."""
        from safetensors import SafetensorError

        path = self._locate(video)
        try:
            return _read_crops(path, len(self.store.frames(video)), places)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            say_once(f"{path} is damaged ({shorten(error)}): its crops are cut again")
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None

    def list_lacking(self, videos: Iterable[str]) -> list[str]:
        """Return the videos with faces whose crops aren't kept."""
        there = set(os.listdir(self.folder)) if self.folder.is_dir() else set()
        return [v for v in videos if self.store.frames(v) and self._locate(v).name not in there]

    def _locate(self, video: str) -> Path:
        return self.folder / f"{self.store.hash_faces(video)}.safetensors"


def _read_crops(path: Path, count: int, places: Sequence[int] | None) -> np.ndarray:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        checksums, kept = json.loads(file.metadata()[CHECKSUMS]), file.get_slice(CROPS)
        if not count == len(checksums) == kept.get_shape()[0]:
            raise ValueError(f"it isn't of {count} faces")
        wanted = range(count) if places is None else places
        crops = kept[:] if places is None else np.stack([kept[place] for place in places])
    if [zlib.crc32(crop) for crop in crops] != [checksums[place] for place in wanted]:
        raise ValueError("it isn't what was written")
    return crops


def keep_crops(
    faces: FaceSettings,
    store: FaceReader,
    cropper: Cropper,
    videos: Iterable[Video],
    reporter: Reporter,
    pool: WorkerPool,
    plugin: str = "",
) -> KeptCrops | None:
    """Store missing crops of some videos and return their reader, if `faces` says so.

    Crops that can't be stored, for example on a full disk, are reported and cut when needed; None: nothing is stored.
    """
    if faces.crops != "keep":
        return None
    identity = hash_cropper(cropper)
    if identity is None:
        reporter.say("crops aren't kept: their code is in a script or notebook. Move it to a file or package")
        return None
    kept = KeptCrops(store, cropper, store.folder.with_name(f"{store.folder.name}.crops-{identity}"))
    people = [(video.id, store.count_people(video.id) if faces.people != "main" else 1) for video in videos]
    asked = [name_person(video, number + 1) for video, count in people for number in range(count)]
    with suppress(OSError):  # bench cache says when they were last used.
        os.utime(kept.folder)
    if not kept.list_lacking(asked):
        return kept
    try:
        with hold_lock(kept.folder), reporter.task(f"keeping crops in {kept.folder}") as tick:
            lacking = kept.list_lacking(asked)  # Another command may have made them meanwhile.
            for done, _ in enumerate(pool.map(kept, lacking, plugin, ordered=False), 1):
                tick(done, len(lacking))
    except WriteError as error:
        reporter.say(f"crops aren't kept any longer: {error}")
    return kept


def hash_cropper(cropper: Cropper) -> str | None:
    """Hash what a cropper's crops depend on besides the face: its parameters, its code, OpenCV.

    None of a cropper whose code has no file, or that can't be sent to another process.
    """
    try:
        packed = pickle.dumps(cropper, 2)  # Its protocol names modules with a separate operation.
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    modules = {str(name).partition(" ")[0] for kind, name, _ in pickletools.genops(packed) if kind.name == "GLOBAL"}
    if "__main__" in modules:
        return None
    files = {name: getattr(sys.modules[name], "__file__", None) for name in sorted(modules)}
    code = [[name, file_hash(Path(file))] for name, file in files.items() if file and not _is_own(name)]
    return hash_key([hashlib.sha256(packed).hexdigest(), code, _hash_own_code(), cv2.__version__, np.__version__])


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


@cache
def _hash_own_code() -> str:
    """Hash the code that may produce a crop: crops from another version aren't read."""
    found = hashlib.sha256()
    faces = ROOT / "datasets" / "faces"
    for path in (*sorted((ROOT / "detectors").rglob("*.py")), faces / "encodings.py", faces / "face_store.py"):
        found.update(path.read_bytes())
    return found.hexdigest()
