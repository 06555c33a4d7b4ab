"""Small stand-ins for what the stages need, without pictures: a face store, a source of videos and a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.registry import Entry
from crossfake.benchmark.core.settings import FaceSettings, Settings
from crossfake.benchmark.core.types import FAKE, REAL, Face, LostFrame, PrepareResult, Video
from crossfake.benchmark.stages.cells import Cell
from crossfake.benchmark.stages.sources import DataRoot, DataSource
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard


def face_of(video: int, frame: int) -> Face:
    """A grey face whose red and green levels give its video and frame."""
    crop = np.full((16, 16, 3), 128, np.uint8)
    crop[..., 0], crop[..., 1] = video, frame
    landmarks = np.linspace(4, 12, 162, dtype=np.float32).reshape(81, 2)
    return Face(crop, landmarks, np.array([4, 4, 12, 12], np.float32), frame, (0, 0), (16, 16))


@dataclass
class MemoryStore:
    """The part of a face store's interface that the stages use. All faces have the same position.

    `content`: frames by video, or the status of a video without faces. `lost`: frames that couldn't be used.
    """

    content: dict[str, list[int] | str]
    lost: dict[str, tuple[LostFrame, ...]] = field(default_factory=dict)

    def outcomes(self) -> dict[str, PrepareResult]:
        found = {
            v: PrepareResult(v, c, 4, reason="as told")
            if isinstance(c, str)
            else PrepareResult(v, "ok", 4, len(c), tuple(c))
            for v, c in self.content.items()
            if "//" not in v
        }
        return {v: replace(o, lost=self.lost.get(v, ())) for v, o in found.items()}

    def count_people(self, video: str) -> int:
        return len([v for v in self.content if v.partition("//")[0] == video and self.frames(v)])

    def frames(self, video: str) -> list[int]:
        content = self.content.get(video, [])
        return [] if isinstance(content, str) else content

    def get_relative_boxes(self, video: str) -> np.ndarray:
        return np.tile([0.2, 0.2, 0.6, 0.6], (len(self.frames(video)), 1))

    def face(self, video: str, index: int, crop: None = None) -> Face:
        return face_of(list(self.content).index(video), self.frames(video)[index])

    def faces(self, video: str) -> list[Face]:
        return [self.face(video, i) for i in range(len(self.frames(video)))]


@pytest.fixture
def memory_store() -> type[MemoryStore]:
    return MemoryStore


@pytest.fixture
def real_store(tmp_path: Path) -> Callable[[dict[str, list[int]]], FaceStore]:
    """Write the faces of a MemoryStore into a store on disk, which worker processes can open."""

    def write(content: dict[str, list[int]]) -> FaceStore:
        results = [
            (
                PrepareResult(video, "ok", len(frames), len(frames), tuple(frames)),
                [(face, encode(face.crop, "png")) for face in (face_of(i, frame) for frame in frames)],
            )
            for i, (video, frames) in enumerate(content.items())
        ]
        write_shard(tmp_path / "store" / "one.arrow", {}, results)
        return FaceStore(tmp_path / "store")

    return write


def video_of(name: str, split: str = "train", **fields: Any) -> Video:
    """`fake/a.mp4` is a fake of `real/a.mp4`."""
    fake = name.startswith("fake")
    source = f"real/{Path(name).name}" if fake else None
    given = {"path": Path("/nowhere") / name, "label": FAKE if fake else REAL, "method": "A" if fake else "real"}
    return Video(name, split=split, **{**given, "source": source, **fields})


@pytest.fixture
def make_video() -> Callable[..., Video]:
    return video_of


@dataclass
class Plan:
    """Makes cells of two classes in every split, with files below `home`."""

    home: Path
    videos: list[Video] = field(default_factory=list)

    def __post_init__(self) -> None:
        for split in ("train", "val", "test"):
            for label in ("real", "fake"):
                path = self.home / f"{label}/{split}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"1234")
                self.videos.append(video_of(f"{label}/{split}.mp4", split, path=path))

    def source(
        self, name: str = "ff++", compression: str = "c23", limit: int | None = None, **changes: Any
    ) -> DataSource:
        videos = changes.pop("videos", self.videos)
        root = DataRoot(changes.pop("root", self.home), changes.pop("demo", None))
        return DataSource(name, compression, self.home, tuple(videos), root, limit)

    def cell(self, **changes: Any) -> Cell:
        parts: dict[str, Any] = {
            "entry": Entry("meso4", "crossfake.detectors.baselines.meso:Meso4", "", backend="torch", card=CARD),
            "settings": Settings(faces=FaceSettings(finder="mediapipe")),
            "train": self.source(),
            "test": self.source("celebdf", ""),
            "seed": 0,
            "runs": Path("runs"),
            "checkpoint": None,
        }
        return Cell(**{**parts, **changes})


CARD = {"can": ("crop", "load", "save", "sample", "train", "features", "parameters")}  # Without importing torch.


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))  # Stores of other tests list the same videos and sizes.
    return Plan(tmp_path / "data")
