"""Scores pictures and videos that belong to no dataset: every face in a picture, every person in a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...datasets.faces.pictures import decode_whole
from ...datasets.faces.prepare import cut_faces, sample_frames
from ...datasets.faces.sampling import UNNAMED, VideoFile, is_utf8
from ...datasets.faces.tracking import group_faces_by_person
from ...datasets.spelling import MEDIA_SUFFIXES, PICTURE_SUFFIXES, get_suffix
from ...datasets.walk import Skipped, name_in_utf8, stands_for_bytes, walk_folders
from ..core.contracts import Cropper, Scores
from ..core.errors import BenchError
from ..core.readers.images import UnreadableImage, read_image_file
from ..core.settings import FaceSettings
from ..core.types import Face
from .out_of_memory import BatchScorer
from .verdict import Threshold

if TYPE_CHECKING:
    from ...datasets.faces.finder import FaceFinder

COLUMNS = ("file", "person", "frame", "score", "person_score", "x0", "y0", "x1", "y1", "status", "reason")


@dataclass(frozen=True)
class ScoredFace:
    """A face in a frame (0 for a picture): its box x0, y0, x1, y1 in frame pixels, and P(fake)."""

    frame: int
    box: tuple[float, ...]
    score: float


@dataclass(frozen=True)
class FileResult:
    """The result for a file: `ok`, `no_face` or `unreadable`, with the `reason`, and each person's faces.

    In a picture every face is a different person. In a video the main person, scored as in a benchmark, comes first.
    """

    file: str
    status: str
    reason: str = ""
    people: tuple[tuple[ScoredFace, ...], ...] = ()
    threshold: Threshold | None = None

    @property
    def verdicts(self) -> list[str]:
        """Each person's verdict: `real`, `fake` or `uncertain`; empty without a threshold."""
        return [self.threshold.judge([f.score for f in p]) if self.threshold else "" for p in self.people]

    @property
    def scores(self) -> list[float]:
        """Each person's score: the mean over their faces."""
        return [float(np.mean([face.score for face in person])) for person in self.people]

    def to_dict(self) -> dict[str, object]:
        """Return it as plain data; `score` is the main person's, None without a face."""
        people = [
            {
                "score": score,
                "verdict": verdict or None,
                "faces": [{"frame": f.frame, "box": list(f.box), "score": f.score} for f in person],
            }
            for score, verdict, person in zip(self.scores, self.verdicts, self.people, strict=True)
        ]
        main = {"score": self.scores[0], "verdict": self.verdicts[0] or None} if people else {"score": None}
        threshold = self.threshold._asdict() if self.threshold else None
        told = {"file": self.file, "status": self.status, "reason": self.reason, "threshold": threshold}
        return {**told, **main, "people": people}

    def list_person_rows(self) -> list[dict[str, object]]:
        """Return one row per person; if there is nobody, one row that says why."""
        note = self.reason or self.status
        rows = [
            {
                "file": self.file,
                "person": number,
                "score": score,
                "verdict": verdict,
                "faces": len(person),
                "note": note,
            }
            for number, (person, score, verdict) in enumerate(
                zip(self.people, self.scores, self.verdicts, strict=True), 1
            )
        ]
        return rows or [{"file": self.file, "person": None, "score": None, "verdict": "", "faces": 0, "note": note}]

    def list_face_rows(self) -> list[dict[str, object]]:
        """Return one row per face; if there is none, one row that says why. `score` is the face's."""
        rows = [
            [self.file, number, face.frame, face.score, score, *face.box, self.status, self.reason]
            for number, (person, score) in enumerate(zip(self.people, self.scores, strict=True), 1)
            for face in person
        ]
        none: list[object] = [self.file, *[None] * 8, self.status, self.reason]
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows or [none]]


