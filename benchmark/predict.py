"""The predict stage: score every prepared face of a split, and say which videos couldn't be scored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import BenchError
from .progress import Tick
from .store import atomic
from .types import Cropper, Scores, Video
from .workers import ahead

if TYPE_CHECKING:
    from ..datasets.faces.store import FaceStore

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class VideoCrops:
    """Cuts all crops of a video: the part of predicting that worker processes do."""

    store: FaceStore
    cropper: Cropper

    def __call__(self, video_id: str) -> tuple[list[int], np.ndarray]:
        """Return the frames' indices and their crops (n, S, S, 3)."""
        faces = self.store.faces(video_id)
        return [f.frame for f in faces], np.stack([self.cropper(f) for f in faces])


@dataclass
class Throughput:
    """How fast scoring went: images, seconds inside `score` after the first batch, seconds in all, and of compiling.

    The latter is what the detector's `compile_seconds` grew by, where it has one, and is part of nothing else.
    """

    images: int = 0
    timed_images: int = 0
    score_seconds: float = 0.0
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return images a second: of the detector alone (first batch left out as warm-up), and from store to score."""
        alone = self.timed_images / self.score_seconds if self.score_seconds else None
        return {
            "images": self.images,
            "score_images_per_s": alone,
            "pipeline_images_per_s": self.images / self.seconds,
            "compile_s": self.compile_seconds,
        }


def predict(
    detector: Scores,
    cropper: Cropper,
    store: FaceStore,
    videos: list[Video],
    *,
    batch_size: int = 32,
    workers: int = 0,
    plugin: str = "",
    tick: Tick = lambda done, total: None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score every face of `videos` that the store has.

    Returns:
        The predictions, a row a frame sorted by video and frame, and what there is to know of them: `official` and
        `scored` video counts, `dropped` videos with the reason, `throughput`, and the `origins` of faces that were
        imported.
    """
    outcomes = store.outcomes()
    usable = [v for v in videos if v.id in outcomes and outcomes[v.id].status == "ok"]
    if not usable:
        raise BenchError(
            f"none of {len(videos)} videos could be read and has a face; first: {videos[0].path} "
            f"({outcomes[videos[0].id].reason if videos[0].id in outcomes else 'not prepared'})"
        )
    speed, started, compiled = Throughput(), time.perf_counter(), _compile_seconds(detector)
    crops = ahead(VideoCrops(store, cropper), [v.id for v in usable], workers, plugin)
    rows, scores = [], []
    expected = sum(len(store.frames(v.id)) for v in usable)
    for done, (batch, part) in enumerate(_batches(usable, crops, batch_size)):
        before = time.perf_counter()
        scores.append(scores_of(detector, batch))
        if done:
            speed.timed_images += len(batch)
            speed.score_seconds += time.perf_counter() - before
        rows += part
        tick(len(rows), expected)
    speed.compile_seconds = _compile_seconds(detector) - compiled
    speed.images, speed.seconds = len(rows), time.perf_counter() - started - speed.compile_seconds
    table = pd.DataFrame(rows).assign(score=np.concatenate(scores))
    scored = {v.id for v in usable}
    dropped = [_dropped(v, outcomes) for v in videos if v.id not in scored]
    facts = {"official": len(videos), "scored": len(usable), "dropped": dropped, "throughput": speed.summary()}
    facts["origins"] = sorted({outcomes[v.id].origin for v in usable} - {""})
    return table.sort_values(["video", "frame"], ignore_index=True), facts


def _compile_seconds(detector: Scores) -> float:
    return getattr(detector, "compile_seconds", 0.0)


def _batches(
    videos: list[Video], crops: Iterator[tuple[list[int], np.ndarray]], size: int
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Yield full batches across videos, the last one smaller, with a row for each image."""
    images: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    for video, (frames, cut) in zip(videos, crops, strict=True):
        images += list(cut)
        rows += [_row(video, frame) for frame in frames]
        while len(images) >= size:
            yield np.stack(images[:size]), rows[:size]
            images, rows = images[size:], rows[size:]
    if images:
        yield np.stack(images), rows


def _row(video: Video, frame: int) -> dict[str, Any]:
    return {
        "video": video.id,
        "frame": frame,
        "label": video.label,
        "method": video.method,
        "identity": "+".join(video.identities),
        **video.groups,
    }


def scores_of(detector: Scores, batch: np.ndarray) -> np.ndarray:
    """Return a batch's scores, float32 (N,).

    Raises:
        BenchError: they aren't one finite number an image.
    """
    scores = np.asarray(detector.score(batch), dtype=np.float32)
    if scores.shape != (len(batch),) or not np.isfinite(scores).all():
        raise BenchError(
            f"{type(detector).__name__}.score gave shape {scores.shape} for {len(batch)} images"
            f"{'' if np.isfinite(scores).all() else ', with NaN or infinity'}; "
            "expected one finite number an image"
        )
    return scores


def _dropped(video: Video, outcomes: dict[str, Any]) -> dict[str, str]:
    outcome = outcomes.get(video.id)
    reason = f"{outcome.status}: {outcome.reason}".rstrip(": ") if outcome else "not prepared"
    return {"video": video.id, "reason": reason}


def write_predictions(path: Path, table: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Write predictions as parquet, with `facts` (JSON) under the metadata key `crossfake`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = pa.Table.from_pandas(table, preserve_index=False)
    meta = {**(packed.schema.metadata or {}), b"crossfake": json.dumps({"schema_version": SCHEMA_VERSION, **facts})}
    with atomic(path) as temporary:
        pq.write_table(packed.replace_schema_metadata(meta), temporary)


def read_predictions(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read predictions (parquet or CSV) and their facts ({} for a table from elsewhere).

    Raises:
        BenchError: no such file, or not a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BenchError(f"no predictions {path}. Give a .parquet or .csv file, or a run's test folder")
    try:
        if path.suffix != ".parquet":
            return pd.read_csv(path, dtype=dict.fromkeys(("video", "method", "identity", "gender", "race"), str)), {}
        packed = pq.read_table(path)
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} can't be read as a table: {' '.join(str(error).split())[:160]}") from None
    facts = json.loads((packed.schema.metadata or {}).get(b"crossfake", b"{}"))
    return packed.to_pandas(), facts
