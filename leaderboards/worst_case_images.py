"""A run's worst mistakes, with their faces: the most confident misses and false alarms."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError
from ..benchmark.core.scorecard import Polygon, ScoreCard
from ..benchmark.core.types import FAKE, REAL, Face
from ..benchmark.stages.cell_scores import read_cell_scores
from ..benchmark.stages.worst_cases import WorstFrame
from ..datasets.faces.face_store import FaceStore

SIZE = 96  # pixels
MARGIN = 1.3  # of the face box
OUTLINE = (255, 140, 0)


@dataclass(frozen=True)
class WorstCase:
    """A video on the wrong side of the threshold, with its score. `image` is a data URI, or "" without a face.

    `outlined` says whether the image outlines what the detector takes for artifacts.
    """

    video: str
    method: str
    score: float
    image: str
    outlined: bool


def load_worst_cases(card: ScoreCard) -> dict[str, list[WorstCase]]:
    """Return the most confident misses (fakes that score low) and false alarms (reals that score high), worst first.

    Empty if the predictions are missing; without images if the face store is missing.
    """
    scores = read_cell_scores(card)
    if scores is None:
        return {}
    found, threshold = scores.worst, card.threshold.value
    return {
        "misses": [_make_worst_case(card, r) for r in found[FAKE] if r.score < threshold],
        "false alarms": [_make_worst_case(card, r) for r in found[REAL] if r.score >= threshold],
    }


def _make_worst_case(card: ScoreCard, row: WorstFrame) -> WorstCase:
    outlines = card.artifacts.get(row.video, [])
    image = _load_image(card, row.faces_id, row.frame, outlines)
    return WorstCase(row.video, row.method, row.score, image, bool(image and outlines))


def _load_image(card: ScoreCard, video: str, frame: int, outlines: Sequence[Polygon]) -> str:
    if not card.faces or not os.path.isdir(card.faces):  # Path's own method raises an error if the name is too long.
        return ""
    try:
        store = _open_store(card.faces)
        frames = store.frames(video)
        if frame not in frames:  # The store has been prepared again since, with other frames.
            return ""
        return encode_data_uri(cut_face(store.face(video, frames.index(frame)), outlines))
    except BenchError as error:
        say_once(f"left out: {error}")
        return ""


@lru_cache(maxsize=8)
def _open_store(folder: str) -> FaceStore:
    return FaceStore(Path(folder))


def cut_face(face: Face, outlines: Sequence[Polygon] = ()) -> np.ndarray:
    """Cut the square around the face box, scaled to (SIZE, SIZE, 3) uint8 RGB.

    Args:
        face: its box may reach beyond its crop, whose edge is then repeated.
        outlines: polygons to draw, each a list of (x, y) in pixels of the crop.
    """
    x0, y0, x1, y1 = face.box
    half = max(x1 - x0, y1 - y0) * MARGIN / 2
    corner, scale = np.array([(x0 + x1) / 2 - half, (y0 + y1) / 2 - half]), SIZE / (2 * half)
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    image = cv2.warpAffine(face.crop, matrix, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    drawn = [np.round((np.asarray(p) - corner) * scale).astype(np.int32) for p in outlines]
    return cv2.polylines(image, drawn, isClosed=True, color=OUTLINE, thickness=1, lineType=cv2.LINE_AA)


def encode_data_uri(image: np.ndarray) -> str:
    """Encode a uint8 RGB image as a JPEG in a data URI."""
    ok, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert ok, f"OpenCV could not encode a {image.shape} image"
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
