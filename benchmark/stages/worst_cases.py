"""The videos that a detector is most wrong about: fakes that score low, reals that score high."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..core.contracts import FaceReader, LocatesArtifacts, Scores
from ..core.scorecard import Polygon
from ..core.types import FAKE, REAL, name_person
from ..stats.scoring import round_averages


class WorstFrame(NamedTuple):
    """A frame of a video on the wrong side: the video, the frame's index, how it was made, and the video's score.

    `person` numbers who is scored, 1 for the main one.
    """

    video: str
    frame: int
    method: str
    score: float
    person: int = 1

    @property
    def faces_id(self) -> str:
        """Under which id the face store has that person's faces."""
        return name_person(self.video, self.person)


CASES_PER_LABEL = 4  # of each class: a page of many runs stays small


def find_worst_cases(frames: pd.DataFrame) -> dict[int, list[WorstFrame]]:
    """Return by label the CASES_PER_LABEL videos furthest on the wrong side, worst first, each by its furthest frame.

    `score` is the mean of the video's frames.
    """
    codes, ids = pd.factorize(frames["video"], sort=True)
    score = frames["score"].to_numpy(float)
    mean = round_averages(np.bincount(codes, score) / np.bincount(codes))
    fake = np.bincount(codes, frames["label"] == FAKE) > 0
    found = {}
    for label, members, how_wrong in ((FAKE, np.flatnonzero(fake), -1), (REAL, np.flatnonzero(~fake), 1)):
        worst = members[np.argsort(-how_wrong * mean[members], kind="stable")][:CASES_PER_LABEL]
        rows = [np.flatnonzero(codes == video) for video in worst]
        furthest = [of_video[np.argmax(how_wrong * score[of_video])] for of_video in rows]
        found[label] = [
            _make_worst_frame(frames, row, str(ids[v]), float(mean[v])) for row, v in zip(furthest, worst, strict=True)
        ]
    return found


def _make_worst_frame(frames: pd.DataFrame, row: int, video: str, score: float) -> WorstFrame:
    told = {name: frames[name].iloc[row] for name in ("frame", "method", "person") if name in frames}
    method = told.get("method")
    known = method if isinstance(method, str) else ""
    return WorstFrame(video, int(told["frame"]), known, score, int(told.get("person", 1)))


def locate_artifacts(detector: Scores, store: FaceReader, frames: pd.DataFrame) -> dict[str, list[Polygon]]:
    """Ask a detector that locates artifacts where it sees them in the extremes' frames; nothing of one that doesn't.

    Returns:
        By video, polygons as lists of (x, y) in pixels of the stored crop.
    """
    if not isinstance(detector, LocatesArtifacts):
        return {}
    rows = [row for members in find_worst_cases(frames).values() for row in members]
    faces = [store.face(r.faces_id, store.frames(r.faces_id).index(r.frame)) for r in rows]
    found = detector.artifacts(faces)
    return {
        r.video: [[(x, y) for x, y in p.round(1).tolist()] for p in polygons]
        for r, polygons in zip(rows, found, strict=True)
    }
