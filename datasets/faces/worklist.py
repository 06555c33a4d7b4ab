"""Lists the work to prepare some videos: a task for each that the store lacks or has in an outdated state."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.core.transient_errors import read_patiently
from ...benchmark.core.types import FAKE, REAL, LostFrame, Picture, PrepareResult, Video
from .face_store import FaceStore
from .masks import stat_mask
from .pictures import read_pictures
from .sampling import choose_frames

# How older stores, from before PyAV was used, describe videos that couldn't be decoded: they are tried again.
DECODED_BY_OPENCV_ALONE = "but 0 could be decoded"


@dataclass(frozen=True)
class WorkItem:
    """One video to prepare: its file's size and time at planning, and the pictures sampled from it.

    A training fake `follows` its original, whose file (if it is a file) is `leader`.
    """

    video: str
    path: Path
    size: int
    mtime_ns: int
    generation: int
    pictures: tuple[Picture, ...] = ()
    origin: str = ""
    follows: str = ""
    leader: Path | None = None
    mask: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether there is anything to read."""
        return any(Path(p.file).exists() for p in self.pictures) if self.pictures else self.path.is_file()

    @property
    def needs_finder(self) -> bool:
        """Whether a finder must look for its faces."""
        return not self.pictures or not all(p.landmarks for p in self.pictures)


def make_worklist(videos: Sequence[Video], store: FaceStore, frames: int) -> list[WorkItem]:
    """Return the work to do: videos without an outcome, whose file has changed, or with new frames.

    A training fake is compared with its original frame by frame: if both are prepared, the same frames are used.
    """
    outcomes = store.outcomes()
    originals = {v.id: v for v in videos if v.split == "train" and v.label == REAL}
    tasks = []
    for video in videos:
        known, (size, mtime_ns), original = outcomes.get(video.id), _stat_video(video), _find_original(video, originals)
        follows = original.id if original else ""
        if known and known.status != "missing" and not mtime_ns:  # Its file isn't visible here: the outcome stays.
            continue
        if (
            known is None
            or _is_changed(video, known, size, mtime_ns)
            or follows not in ("", known.follows)
            or known.mask_size != _stat_mask(video.mask)
            or _is_repaired(video, known)
            or known.reason.endswith(DECODED_BY_OPENCV_ALONE)
        ):
            generation = known.generation + 1 if known else 0
            pictures = _sample_pictures(video, original, frames)
            leader = original.path if original and not (original.pictures or pictures) else None
            tasks.append(
                WorkItem(
                    video.id,
                    video.path,
                    size,
                    mtime_ns,
                    generation,
                    pictures,
                    video.origin,
                    follows,
                    leader,
                    video.mask,
                )
            )
    return tasks


def _is_changed(video: Video, known: PrepareResult, size: int, mtime_ns: int) -> bool:
    """Return whether a file has changed. Copies have different times: if all went well, only the size counts.

    A folder of pictures has no size, and if something was broken it may have been fixed in place.
    """
    if size != known.size:
        return True
    went_well = known.status == "ok" and not known.lost and not video.pictures
    return mtime_ns != known.mtime_ns and not went_well


def _find_original(video: Video, originals: Mapping[str, Video]) -> Video | None:
    """Return a training fake's original, if it is in `originals` and exists. Test videos depend on no others."""
    original = originals.get(video.original or "") if video.split == "train" and video.label == FAKE else None
    return original if original and (original.pictures or original.path.is_file()) else None


def _sample_pictures(video: Video, original: Video | None, frames: int) -> tuple[Picture, ...]:
    """Return evenly spaced pictures; if some are left out, those of the original's frames if most exist."""
    own = tuple(video.pictures[i] for i in choose_frames(len(video.pictures), frames))
    if original is None or len(own) == len(video.pictures):
        return own
    theirs = {original.pictures[i].frame for i in choose_frames(len(original.pictures), frames)}
    shared = tuple(p for p in video.pictures if p.frame in theirs)
    return shared if 2 * len(shared) > len(own) else own


def _is_repaired(video: Video, known: PrepareResult) -> bool:
    """Return whether lost pictures are now usable or lost for another reason; reads no others."""
    if not known.lost:  # The usual case: nothing to check.
        return False
    frames, lost = {frame for frame, _ in known.lost}, list[LostFrame]()
    deque(read_pictures([p for p in video.pictures if p.frame in frames], lost), maxlen=0)
    return bool(video.pictures) and tuple(lost) != known.lost


def _stat_video(video: Video) -> tuple[int, int]:
    """Return what shows that a file changed; for pictures, that of the first, or of their folder if newer."""
    stats = [_stat_path(path) for path in (video.path, *([video.path.parent] if video.pictures else []))]
    return stats[0][0], max(mtime_ns for _, mtime_ns in stats)


def _stat_mask(mask: Path | None) -> int:
    return read_patiently(mask, lambda: stat_mask(mask)) if mask else 0


def _stat_path(path: Path) -> tuple[int, int]:
    try:
        stat = read_patiently(path, path.stat)
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns
