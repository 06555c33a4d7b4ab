"""From video files to the face store: each video once, in chunks of a few videos, each chunk written as one shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ...benchmark.core.display import say
from ...benchmark.core.errors import BenchError
from ...benchmark.core.keys import hash_key
from ...benchmark.core.parts import Part
from ...benchmark.core.settings import FaceSettings
from ...benchmark.core.storage import sweep
from ...benchmark.core.transient_errors import retry
from ...benchmark.core.types import Face, LostFrame, PrepareResult, Video, name_person
from ...benchmark.core.workers import IN_PROCESS, WorkerPool, limit_to_one_thread
from ..walk import stands_for_bytes
from .crop import cut_context_crop
from .disk_space import check_space
from .encodings import encode
from .face_store import FaceStore, write_shard
from .finder import FINDER_VERSION, Detection, FaceFinder, load_finder
from .lost import note_lost
from .masks import put_forged_first, stat_mask
from .pictures import UNDECODABLE, read_pictures
from .reading import find_transient_error
from .repair import refuse_mixture, remove_damaged
from .sampling import UNNAMED, VideoFile, choose_frames
from .tracking import group_faces_by_person
from .worklist import WorkItem, make_worklist

CHUNK = 16
SHARD_BYTES = 256 << 20  # What a worker keeps in memory, at most, besides its current video.
Progress = Callable[[int, int], None]
T = TypeVar("T")


Encoded = tuple[Face, bytes]
Prepared = tuple[PrepareResult, list[Encoded]]


class Done(NamedTuple):
    """How many videos were processed, and which couldn't be read for a temporary reason and have no outcome."""

    videos: int
    unread: list[str]


class FoundFaces(NamedTuple):
    """The main person's faces with encoded crops, and how many frames were decoded and had several faces.

    `others` are the other people's faces, if wanted. `lost` are the unusable frames, and `reason` has other remarks.
    """

    faces: list[Encoded]
    decoded: int
    several: int
    others: Sequence[list[Encoded]] = ()
    lost: tuple[LostFrame, ...] = ()
    reason: str = ""


def prepare(
    videos: Sequence[Video],
    settings: FaceSettings,
    folder: Path,
    pool: WorkerPool = IN_PROCESS,
    progress: Progress | None = None,
    part: Part | None = None,
) -> FaceStore:
    """Find the faces of all videos that `folder` doesn't contain, or contains damaged, or whose file has changed.

    Each chunk of videos is written when it is done, so a killed run continues where it stopped. The result doesn't
    depend on `pool`, whose processes do the work. `progress` is called with the numbers of videos done and to do. With
    a `part`, only that part of the videos is processed; other commands may do the others in the same folder.

    Raises:
        BenchError: the finder is unknown or lacks its models, the store has other settings, a worker was killed, the
            disk is too small, or files couldn't be read for a temporary reason.
    """
    remove_damaged(folder, partial(say, aside=True), lambda: any(video.path.exists() for video in videos))
    store, recorded = FaceStore(folder), make_store_settings(settings)
    if any(other != recorded for other in store.settings()):
        refuse_mixture(folder, recorded)
    tasks = make_worklist(videos, store, settings.frames)
    if part:
        mine = {video.id for video in part.take(videos)}
        tasks = [task for task in tasks if task.video in mine]
    check_space(folder, store, len(tasks) * settings.frames, settings.encoding)
    if any(task.needs_finder for task in tasks):
        load_finder(settings.finder)  # So that missing files are reported at once, not by a worker.
        sweep(folder)
    chunks = [tasks[i : i + CHUNK] for i in range(0, len(tasks), CHUNK)]
    done, prepared = 0, partial(prepare_chunk, settings=settings, folder=folder)
    counts = (pool if len(chunks) > 1 else IN_PROCESS).map(prepared, chunks, ordered=False)
    left: list[str] = []
    for videos_done, unread in chain([Done(0, [])], counts):  # Starts at 0, so that the first chunk has a rate.
        done += videos_done
        left += unread
        if progress:
            progress(done, len(tasks))
    prepared_store = FaceStore(folder)
    prepared_store.write_index()
    note_lost(folder, prepared_store.outcomes())
    if left:
        told = f"{len(left)} of {len(tasks)} videos can't be read just now, first: {left[0]}"
        raise BenchError(f"{told}. Finished work is kept: repeat the command")
    return prepared_store


def make_store_settings(settings: FaceSettings) -> dict[str, object]:
    """Return what a store's content depends on besides the videos, as plain data."""
    return {**settings.key_content(), "finder_version": FINDER_VERSION}


@limit_to_one_thread()
def prepare_chunk(tasks: Sequence[WorkItem], settings: FaceSettings, folder: Path) -> Done:
    """Prepare a few videos and write them as one shard, or as several if they are large."""
    finder = _finder(settings.finder) if any(t.needs_finder for t in tasks) else None
    done: list[Prepared] = []
    written, left, size = list[WorkItem](), list[str](), 0
    for number, task in enumerate(tasks, start=1):
        try:
            prepared = _prepare_once_readable(task, settings, finder)
        except OSError as error:
            left.append(f"{task.video} ({error.strerror})")
        else:
            done += prepared
            written.append(task)
            size += sum(len(content) for _, faces in prepared for _, content in faces)
        if written and (size > SHARD_BYTES or number == len(tasks)):
            _write_shards(written, done, settings, folder)
            written, size, done = [], 0, []
    return Done(len(tasks), left)


