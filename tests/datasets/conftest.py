import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pytest
from crossfake.datasets.faces.sampling import VideoFile

Plant = Callable[[Mapping[str, object]], Path]
COUNT = 6


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Write files under a root: strings as text, paths as copies, lists and dicts as JSON, None as an empty file."""

    def write(files: Mapping[str, object]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, path)
                continue
            text = content if isinstance(content, str) else "" if content is None else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def encode(
    path: Path, frames: list[np.ndarray], codec: str = "libx264", times: list[int] | None = None, **options: str
) -> Path:
    """Write frames (H, W, 3); `times` are their presentation times in 1/25 s, evenly spaced if not given."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.bit_rate = height, width, 8_000_000
        stream.pix_fmt = "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts = times[i] if times else i
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def turn(path: Path, result: Path) -> Path:
    """Mark an mp4 to be displayed a quarter turn clockwise, as phones do, with a matrix in the track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", content, at, 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    result.write_bytes(content)
    return result


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def clips(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny video files of common kinds, by what is special about them; the ones with faces are from the demo world."""
    folder = tmp_path_factory.mktemp("clips")
    one, other = sorted((tiny_world / "DFDC" / "test").glob("*.mp4"))[:2]
    face, neighbour = ([frame for _, frame in VideoFile(p).frames(range(COUNT))] for p in (one, other))
    pair = [np.hstack([a, b]) for a, b in zip(face, neighbour, strict=True)]
    grey = [np.full((48, 64, 3), 60 + 20 * i, np.uint8) for i in range(COUNT)]
    made = {
        "h264": encode(folder / "h264.mp4", face),
        "mpeg4": encode(folder / "mpeg4.mp4", face, "mpeg4"),
        "odd": encode(folder / "odd.mp4", [f[1:, 1:] for f in face]),
        "vfr": encode(folder / "vfr.mp4", face, times=[0, 1, 5, 6, 20, 21]),
        "two": encode(folder / "two.mp4", pair),
        "none": encode(folder / "none.mp4", grey),
        "other": encode(folder / "other.mp4", neighbour),
        "audio": audio_only(folder / "audio.mp4"),
    }
    made["turned"] = turn(encode(folder / "side.mp4", [np.rot90(f) for f in face]), folder / "turned.mp4")
    whole = encode(folder / "whole.mp4", face * 4, movflags="faststart").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("404: not found\n" * 30)
    return made | {name: folder / f"{name}.mp4" for name in ("truncated", "empty", "text")}
