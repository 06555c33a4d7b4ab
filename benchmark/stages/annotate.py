"""Pictures and videos with a box around each face and its score."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from ...datasets.faces.sampling import VideoFile
from ..core.readers.images import read_image
from ..core.storage import write_atomically
from .media import FileResult, ScoredFace, is_picture

WRITTEN_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
WRITTEN_VIDEOS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
"""FFmpeg's name for the container, by suffix."""
Mark = tuple[np.ndarray, float]
"""A box (4,) and its score."""


def annotate(path: Path, scored: FileResult, folder: Path, name: str) -> Path:
    """Write the picture or video at `path` into a folder with its faces marked, and return where.

    The name keeps its suffix if such files can be written here; otherwise .png or .mp4 is added.
    """
    picture, suffix = is_picture(path), path.suffix.lower()
    kept = suffix in (WRITTEN_PICTURES if picture else WRITTEN_VIDEOS)
    out = folder / (name if kept else f"{name}{'.png' if picture else '.mp4'}")
    if picture:
        marked = draw(read_image(path), [(np.array(face.box), face.score) for (face,) in scored.people])
        packed = cv2.imencode(suffix if kept else ".png", cv2.cvtColor(marked, cv2.COLOR_RGB2BGR))[1]
        with write_atomically(out) as temporary:  # OpenCV's writer doesn't report a full disk.
            temporary.write_bytes(packed.tobytes())
    else:
        write_video(out, _draw_frames(path, scored), _read_rate(path))
    return out


def draw(frame: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Return a copy of a (H, W, 3) uint8 RGB frame with boxes from green (0) to red (1), and the scores above them."""
    marked = frame.copy()
    thick = max(1, round(min(frame.shape[:2]) / 300))
    size = 0.5 * thick
    for box, score in marks:
        x0, y0, x1, y1 = (int(v) for v in np.rint(box))
        colour = (round(255 * score), round(255 * (1 - score)), 0)
        cv2.rectangle(marked, (x0, y0), (x1, y1), colour, thick)
        (width, height), _ = cv2.getTextSize(text := f"{score:.2f}", cv2.FONT_HERSHEY_SIMPLEX, size, thick)
        top = max(y0, height + 4)
        cv2.rectangle(marked, (x0, top - height - 4), (x0 + width, top), colour, cv2.FILLED)
        cv2.putText(marked, text, (x0, top - 2), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thick, cv2.LINE_AA)
    return marked


def _draw_frames(path: Path, scored: FileResult) -> Iterator[np.ndarray]:
    clip = VideoFile(path)
    for index, frame in clip.frames(range(clip.reported_frames)):
        yield draw(frame, [mark for person in scored.people if (mark := interpolate_mark(index, person))])


def interpolate_mark(index: int, person: tuple[ScoredFace, ...]) -> Mark | None:
    """Return a person's box in a frame, interpolated linearly between examined frames, with the nearest one's score."""
    frames = np.array([face.frame for face in person])
    if not frames[0] <= index <= frames[-1]:
        return None
    box = np.array([np.interp(index, frames, side) for side in zip(*(face.box for face in person), strict=True)])
    return box, person[int(np.abs(frames - index).argmin())].score


def _read_rate(path: Path) -> int:
    with av.open(str(path)) as container:
        return max(1, round(container.streams.video[0].average_rate or 25))


def write_video(path: Path, frames: Iterator[np.ndarray], rate: int) -> None:
    """Write (H, W, 3) uint8 RGB frames of one size as H.264; an odd last row or column is dropped."""
    container_format = WRITTEN_VIDEOS.get(path.suffix.lower(), "mp4")
    with write_atomically(path) as temporary, av.open(str(temporary), "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            height, width = (side - side % 2 for side in frame.shape[:2])
            if number == 0:
                stream.height, stream.width = height, width
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
