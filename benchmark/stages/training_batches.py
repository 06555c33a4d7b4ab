"""What a training step sees: the order of frames, each fake's pair, and any step's batch in any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...datasets.faces.boxes import compute_iou
from ...datasets.faces.quality import find_quality_flaw
from ..core.contracts import FaceReader, Sampler, TellsOriginals
from ..core.types import FAKE, REAL, TrainSample, Video

if TYPE_CHECKING:
    from .kept_crops import KeptCrops

_ORDER, _DRAW = 1, 2  # Branches of the seed: the order of frames, and what happens to each.
SAME_PLACE = 0.5  # Least intersection over union of a fake's face and its original's: below, it is somebody else's.


@dataclass(frozen=True)
class FrameIndex:
    """Every training frame: its place in the store, its label, and its pair (-1: none), as columns of equal length.

    `videos`, `methods` and `groups` are lists of other lengths, into which `video` and `pair_video` point.
    """

    videos: list[str]
    video: NDArray[np.int64]
    face: NDArray[np.int64]
    label: NDArray[np.int64]
    pair_video: NDArray[np.int64]
    pair_face: NDArray[np.int64]
    methods: list[str] = field(default_factory=list)
    groups: list[Mapping[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.video)

    def epoch_length(self, balance: bool) -> int:
        """Return how many frames are drawn until each has occurred once; with `balance`, twice the larger class."""
        return 2 * int(np.bincount(self.label).max()) if balance else len(self)

    def load_sample(self, store: FaceReader, i: int, paired: bool = True, kept: KeptCrops | None = None) -> TrainSample:
        """Load a frame, or of what is `kept` its crop, and its pair unless it isn't to be `paired`."""
        video, pair = self.video[i], self.pair_video[i] if paired else -1
        crops = kept.read(self.videos[video], [int(self.face[i])]) if kept else None
        crop = None if crops is None else crops[0]
        face = store.face(self.videos[video], int(self.face[i]), crop)
        original = store.face(self.videos[pair], int(self.pair_face[i])) if pair >= 0 else None
        return TrainSample(face, int(self.label[i]), original, self.methods[video], self.groups[video], crop)


def index_frames(videos: list[Video], store: FaceReader) -> tuple[FrameIndex, dict[str, int]]:
    """List the training frames, each fake with the same frame of its real original, or else the nearest one.

    Returns:
        The frames, and how many fakes' pairs were `found` at the same frame, `replaced` by a nearby one, or `lost`: the
        original has no face, or it is elsewhere in the frame.
    """
    outcomes = store.outcomes()
    usable = [v for v in videos if v.id in outcomes and outcomes[v.id].status == "ok"]
    place = {v.id: i for i, v in enumerate(usable)}
    frames_of = {v.id: np.asarray(store.frames(v.id)) for v in usable}
    rows, pairs = [np.empty((5, 0), np.int64)], {"found": 0, "replaced": 0, "lost": 0}
    for video in usable:
        frames, original = frames_of[video.id], video.original or ""
        nearest = _find_nearest(store, video, frames_of) if video.label == FAKE else np.full(len(frames), -1)
        has = nearest >= 0
        if video.label == FAKE:
            found = int((frames_of[original][nearest[has]] == frames[has]).sum()) if has.any() else 0
            for name, count in (("found", found), ("replaced", has.sum() - found), ("lost", (~has).sum())):
                pairs[name] += int(count)
        pair_at = np.where(has, place.get(original, -1), -1)
        columns = np.broadcast_arrays(place[video.id], np.arange(len(frames)), video.label, pair_at, nearest)
        rows.append(np.stack(columns))
    at, faces, labels, pair_at, pair_faces = np.concatenate(rows, axis=1)
    methods, groups = [v.method for v in usable], [v.groups for v in usable]
    return FrameIndex([v.id for v in usable], at, faces, labels, pair_at, pair_faces, methods, groups), pairs


def _find_nearest(store: FaceReader, video: Video, frames_of: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return, for each of a fake's n frames, the original's nearest frame, (n,): -1 if that doesn't show the face."""
    frames, original = frames_of[video.id], video.original or ""
    if original not in frames_of:
        return np.full(len(frames), -1)
    nearest = np.abs(frames_of[original] - frames[:, None]).argmin(1)
    same = compute_iou(store.get_relative_boxes(video.id), store.get_relative_boxes(original)[nearest]) >= SAME_PLACE
    return np.where(same, nearest, -1)


def list_lost_frames(videos: list[Video], store: FaceReader) -> list[str]:
    """Name broken training frames, with the reason. Frames without a face don't count."""
    outcomes = store.outcomes()
    return [f"{v.id} frame {n}: {why}" for v in videos if v.id in outcomes for n, why in outcomes[v.id].lost]


@dataclass(frozen=True)
class Batches:
    """Makes any step's batch in any process: all randomness comes from (seed, step, position in the batch).

    Of `ranks` that share batches, each makes every `ranks`-th position, from its own `rank` on.
    """

    frames: FrameIndex
    store: FaceReader
    sampler: Sampler
    batch_size: int
    balance: bool
    seed: int
    kept: KeptCrops | None = None
    rank: int = 0
    ranks: int = 1

    def share(self, rank: int, ranks: int) -> Batches:
        """Return what makes one rank's part of each batch."""
        return replace(self, rank=rank, ranks=ranks)

    def __call__(self, step: int) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return the batch and the names of frames from which no example could be made."""
        examples, lost = [], []
        paired = not isinstance(self.sampler, TellsOriginals) or self.sampler.uses_original
        for place, i in list(enumerate(self.choose_frames(step)))[self.rank :: self.ranks]:
            rng = np.random.default_rng([self.seed, _DRAW, step, place])
            sample = self.frames.load_sample(self.store, i, paired, self.kept)
            flaw = find_quality_flaw(sample.face)
            example = None if flaw else self.sampler(sample, rng)
            if example is None:
                lost.append(f"{self._name_frame(i)}: {flaw or 'no example could be made from it'}")
            elif example:
                examples.append(example)
        if not examples:
            return {}, lost
        return {k: np.stack([e[k] for e in examples]) for k in examples[0]}, lost

    def _name_frame(self, i: int) -> str:
        return f"{self.frames.videos[self.frames.video[i]]} face {self.frames.face[i]}"

    def choose_frames(self, step: int) -> list[int]:
        """Return a step's frames: from an endless sequence of shuffles of all frames, or half from each class."""
        size = self.batch_size
        if not self.balance:
            return [self._frame_at(-1, step * size + k) for k in range(size)]
        reals = size // 2
        return [self._frame_at(REAL, step * reals + k) for k in range(reals)] + [
            self._frame_at(FAKE, step * (size - reals) + k) for k in range(size - reals)
        ]

    def _frame_at(self, label: int, position: int) -> int:
        members = self._members.get(label)
        count = len(self.frames) if members is None else len(members)
        turn, within = divmod(position, count)
        place = int(_shuffle(self.seed, label + 1, turn, count)[within])
        return place if members is None else int(members[place])

    @cached_property
    def _members(self) -> dict[int, NDArray[np.int64]]:
        """The frames of each class: searching millions for each draw would take milliseconds."""
        return {label: np.flatnonzero(self.frames.label == label) for label in (REAL, FAKE)} if self.balance else {}


@lru_cache(maxsize=8)
def _shuffle(seed: int, stream: int, turn: int, n: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _ORDER, stream, turn]).permutation(n)
