"""What finds faces: a small protocol, and the finders known by name, imported when first used.

A finder is something that looks for faces, and something that places 81 points on each: `mediapipe` and `retinaface`
look, and Face Mesh places the points unless `+dlib81` asks for dlib's own predictor: `retinaface+dlib81`.
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

# Part of every face store's key: raise it whenever a change here or in a finder changes what is found or cut.
FINDER_VERSION = 1

FACE_LOCATORS = {"mediapipe": ".mediapipe:BlazeFaceLocator", "retinaface": ".retinaface:RetinaFaceLocator"}
LANDMARK_MODELS = {"mesh": ".mediapipe:FaceMesh", "dlib81": ".dlib81:Dlib81"}
MOST_FACES = 4
SAME_FACE_IOU = 0.3


class Candidate(NamedTuple):
    """Where a face may be: score, box (4,) x0, y0, x1, y1, eyes (2, 2), the picture's left one first; frame pixels."""

    score: float
    box: np.ndarray
    eyes: np.ndarray


class Detection(NamedTuple):
    """A face in a frame: box (4,) float32 x0, y0, x1, y1 and landmarks (81, 2) float32 in pixels; score in [0, 1]."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class FaceFinder(Protocol):
    """Finds faces in one frame, (H, W, 3) uint8 RGB, on its own: nothing is kept from frame to frame."""

    def find(self, frame: np.ndarray, thorough: bool = False) -> list[Detection]:
        """Return the faces, most certain first; `thorough` takes its time to find all of a crowd."""


class FaceLocator(Protocol):
    """Looks for faces in a frame, in one or more ways, the quickest first."""

    def locate(self, frame: np.ndarray) -> Iterator[list[Candidate]]: ...


class LandmarkModel(Protocol):
    """Places points (81, 2) float32 on a candidate; None where there is no face."""

    def predict(self, frame: np.ndarray, candidate: Candidate) -> np.ndarray | None: ...


class Finder:
    """The faces that a looker sees and a placer can place points on."""

    def __init__(self, face_locator: FaceLocator, landmark_model: LandmarkModel):
        self.face_locator = face_locator
        self.landmark_model = landmark_model

    def find(self, frame: np.ndarray, thorough: bool = False) -> list[Detection]:
        """Return what the first successful look shows, at most 4 faces; `thorough`: what all looks together show."""
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
    """Return a finder's full name, which is what keys hold: `auto` chosen, the hash of the user's dlib file added.

    `auto` is `retinaface` where its weights are available, else `mediapipe`; with `+dlib81` where that file is.

    Raises:
        BenchError: no finder is named so, or the dlib file that it needs isn't there, or not the one it was named for.
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
        BenchError: no finder is named so, or its packages or model files aren't available.
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
    """Melt candidates that overlap the surest one into their mean, weighted by score, and so on; surest first."""
    merged = []
    left = sorted(candidates, key=lambda c: -c.score)
    while left:
        shared = compute_iou(left[0].box, np.array([c.box for c in left]))
        same = [c for c, share in zip(left, shared, strict=True) if share > SAME_FACE_IOU or c is left[0]]
        box, eyes = (np.average([c[i] for c in same], axis=0, weights=[c.score for c in same]) for i in (1, 2))
        left = [c for c, share in zip(left, shared, strict=True) if share <= SAME_FACE_IOU and c is not left[0]]
        merged.append(Candidate(same[0].score, box, eyes))
    return merged
