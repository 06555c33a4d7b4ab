"""Face finders: a small protocol, and the finders known by name, imported when first used.

A finder combines a detector of faces (`mediapipe` or `retinaface`) with a predictor of 81 landmarks: Face Mesh, or
dlib's own with `+dlib81`, as in `retinaface+dlib81`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...benchmark.core.errors import BenchError, make_unknown_error
from ...benchmark.core.signals import defer_signals
from .boxes import compute_iou
from .models import DLIB81, RETINAFACE, find_local_file, short_hash

# Part of every face store's key: raise it whenever a change here or in a finder changes faces or crops.
FINDER_VERSION = 1

FACE_LOCATORS = {"mediapipe": ".mediapipe:BlazeFaceLocator", "retinaface": ".retinaface:RetinaFaceLocator"}
LANDMARK_MODELS = {"mesh": ".mediapipe:FaceMesh", "dlib81": ".dlib81:Dlib81"}
MOST_FACES = 4
SAME_FACE_IOU = 0.3


class Candidate(NamedTuple):
    """A possible face: score, box (4,) x0, y0, x1, y1, eyes (2, 2) with the image's left one first; frame pixels."""

    score: float
    box: np.ndarray
    eyes: np.ndarray


class Detection(NamedTuple):
    """A face in a frame: box (4,) float32 x0, y0, x1, y1 and landmarks (81, 2) float32 in pixels; score in [0, 1]."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class FaceFinder(Protocol):
    """Finds faces in a single frame, (H, W, 3) uint8 RGB, independently of other frames."""

    def find(self, frame: np.ndarray, thorough: bool = False) -> list[Detection]:
        """Return the faces, most certain first; `thorough` is slower and finds all faces in a crowd."""


class FaceLocator(Protocol):
    """Looks for faces in a frame, in one or more ways, the fastest first."""

    def locate(self, frame: np.ndarray) -> Iterator[list[Candidate]]: ...


class LandmarkModel(Protocol):
    """Places points (81, 2) float32 on a candidate; None if there is no face."""

    def predict(self, frame: np.ndarray, candidate: Candidate) -> np.ndarray | None: ...


class Finder:
    """Combines a detector of faces with a predictor of landmarks."""

    def __init__(self, face_locator: FaceLocator, landmark_model: LandmarkModel):
        self.face_locator = face_locator
        self.landmark_model = landmark_model

    def find(self, frame: np.ndarray, thorough: bool = False) -> list[Detection]:
        """Return the first successful look's faces, at most 4; `thorough`: the faces of all looks together."""
        looks = self.face_locator.locate(frame)
        if thorough:
            return self._add_landmarks(frame, merge_overlapping([c for look in looks for c in look]))
        for candidates in looks:
            if found := self._add_landmarks(frame, candidates[:MOST_FACES]):
                return found
        return []

    def _add_landmarks(self, frame: np.ndarray, candidates: list[Candidate]) -> list[Detection]:
        placed = [(c, self.landmark_model.predict(frame, c)) for c in candidates]
        return [Detection(c.box.astype(np.float32), points, c.score) for c, points in placed if points is not None]


def resolve(name: str) -> str:
    """Return a finder's full name, as used in keys: with `auto` resolved and the hash of the user's dlib file.

    `auto` is `retinaface` if its weights are available, else `mediapipe`; with `+dlib81` if that file is available.

    Raises:
        BenchError: there is no such finder, or its dlib file is missing or has another hash.
    """
    looker, plus, given = name.partition("+")
    if name == "auto":
        looker = "retinaface" if find_local_file(RETINAFACE) else "mediapipe"
        given = "dlib81" if find_local_file(DLIB81) else ""
    placer, _, hashed = given.partition("@")
    if looker not in FACE_LOCATORS or placer not in ("", "dlib81") or (plus and not placer):
        known = ["auto", *FACE_LOCATORS, *(f"{looker}+dlib81" for looker in FACE_LOCATORS)]
        raise make_unknown_error(f"no face finder named '{name}'", name, known)
    if not placer:
        return looker
    found = short_hash(DLIB81)
    if hashed not in ("", found):
        raise BenchError(
            f"{name} was made with another {DLIB81.name}: the one here is {found}. Use --set faces.finder=auto"
        )
    return f"{looker}+{placer}@{found}"


def load_finder(name: str) -> FaceFinder:
    """Load a finder's code and model files.

    Raises:
        BenchError: there is no such finder, or its packages or model files aren't available.
    """
    looker, _, placer = resolve(name).partition("+")
    look, place = (
        _import_attribute(FACE_LOCATORS[looker]),
        _import_attribute(LANDMARK_MODELS[placer.partition("@")[0] or "mesh"]),
    )
    return Finder(look(), place(twice=looker != "mediapipe"))


def _import_attribute(target: str) -> Any:
    module, _, attribute = target.partition(":")
    with defer_signals():
        return getattr(import_module(module, __package__), attribute)


def merge_overlapping(candidates: list[Candidate]) -> list[Candidate]:
    """Merge overlapping candidates into their score-weighted mean, starting from the most certain; sorted by score."""
    merged = []
    left = sorted(candidates, key=lambda c: -c.score)
    while left:
        shared = compute_iou(left[0].box, np.array([c.box for c in left]))
        same = [c for c, share in zip(left, shared, strict=True) if share > SAME_FACE_IOU or c is left[0]]
        box, eyes = (np.average([c[i] for c in same], axis=0, weights=[c.score for c in same]) for i in (1, 2))
        left = [c for c, share in zip(left, shared, strict=True) if share <= SAME_FACE_IOU and c is not left[0]]
        merged.append(Candidate(same[0].score, box, eyes))
    return merged
