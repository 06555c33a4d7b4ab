"""The data that flows between stages: frozen dataclasses, and the protocols that plugins implement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
REAL, FAKE = 0, 1
SPLITS = ("train", "val", "test")


class Picture(NamedTuple):
    """A frame that has already been extracted: the image `file`, or `key` in the LMDB folder `file`.

    `frame` is its index in the video. `landmarks` are (81, 2) little-endian float32 in its pixels, or the name of the
    .npy file (with `key`, the LMDB key) that holds them; if they are empty, a finder looks for the face.
    """

    frame: int
    file: str
    key: str = ""
    landmarks: bytes | str = b""


def _take_former_name(old: str, new: str) -> Callable[[type[T]], type[T]]:
    """Let a dataclass's field be set and read by its former name; removed in the next version."""

    def add(made: type[T]) -> type[T]:
        make = made.__init__

        def init(self: T, *args: object, **fields: object) -> None:
            if old in fields:
                fields[new] = fields.pop(old)
            make(self, *args, **fields)

        setattr(made, "__init__", init)  # noqa: B010
        setattr(made, old, property(attrgetter(new)))
        return made

    return add


@_take_former_name("source", "original")
@dataclass(frozen=True)
class Video:
    """One video file of a dataset, or the `pictures` that are left of one.

    `id` is the posix path within the dataset's home folder, with suffix, so that no two videos share one.
    `label` is 0 (real) or 1 (fake); `method` names the manipulation (`real` for real videos); `split` is `train`,
    `val` or `test`. `original` is the id of the real video that a fake was made from, if the layout says so.
    `identities` are the people seen or used, target first. `groups` maps attributes (`gender`, `race`) to values.
    With `pictures`, faces come from them, `path` is the first one's file, and `origin` says which tool made them.
    `mask` is a video that is white where a fake was forged, or a folder of such pictures; a real one has that of one
    of its fakes.
    """

    id: str
    path: Path
    label: int
    method: str
    split: str
    identities: tuple[str, ...] = ()
    compression: str = ""
    original: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    origin: str = ""
    mask: Path | None = None


@_take_former_name("origin", "top_left")
@dataclass(frozen=True)
class Face:
    """A face found in one frame: the part of the frame around it, at the frame's own resolution.

    `crop` is (H, W, 3) uint8 RGB, an unscaled rectangle of the frame whose top left pixel is `top_left` (x, y);
    `landmarks` is (81, 2) float32 (dlib's 68 points in their order, then 13 of the forehead) and `box` (4,) float32
    x0, y0, x1, y1, both in crop pixels. `frame` is the index in the video, `frame_size` the frame's (width, height).
    """

    crop: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    frame: int
    top_left: tuple[int, int]
    frame_size: tuple[int, int]

    @property
    def frame_box(self) -> tuple[float, float, float, float]:
        """The box in pixels of the frame."""
        (x, y), (x0, y0, x1, y1) = self.top_left, self.box.tolist()
        return x + x0, y + y0, x + x1, y + y1


class TrainSample(NamedTuple):
    """What a detector makes a training example of. `original` is the same frame of the real video behind a fake.

    `method` and `groups` are the video's. `kept` is the detector's own crop, where it was read instead of the face's
    picture; `face.crop` is then the same.
    """

    face: Face
    label: int
    original: Face | None = None
    method: str = ""
    groups: Mapping[str, str] = MappingProxyType({})
    kept: np.ndarray | None = None

    def cut(self, cropper: Callable[[Face], np.ndarray]) -> np.ndarray:
        """Return the detector's own crop (S, S, 3), uint8: as it was kept, or cut now."""
        return cropper(self.face) if self.kept is None else self.kept

    @property
    def source(self) -> Face | None:
        """The former name of `original`; removed in the next version."""
        return self.original


class Estimate(NamedTuple):
    """A number with its 95 % interval and the sample size behind it; value, lo and hi are None where undefined."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    note: str = ""


class LostFrame(NamedTuple):
    """A frame that was selected but can't be used: its index in the video, and why."""

    frame: int
    reason: str


def name_person(video: str, person: int) -> str:
    """Return the id of one person's faces in a face store: person 1 is the main one. No path contains `//`."""
    return video if person == 1 else f"{video}//{person}"


@dataclass(frozen=True)
class PrepareResult:
    """The outcome of preparing one video.

    `status` is `ok`, `no_face`, `unreadable` or `missing`; `reason` explains it. Of the `wanted` frames, `decoded`
    could be read; `frames` are the indices of those with a face; `several` had more than one. `size` (bytes) and
    `mtime_ns` are the file's, 0 if it is missing; `generation` counts how often a changed file was prepared again.
    `origin` says which tool made the pictures, if the faces don't come from the video itself. `follows` is the original
    whose frames a training fake uses. `lost` are the frames that couldn't be used because something is broken (for an
    unreadable file, the first one); frames without a face aren't among them. `mask_size` (bytes) is the size of the
    mask that shows who was forged, 0 without one.
    """

    video: str
    status: str
    wanted: int
    decoded: int = 0
    frames: tuple[int, ...] = ()
    several: int = 0
    reason: str = ""
    size: int = 0
    mtime_ns: int = 0
    generation: int = 0
    origin: str = ""
    follows: str = ""
    lost: tuple[LostFrame, ...] = ()
    mask_size: int = 0


class Release(NamedTuple):
    """The content of a published dataset, for `bench data check`.

    `counts` are the official numbers of videos by split and by `real`, `fake` or a method's name; `folders` (within the
    home) are where they belong; `listed` are the ids, with their splits, that official lists name besides the
    adapter's videos; `causes` describe oddities of this copy and their remedy, `faults` what makes scores wrong;
    `unnamed` are ids whose files can't be read, because their names aren't UTF-8.
    """

    counts: dict[tuple[str, str], int]
    folders: list[str]
    listed: Mapping[str, str] = {}
    causes: Sequence[str] = ()
    faults: Sequence[str] = ()
    unnamed: Sequence[str] = ()
