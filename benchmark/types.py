"""What flows between the stages: frozen dataclasses, and the protocols that plugins fulfil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

REAL, FAKE = 0, 1
SPLITS = ("train", "val", "test")


class Picture(NamedTuple):
    """A frame that somebody has already taken out of its video: the image `file`, or `key` in the LMDB folder `file`.

    `frame` is its index in the video. `landmarks` are (81, 2) little-endian float32 in its pixels, or the name of the
    .npy file (with `key`, the LMDB key) that holds them; where they are empty, a finder looks for the face.
    """

    frame: int
    file: str
    key: str = ""
    landmarks: bytes | str = b""


@dataclass(frozen=True)
class Video:
    """One video file of a dataset, or the `pictures` that are left of one.

    `id` is the posix path within the dataset's home folder, suffix included, so that no two videos ever share one.
    `label` is 0 (real) or 1 (fake); `method` names the manipulation (`real` for real videos); `split` is `train`,
    `val` or `test`. `source` is the id of the real video that a fake was made from, where the layout tells it.
    `identities` are the people seen or used, target first. `groups` maps attributes (`gender`, `race`) to values.
    With `pictures`, faces come from them, `path` is the first one's file, and `origin` tells whose work they are.
    """

    id: str
    path: Path
    label: int
    method: str
    split: str
    identities: tuple[str, ...] = ()
    compression: str = ""
    source: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    origin: str = ""


@dataclass(frozen=True)
class Face:
    """A face found in one frame: the part of the frame around it, at the frame's own resolution.

    `crop` is (H, W, 3) uint8 RGB, an unscaled rectangle of the frame whose top left pixel is `origin` (x, y);
    `landmarks` is (81, 2) float32 (dlib's 68 points in their order, then 13 of the forehead) and `box` (4,) float32
    x0, y0, x1, y1, both in crop pixels. `frame` is the index in the video, `frame_size` the frame's (width, height).
    """

    crop: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    frame: int
    origin: tuple[int, int]
    frame_size: tuple[int, int]

    @property
    def frame_box(self) -> tuple[float, float, float, float]:
        """The box in pixels of the frame."""
        (x, y), (x0, y0, x1, y1) = self.origin, self.box.tolist()
        return x + x0, y + y0, x + x1, y + y1


class TrainSample(NamedTuple):
    """What a detector makes a training example of. `source` is the same frame of the real video behind a fake.

    `method` and `groups` are the video's.
    """

    face: Face
    label: int
    source: Face | None = None
    method: str = ""
    groups: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class Sampler(Protocol):
    """Turns a `TrainSample` into named arrays of fixed shapes, in a worker process. Picklable; imports no backend.

    None means that no example can be made of this sample; it is then counted and named, never replaced. Empty means
    that the recipe leaves it out of this batch, which is counted too.
    """

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray] | None: ...


@runtime_checkable
class Cropper(Protocol):
    """Cuts a detector's uint8 (S, S, 3) RGB crop from a face, in a worker process. Picklable; imports no backend."""

    def __call__(self, face: Face) -> np.ndarray: ...


@runtime_checkable
class Scores(Protocol):
    """The least that a detector is: uint8 (N, H, W, 3) RGB crops in, float32 (N,) probabilities of fake out."""

    def score(self, frames: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class Detector(Scores, Protocol):
    """A detector that the harness can load, run and train. Numpy outside, torch or jax inside."""

    def cropper(self) -> Cropper:
        """Return what cuts this detector's own crop from the context crop."""

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network on float32 NCHW input, normalised as it expects."""

    def load(self, source: Path | str | Mapping[str, Any]) -> Detector:
        """Take a checkpoint file (the reference's or ours) or a mapping of names to arrays."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights under the reference's key names."""

    def sampler(self) -> Sampler:
        """Return what makes training examples for this detector."""


class Estimate(NamedTuple):
    """A number with its 95 % interval and the sample size behind it; value, lo and hi are None where undefined."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    note: str = ""


@runtime_checkable
class Dataset(Protocol):
    """An adapter for one official layout."""

    def home(self, root: Path) -> Path:
        """Find the dataset's folder in or under `root`. Raises BenchError telling what was looked for and found."""

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List every video of the official layout, with its official split, sorted by id."""