@dataclass(frozen=True)
class FileScorer:
    """Scores files with one detector; examines `frames` frames of a video, as when preparing a dataset."""

    detector: Scores
    cropper: Cropper
    finder: FaceFinder
    settings: FaceSettings
    batch_size: int = 32
    threshold: Threshold | None = None

    def __call__(self, path: Path) -> FileResult:
        """Find and score the faces of a picture or video."""
        if not is_utf8(path) or stands_for_bytes(path):
            return FileResult(name_in_utf8(str(path)), "unreadable", UNNAMED)
        return self._score_picture(path) if is_picture(path) else self._score_video(path)

    @cached_property
    def _scorer(self) -> BatchScorer:
        """One for all files: the possible batch size is found only once."""
        return BatchScorer(self.detector)

    def _score_picture(self, path: Path) -> FileResult:
        try:
            picture = decode_whole(read_image_file(path))
        except UnreadableImage as error:
            return FileResult(str(path), "unreadable", f"the file can't be read as a picture: {error}")
        cuts, _ = cut_faces([(0, picture, *self.finder.find(picture, thorough=True))], self.settings.context, None)
        faces = sorted(cuts[0], key=_area, reverse=True)
        return self._score_people(path, [[face] for face in faces], "no face found")

    def _score_video(self, path: Path) -> FileResult:
        clip = VideoFile(path)
        cuts, _ = sample_frames(clip, self.settings.frames, lambda f: cut_faces(f, self.settings.context, self.finder))
        if not cuts:
            return FileResult(str(path), "unreadable", clip.describe_problem() or "no frame can be decoded")
        people = group_faces_by_person(cuts)
        return self._score_people(path, people, f"no face found in {len(cuts)} frames", clip.describe_problem())

    def _score_people(self, path: Path, people: list[list[Face]], none: str, trouble: str = "") -> FileResult:
        if not people:
            return FileResult(str(path), "no_face", f"{none}; {trouble}" if trouble else none)
        faces = [face for person in people for face in person]
        crops = (np.stack([self.cropper(f) for f in part]) for part in _split_batches(faces, self.batch_size))
        scores = iter(np.concatenate([self._scorer.score(batch) for batch in crops]).tolist())
        scored = tuple(
            tuple(ScoredFace(f.frame, tuple(round(v, 2) for v in f.frame_box), next(scores)) for f in person)
            for person in people
        )
        return FileResult(str(path), "ok", trouble, scored, self.threshold)


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.frame_box
    return (x1 - x0) * (y1 - y0)


def _split_batches(items: list[Face], size: int) -> Iterator[list[Face]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture, by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def list_files(paths: Iterable[Path], skipped: Skipped | None = None) -> dict[Path, str]:
    """Return the pictures and videos in files and folders, each with a unique name for output.

    Args:
        paths: files and folders; folders are searched like datasets.
        skipped: collects what is skipped in folders.

    Raises:
        BenchError: there is no such file or folder, or it is or contains neither pictures nor videos.
    """
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        for file, name in _expand_path(path, Skipped() if skipped is None else skipped).items():
            if file not in found:
                found[file] = next(n for n in chain([name], (f"{i}-{name}" for i in count(1))) if n not in taken)
                taken.add(found[file])
    return found


def _expand_path(path: Path, skipped: Skipped) -> dict[Path, str]:
    """Return the files under a path, each with its name inside it."""
    if path.is_dir():
        inside = [
            f"{folder}/{name}" if folder else name for folder, names in walk_folders(path, skipped) for name in names
        ]
        if not inside:
            told = "".join(f"; {line}" for line in skipped.describe())
            raise BenchError(f"no pictures or videos in {path}; looked for {', '.join(sorted(MEDIA_SUFFIXES))}{told}")
        return {path / name: name for name in sorted(inside, key=lambda name: name.split("/"))}
    if not path.is_file():
        raise BenchError(f"no file or folder {path}")
    if get_suffix(path.name) not in MEDIA_SUFFIXES:
        known = ", ".join(sorted(MEDIA_SUFFIXES))
        raise BenchError(f"{path} isn't named like a picture or video; known: {known}")
    return {path: path.name}
