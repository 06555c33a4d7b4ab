"""Folders in Celeb-DF's layout with any number of clips: those of the tiny demo world repeated, or enlarged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np
from crossfake import render_demo

RATE = 25
LIST = "List_of_testing_videos.txt"


def copy_clips(root: Path, count: int) -> Path:
    """Make a root with this many test clips, half of them fake; return it."""
    for clip, target in _name_clips(root, count):
        shutil.copyfile(clip, target)
    return root


def enlarge_clips(root: Path, count: int, frames: int, size: tuple[int, int]) -> Path:
    """Make a root with this many test clips and frames of `size` (width, height); return it."""
    for clip, target in _name_clips(root, count):
        write_clip(target, islice(cycle(read_clip(clip)), frames), size)
    return root


def read_clip(path: Path) -> list[np.ndarray]:
    """Return a clip's frames, each uint8 (H, W, 3) RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write_clip(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int]) -> None:
    """Write frames as H.264, centred in a grey picture of `size` and scaled to its height."""
    width, height = size
    left = (width - height) // 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            canvas = np.full((height, width, 3), 128, np.uint8)
            canvas[:, left : left + height] = cv2.resize(frame, (height, height), interpolation=cv2.INTER_CUBIC)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode())


def _name_clips(root: Path, count: int) -> Iterator[tuple[Path, Path]]:
    """Yield the demo world's clips, alternately real and fake, with their names in the root; list them there."""
    world = render_demo(root / "world", size="tiny", progress=False) / "Celeb-DF-v2"
    folder, lines = root / "Celeb-DF-v2", []
    kinds = {name: cycle(sorted((world / name).glob("*.mp4"))) for name in ("Celeb-real", "Celeb-synthesis")}
    for number in range(count):
        kind = ("Celeb-real", "Celeb-synthesis")[number % 2]
        name = f"{kind}/id{number}_0000.mp4" if number % 2 == 0 else f"{kind}/id{number}_id{number - 1}_0000.mp4"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        lines.append(f"{1 - number % 2} {name}\n")
        yield next(kinds[kind]), folder / name
    (folder / "YouTube-real").mkdir(exist_ok=True)
    (folder / LIST).write_text("".join(lines))
