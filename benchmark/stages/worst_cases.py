"""The videos on which a detector is most wrong: fakes that score low, reals that score high."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.contracts import FaceReader, LocatesArtifacts, Scores
from ..core.scorecard import Polygon
from ..core.types import FAKE, REAL, name_person
from ..stats.video_scores import FrameScores, pack_frames

if TYPE_CHECKING:
    import pandas as pd


class WorstFrame(NamedTuple):
    """A frame of a misclassified video: the video, the frame's index, how it was made, and the video's score.

    `person` is the number of the scored person, 1 for the main one.
    """

    video: str
    frame: int
    method: str
    score: float
    person: int = 1

    @property
    def faces_id(self) -> str:
        """The id of that person's faces in the face store."""
        return name_person(self.video, self.person)


CASES_PER_LABEL = 4  # of each class, so that a page of many runs stays small


def find_worst_cases(frames: pd.DataFrame | FrameScores) -> dict[int, list[WorstFrame]]:
    """Return, by label, the CASES_PER_LABEL most wrong videos, worst first, each with its most wrong frame.

    `score` is the mean of the video's frames.
    """
    import pandas as pd

    packed = pack_frames(frames) if isinstance(frames, pd.DataFrame) else frames
    fake = np.bincount(packed.video, packed.label == FAKE) > 0
    return {label: _find_worst(packed, fake == label, wrong) for label, wrong in ((FAKE, -1), (REAL, 1))}


def _find_worst(frames: FrameScores, members: NDArray[np.bool_], wrong: int) -> list[WorstFrame]:
    """Return the worst of some videos, whose scores are wrong in the direction `wrong` (1: too high, -1: too low)."""
    rate = np.where(members, wrong * frames.means, -np.inf)
    least = np.sort(rate)[-CASES_PER_LABEL:][0]
    candidates = np.flatnonzero(members & (rate >= least)).tolist()
    worst = sorted(candidates, key=lambda v: (-rate[v], frames.ids[v]))[:CASES_PER_LABEL]
    rows = [np.flatnonzero(frames.video == v) for v in worst]
    furthest = [int(r[np.argmax(wrong * frames.score[r])]) for r in rows]
    told = frames.table.take(np.array(furthest, np.int64)).to_pylist()
    return [
        WorstFrame(frames.ids[v], row["frame"], row.get("method") or "", wrong * float(rate[v]), row.get("person") or 1)
        for v, row in zip(worst, told, strict=True)
    ]


def locate_artifacts(detector: Scores, store: FaceReader, frames: pd.DataFrame) -> dict[str, list[Polygon]]:
    """Return where a detector that locates artifacts sees them in the worst cases' frames; empty for others.

    Returns:
        By video: polygons as lists of (x, y) in pixels of the stored crop.
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