def _prepare_once_readable(task: WorkItem, settings: FaceSettings, finder: FaceFinder | None) -> list[Prepared]:
    """Prepare a video; if something is broken, try again while its files can't be read completely.

    Raises:
        OSError: they still can't, for a temporary reason.
    """

    def work() -> list[Prepared]:
        prepared = prepare_video(task, settings, finder)
        outcome = prepared[0][0]
        files = [Path(p.file) for p in task.pictures] or [task.path]
        broken = outcome.lost or outcome.status in ("missing", "unreadable")
        if broken and (error := find_transient_error(files)):
            raise error
        return prepared

    return retry(work)


def _write_shards(tasks: Sequence[WorkItem], done: list[Prepared], settings: FaceSettings, folder: Path) -> None:
    """Write a shard named by its videos and their state, so that its name is the same whoever makes it."""
    recorded = make_store_settings(settings)
    name = hash_key({"settings": recorded, "videos": [(t.video, t.size, t.mtime_ns, t.generation) for t in tasks]}, 20)
    write_shard(folder / f"{name}.arrow", recorded, done)


_finder = lru_cache(maxsize=1)(load_finder)


def prepare_video(task: WorkItem, settings: FaceSettings, finder: FaceFinder | None) -> list[Prepared]:
    """Sample one video's frames, and find, track and crop its main face. Never raises because of the file's content.

    `finder` is None if the task has pictures whose landmarks are all known. With `people: max`, the other people's
    outcomes follow.
    """
    outcome = PrepareResult(
        task.video,
        "ok",
        settings.frames,
        size=task.size,
        mtime_ns=task.mtime_ns,
        generation=task.generation,
        origin=task.origin,
        follows=task.follows,
        mask_size=stat_mask(task.mask),
    )
    if stands_for_bytes(task.path):
        return [(replace(outcome, status="unreadable", reason=UNNAMED), [])]
    if not task.exists:
        return [(replace(outcome, status="missing", reason=f"no file {task.path.name}"), [])]
    found = _find_in_pictures(task, settings, finder) if task.pictures else _find_in_video(task, settings, finder)
    status = "ok" if found.faces else "no_face" if found.decoded else "unreadable"
    frames = tuple(face.frame for face, _ in found.faces)
    told = {name: getattr(found, name) for name in ("reason", "decoded", "several", "lost")}
    results = [(replace(outcome, status=status, frames=frames, **told), found.faces)]
    for number, faces in enumerate(found.others, 2):
        frames = tuple(face.frame for face, _ in faces)
        results.append((replace(outcome, video=name_person(task.video, number), frames=frames), faces))
    return results


def _find_in_video(task: WorkItem, settings: FaceSettings, finder: FaceFinder | None) -> FoundFaces:
    clip = VideoFile(task.path)
    leading = VideoFile(task.leader).reported_frames if task.leader else 0
    find = partial(find_faces, settings=settings, finder=finder, mask=task.mask)
    found = sample_frames(clip, settings.frames, find, leading)
    trouble, theirs = clip.describe_problem(), choose_frames(leading, settings.frames)
    if not found.decoded:  # It counts once: such a file may not even state its number of frames.
        return found._replace(lost=(LostFrame(0, trouble or UNDECODABLE),), reason=trouble)
    past = sum(i >= clip.total for i in theirs)
    note = f"its original is longer: {past} of {len(theirs)} frames aren't in it" if past else ""
    lost = tuple(LostFrame(i, UNDECODABLE) for i in clip.lost)
    return found._replace(lost=lost, reason="; ".join(filter(None, (trouble, note))))


def sample_frames(
    clip: VideoFile, count: int, use: Callable[[Iterable[tuple[int, np.ndarray]]], T], leading: int = 0
) -> T:
    """Use a clip's evenly spaced frames; repeat if the file had stated a wrong number of frames.

    With `leading`, use those of a clip with that many frames, as far as this one has them.
    """
    used = use(clip.frames(choose_frames(leading or clip.reported_frames, count)))
    return used if leading or clip.total == clip.reported_frames else use(clip.frames(choose_frames(clip.total, count)))


def _find_in_pictures(task: WorkItem, settings: FaceSettings, finder: FaceFinder | None) -> FoundFaces:
    lost: list[LostFrame] = []
    found = find_faces(read_pictures(task.pictures, lost), settings, finder, task.mask)
    first = f", such as frame {lost[0].frame}: {lost[0].reason}" if lost else ""
    reason = f"{len(lost)} of {len(task.pictures)} pictures can't be used{first}" if lost else ""
    return found._replace(lost=tuple(lost), reason=reason)


def find_faces(
    frames: Iterable[tuple[int, np.ndarray, *tuple[Detection | None, ...]]],
    settings: FaceSettings,
    finder: FaceFinder | None,
    mask: Path | None = None,
) -> FoundFaces:
    """Find the main person's face in each of (index, (H, W, 3) uint8 RGB, known faces), crop and encode it.

    With a `mask` of the video, the main person is the forged one.
    """
    cuts, several = cut_faces(frames, settings.context, finder)
    people = put_forged_first(group_faces_by_person(cuts), mask)[: 1 if settings.people == "main" else None]
    main, *others = [[(face, encode(face.crop, settings.encoding)) for face in person] for person in people] or [[]]
    return FoundFaces(main, len(cuts), several, others)


def cut_faces(
    frames: Iterable[tuple[int, np.ndarray, *tuple[Detection | None, ...]]], context: float, finder: FaceFinder | None
) -> tuple[list[list[Face]], int]:
    """Return every face of each frame with its context, and how many frames have several.

    None among the known faces means an unusable one.
    """
    cuts, several = [], 0
    for index, frame, *known in frames:
        detections = known or (finder.find(frame) if finder else [])
        several += len(detections) > 1
        cuts.append([face for d in detections if d and (face := cut_context_crop(frame, index, d, context))])
    return cuts, several
