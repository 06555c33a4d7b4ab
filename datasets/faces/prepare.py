"""From video files to the face store: each video once, in chunks of a few videos, each chunk written as one shard."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ...benchmark.config import FaceSettings
from ...benchmark.errors import BenchError
from ...benchmark.store import key_of
from ...benchmark.types import Face, Video
from .crop import cut, follow
from .finder import FINDER_VERSION, FaceFinder, load_finder
from .sampling import Clip, wanted
from .store import FaceStore, Outcome, encode, shards, write_shard

CHUNK = 16
STALE_SECONDS = 24 * 3600
Progress = Callable[[int, int], None]


Encoded = tuple[Face, bytes]


class Found(NamedTuple):
    """The main person's faces with their encoded crops; how many frames were decoded, how many had several faces."""

    faces: list[Encoded]
    decoded: int
    several: int


@dataclass(frozen=True)
class Task:
    """One video to prepare: its file's size and time as they were when the work was planned."""

    video: str
    path: Path
    size: int
    mtime_ns: int
    generation: int


def prepare(
    videos: Sequence[Video],
    settings: FaceSettings,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> FaceStore:
    """Find the faces of all videos that `folder` doesn't hold yet, or whose file has changed since.

    Each chunk of videos is written when it is done, so a killed run goes on where it stopped. What is found does not
    depend on `workers` (processes). `progress` is called with the number of videos done so far and of all to do.

    Raises:
        BenchError: the finder is unknown or lacks its models, the store has other settings, or a worker was killed.
    """
    store = FaceStore(folder)
    recorded = store_settings(settings)
    if other := [s for s in store.settings() if s != recorded]:
        raise BenchError(f"{folder} was prepared with other settings: {other[0]}. Choose another folder, or remove it")
    tasks = plan(videos, store)
    if tasks:
        load_finder(settings.finder)  # So that what is missing is told at once, and not by a worker.
        _remove_stale(folder)
    chunks = [tasks[i : i + CHUNK] for i in range(0, len(tasks), CHUNK)]
    done = 0
    for count in _run(chunks, settings, folder, workers):
        done += count
        if progress:
            progress(done, len(tasks))
    return FaceStore(folder)


def store_settings(settings: FaceSettings) -> dict[str, Any]:
    """Return what a store's content depends on besides the videos, as plain data."""
    return {**settings.model_dump(), "finder_version": FINDER_VERSION}


def plan(videos: Sequence[Video], store: FaceStore) -> list[Task]:
    """Return what is to be done: videos without an outcome, or whose file isn't what it was then."""
    outcomes = store.outcomes()
    tasks = []
    for video in videos:
        size, mtime_ns = _stat(video.path)
        known = outcomes.get(video.id)
        if known is None:
            tasks.append(Task(video.id, video.path, size, mtime_ns, 0))
        elif (known.size, known.mtime_ns) != (size, mtime_ns):
            tasks.append(Task(video.id, video.path, size, mtime_ns, known.generation + 1))
    return tasks


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _run(chunks: list[list[Task]], settings: FaceSettings, folder: Path, workers: int) -> Iterator[int]:
    if workers <= 1 or len(chunks) < 2:
        for chunk in chunks:
            yield prepare_chunk(chunk, settings, folder)
        return
    # Spawned, not forked: OpenCV's and FFmpeg's threads don't survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context)
    try:
        for future in as_completed([pool.submit(prepare_chunk, c, settings, folder) for c in chunks]):
            yield future.result()
    except BrokenProcessPool:
        raise BenchError(
            "a worker that prepares faces was killed, perhaps for want of memory. What is done is kept: "
            "type the command again, with fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def prepare_chunk(tasks: Sequence[Task], settings: FaceSettings, folder: Path) -> int:
    """Prepare a few videos and write them as one shard; return how many they were."""
    recorded = store_settings(settings)
    name = key_of({"settings": recorded, "videos": [(t.video, t.size, t.mtime_ns, t.generation) for t in tasks]}, 20)
    path = folder / f"{name}.arrow"
    with _one_thread():
        finder = _finder(settings.finder)
        write_shard(path, recorded, [prepare_video(task, settings, finder) for task in tasks])
    return len(tasks)


_finder = lru_cache(maxsize=1)(load_finder)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def prepare_video(task: Task, settings: FaceSettings, finder: FaceFinder) -> tuple[Outcome, list[Encoded]]:
    """Sample one video's frames, and find, follow and cut its main face. Never raises for what the file holds."""
    outcome = Outcome(
        task.video, "ok", settings.frames, size=task.size, mtime_ns=task.mtime_ns, generation=task.generation
    )
    if not task.path.is_file():
        return replace(outcome, status="missing", reason=f"no file {task.path.name}"), []
    clip = Clip(task.path)
    found = find_faces(clip.frames(wanted(clip.told, settings.frames)), settings, finder)
    if clip.total != clip.told:  # Then these weren't the evenly spaced frames: once more, by the true number.
        found = find_faces(clip.frames(wanted(clip.total, settings.frames)), settings, finder)
    status = "ok" if found.faces else "no_face" if found.decoded else "unreadable"
    frames = tuple(face.frame for face, _ in found.faces)
    return replace(
        outcome, status=status, reason=clip.trouble(), decoded=found.decoded, frames=frames, several=found.several
    ), found.faces


def find_faces(frames: Iterable[tuple[int, np.ndarray]], settings: FaceSettings, finder: FaceFinder) -> Found:
    """Find the main person's face in each of (index, (H, W, 3) uint8 RGB) frames, cut and encode it."""
    faces: list[Encoded] = []
    last, decoded, several = None, 0, 0
    for index, frame in frames:
        detections = finder.find(frame)
        decoded += 1
        several += len(detections) > 1
        chosen = follow(detections, last) if detections else None
        face = cut(frame, index, chosen, settings.context) if chosen else None
        if chosen and face:
            last = chosen.box
            faces.append((face, encode(face.crop, settings.encoding)))
    return Found(faces, decoded, several)


def _remove_stale(folder: Path) -> None:
    """Remove what killed runs left half-written, a day later: until then it may be another machine's work."""
    for path in set(folder.glob(".*.tmp.arrow")) - set(shards(folder)):
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)
