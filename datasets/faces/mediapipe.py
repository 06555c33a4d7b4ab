"""MediaPipe's models, run by OpenCV: BlazeFace finds faces; Face Mesh places 468 points, converted to 81.

MediaPipe and TensorFlow aren't needed. Faces are first searched with the short-range model, which is fast and reliable
for a large face; if it finds none, with the full-range model; then with the full-range model in ever smaller squares of
the frame. The decoding follows the models' published constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .finder import Candidate, merge_overlapping
from .landmarks import convert_mesh
from .models import FULL_RANGE, MESH, SHORT_RANGE, Model, find_model

MESH_SIDE = 192
ROI_SCALE = 1.5
LEAST_MESH_SCORE = 0.5
OUTER_EYE_CORNERS = [33, 263]
TILTED = math.radians(8)
LEAST_SQUARE = 192


class Square(NamedTuple):
    """A square that may extend beyond the frame: its top left corner and side in pixels."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class AnchorLayout:
    """The output layout of a BlazeFace model: (stride, anchors per cell), and its score threshold."""

    side: int
    grids: tuple[tuple[int, int], ...]
    least_score: float

    def make_anchors(self) -> np.ndarray:
        """Return the centres (N, 2) of the anchors, x and y in [0, 1], in the model's order."""
        centres = []
        for stride, repeats in self.grids:
            cells = (np.arange(self.side // stride) + 0.5) * stride / self.side
            y, x = np.meshgrid(cells, cells, indexing="ij")
            centres.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), repeats, axis=0))
        return np.concatenate(centres).astype(np.float32)


class BlazeFace:
    """One BlazeFace model."""

    def __init__(self, model: Model, layout: AnchorLayout):
        self.net = load_net(model)
        self.layout = layout
        self.anchors = layout.make_anchors()

    def find(self, frame: np.ndarray, square: Square) -> list[Candidate]:
        """Find faces in a square of the frame, most certain first."""
        side = self.layout.side
        pixels = cut_square(frame, square, side).astype(np.float32) / 127.5 - 1
        logits, values = run_net(self.net, pixels)
        sure = np.flatnonzero(logits.ravel() > math.log(self.layout.least_score / (1 - self.layout.least_score)))
        raw = values.reshape(-1, 16)[sure] / side
        size = raw[:, 2:4]
        raw = raw.reshape(-1, 8, 2) + self.anchors[sure, None]
        corners = np.stack([raw[:, 0] - size / 2, raw[:, 0] + size / 2, raw[:, 2], raw[:, 3]], axis=1)
        points = corners * square.side + [square.x, square.y]
        scores = sigmoid(logits.ravel()[sure])
        return merge_overlapping(
            [Candidate(float(s), p[:2].ravel(), p[2:]) for s, p in zip(scores, points, strict=True)]
        )


class BlazeFaceLocator:
    """Looks for faces offline, on one core, in a few milliseconds per frame."""

    def __init__(self) -> None:
        self.short = BlazeFace(SHORT_RANGE, AnchorLayout(128, ((8, 2), (16, 6)), least_score=0.5))
        self.full = BlazeFace(FULL_RANGE, AnchorLayout(192, ((4, 1),), least_score=0.6))

    def locate(self, frame: np.ndarray) -> Iterator[list[Candidate]]:
        """Look at the whole frame at short range, then at full range, then at ever smaller squares of it."""
        whole = enclose_frame(frame)
        yield self.short.find(frame, whole)
        yield self.full.find(frame, whole)
        for side in choose_smaller_sides(frame):
            found = [c for square in tile_squares(frame, side) for c in self.full.find(frame, square)]
            yield merge_overlapping(found)


class FaceMesh:
    """Places 81 points on a face. `twice` always uses a second pass, for boxes unlike BlazeFace's."""

    def __init__(self, twice: bool = False) -> None:
        self.net = load_net(MESH)
        self.twice = twice

    def predict(self, frame: np.ndarray, candidate: Candidate) -> np.ndarray | None:
        """Return the points (81, 2) float32 in frame pixels; None if the mesh finds no face."""
        x0, y0, x1, y1 = candidate.box
        centre = np.array([x0 + x1, y0 + y1]) / 2
        mesh, score = self._run_in_square(frame, centre, max(x1 - x0, y1 - y0), candidate.eyes)
        if score >= LEAST_MESH_SCORE and (self.twice or abs(compute_tilt(candidate.eyes)) > TILTED):
            # BlazeFace's box is less reliable on a tilted head: the first pass's points give a better square for a
            # second.
            low, high = mesh.min(axis=0), mesh.max(axis=0)
            mesh, score = self._run_in_square(frame, (low + high) / 2, (high - low).max(), mesh[OUTER_EYE_CORNERS])
        return convert_mesh(mesh) if score >= LEAST_MESH_SCORE else None

    def _run_in_square(
        self, frame: np.ndarray, centre: np.ndarray, size: float, eyes: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Place the mesh in an upright square around a face: its points (468, 2) in frame pixels, and a score."""
        to_frame = compute_upright_map(centre, ROI_SCALE * size, eyes)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(frame, to_frame, (MESH_SIDE, MESH_SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        flag, points = run_net(self.net, crop.astype(np.float32) / 255)
        mesh = points.reshape(468, 3)[:, :2]
        return mesh @ to_frame[:, :2].T + to_frame[:, 2], float(sigmoid(flag.ravel())[0])


def load_net(model: Model) -> cv2.dnn.Net:
    """Load a TFLite model into OpenCV."""
    # OpenCV 5's newer engine loses these models' second output, and so does reading from memory: hence a path.
    engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    path = str(find_model(model))
    return cv2.dnn.readNetFromTFLite(path) if engine is None else cv2.dnn.readNetFromTFLite(path, engine)


def run_net(net: cv2.dnn.Net, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run a network on one (S, S, 3) float32 image; return its two outputs, the smaller one first."""
    net.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1))[None])
    first, second = net.forward(net.getUnconnectedOutLayersNames())
    return (first, second) if first.size < second.size else (second, first)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def enclose_frame(frame: np.ndarray) -> Square:
    """Return the centred square that contains the whole frame."""
    height, width = frame.shape[:2]
    side = max(height, width)
    return Square((width - side) / 2, (height - side) / 2, side)


def choose_smaller_sides(frame: np.ndarray) -> list[int]:
    """Return the sides of the squares to search after the whole frame, as long as they show more detail."""
    short, long = sorted(frame.shape[:2])
    return [side for side in (short, short // 2) if LEAST_SQUARE <= side <= 0.8 * long]


def tile_squares(frame: np.ndarray, side: int) -> list[Square]:
    """Return squares that cover the frame evenly and overlap by a third or more, so every face is whole in one."""
    steps = [np.linspace(0, size - side, 1 + math.ceil((size - side) / (side * 2 / 3))) for size in frame.shape[:2]]
    return [Square(x, y, side) for y in steps[0] for x in steps[1]]


def cut_square(frame: np.ndarray, square: Square, side: int) -> np.ndarray:
    """Return the square scaled to (side, side, 3) uint8; pixels outside the frame are black."""
    height, width = frame.shape[:2]
    x, y, size = (round(v) for v in square)
    part = frame[max(y, 0) : min(y + size, height), max(x, 0) : min(x + size, width)]
    scale = side / size
    small = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    result = np.zeros((side, side, 3), np.uint8)
    left, top = round(max(-x, 0) * scale), round(max(-y, 0) * scale)
    shrunk = cv2.resize(part, small, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    shrunk = shrunk[: side - top, : side - left]
    result[top : top + shrunk.shape[0], left : left + shrunk.shape[1]] = shrunk
    return result


def compute_tilt(eyes: np.ndarray) -> float:
    """Return the angle between the line from the left to the right eye (2, 2) and the horizontal, in radians."""
    dx, dy = eyes[1] - eyes[0]
    return math.atan2(dy, dx)


def compute_upright_map(centre: np.ndarray, side: float, eyes: np.ndarray) -> np.ndarray:
    """Return the (2, 3) affine map from the mesh's input to frame pixels, with the eyes level."""
    angle, scale, half = compute_tilt(eyes), side / MESH_SIDE, MESH_SIDE / 2
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cos, -sin, centre[0] - half * (cos - sin)], [sin, cos, centre[1] - half * (sin + cos)]])
