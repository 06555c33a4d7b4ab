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
from .store import write_atomically
from .types import Cropper, Scores, Video
from .workers import map_ahead

if TYPE_CHECKING:
    from ..datasets.faces.store import FaceStore

SCHEMA_VERSION = 1
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
KEEP_EVERY = 60.0  # seconds between what is kept of an unfinished scoring: as much as a kill can cost


@dataclass(frozen=True)
class VideoCrops:
    """Cuts all crops of a video: the part of predicting that worker processes do."""

    store: FaceStore
    cropper: Cropper

    def __call__(self, video_id: str) -> np.ndarray:
        """Return the crops (n, S, S, 3) of its frames, in the store's order."""
        return np.stack([self.cropper(face) for face in self.store.faces(video_id)])


@dataclass
class Throughput:
    """How fast scoring went, since it was last begun.

    Images, seconds inside `score` after the first batch, seconds in all, and of compiling. The latter is what the
    detector's `compile_seconds` grew by, where it has one, and is part of nothing else.
    """

    images: int = 0
    timed_images: int = 0
    score_seconds: float = 0.0
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def summarise(self) -> dict[str, Any]:
        """Return images a second: of the detector alone (first batch left out as warm-up), and from store to score."""
        alone = self.timed_images / self.score_seconds if self.score_seconds else None
        return {
            "images": self.images,
            "score_images_per_s": alone,
            "pipeline_images_per_s": self.images / self.seconds,
            "compile_s": self.compile_seconds,
        }


class PartialPredictions:
    """What is scored so far, kept in a file, so that a killed scoring goes on where it was.

    Args:
        path: of the predictions to come; the unfinished ones lie hidden beside it.
        made_by: what the scores come from, where the path doesn't tell it; those of anything else aren't taken.
    """

    def __init__(self, path: Path, made_by: str = ""):
        self.whole, self.path = path, path.with_name(f".{path.stem}.unfinished.parquet")
        self.made_by = made_by
        self.kept = time.monotonic()

    def read_scores(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the scores there are of the first n rows, (n,); n is 0 where nothing, or something else, was begun."""
        if self.path.is_file():
            table, metadata = read_predictions(self.path)
            same = ["video", "frame"]
            if metadata["made_by"] == self.made_by and table[same].equals(rows[same].head(len(table))):
                return table["score"].to_numpy()
        return np.empty(0, np.float32)

    def keep(self, rows: pd.DataFrame, scores: list[np.ndarray]) -> None:
        """Keep the scores of the first rows, once a minute, until all have one."""
        if time.monotonic() - self.kept < KEEP_EVERY:
            return
        known = np.concatenate(scores)
        if len(known) < len(rows):
            write_predictions(self.path, rows.head(len(known)).assign(score=known), {"made_by": self.made_by})
        self.kept = time.monotonic()

    def finish(self, table: pd.DataFrame, metadata: dict[str, Any]) -> None:
        """Write the predictions, and remove what was kept."""
        write_predictions(self.whole, table, metadata)
        self.path.unlink(missing_ok=True)


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
    partial_predictions: PartialPredictions | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score every face of `videos` that the store has, going on from what is `partial_predictions`.

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
    table = pd.DataFrame([_frame_row(v, frame) for v in usable for frame in store.frames(v.id)])
    scores = [partial_predictions.read_scores(table) if partial_predictions else np.empty(0, np.float32)]
    speed, started, compiled = Throughput(), time.perf_counter(), _compile_seconds(detector)
    for batch in _iterate_batches(
        table["video"][len(scores[0]) :], VideoCrops(store, cropper), batch_size, workers, plugin
    ):
        before = time.perf_counter()
        scores.append(score_batch(detector, batch))
        speed.images += len(batch)
        if len(scores) > 2:  # What was kept comes first, and then a batch that warms up.
            speed.timed_images += len(batch)
            speed.score_seconds += time.perf_counter() - before
        if partial_predictions:
            partial_predictions.keep(table, scores)
        tick(len(scores[0]) + speed.images, len(table))
    speed.compile_seconds = _compile_seconds(detector) - compiled
    speed.seconds = time.perf_counter() - started - speed.compile_seconds
    table = table.assign(score=np.concatenate(scores))
    scored = {v.id for v in usable}
    dropped = [_describe_dropped(v, outcomes) for v in videos if v.id not in scored]
    metadata = {"official": len(videos), "scored": len(usable), "dropped": dropped, "throughput": speed.summarise()}
    metadata["origins"] = sorted({outcomes[v.id].origin for v in usable} - {""})
    return table.sort_values(["video", "frame"], ignore_index=True), metadata


def _compile_seconds(detector: Scores) -> float:
    return getattr(detector, "compile_seconds", 0.0)


def _iterate_batches(
    wanted: pd.Series, crops_of: VideoCrops, size: int, workers: int, plugin: str
) -> Iterator[np.ndarray]:
    """Yield the crops of `wanted`, a video's name an image: full batches across videos, the last one smaller.

    Of the first video the last images may be wanted alone: the others are those that were scored before.
    """
    counts = wanted.groupby(wanted, sort=False).size()
    images: list[np.ndarray] = []
    for crops, count in zip(map_ahead(crops_of, counts.index, workers, plugin), counts, strict=True):
        images += list(crops[-count:])
        while len(images) >= size:
            yield np.stack(images[:size])
            images = images[size:]
    if images:
        yield np.stack(images)


def _frame_row(video: Video, frame: int) -> dict[str, Any]:
    return {
        "video": video.id,
        "frame": frame,
        "label": video.label,
        "method": video.method,
        "identity": "+".join(video.identities),
        **video.groups,
    }


def score_batch(detector: Scores, batch: np.ndarray) -> np.ndarray:
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


def _describe_dropped(video: Video, outcomes: dict[str, Any]) -> dict[str, str]:
    outcome = outcomes.get(video.id)
    reason = f"{outcome.status}: {outcome.reason}".rstrip(": ") if outcome else "not prepared"
    return {"video": video.id, "reason": reason}


def write_predictions(path: Path, table: pd.DataFrame, metadata: dict[str, Any]) -> None:
    """Write predictions as parquet, with `metadata` (JSON) under the metadata key `crossfake`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = pa.Table.from_pandas(table, preserve_index=False)
    meta = {**(packed.schema.metadata or {}), b"crossfake": json.dumps({"schema_version": SCHEMA_VERSION, **metadata})}
    with write_atomically(path) as temporary:
        pq.write_table(packed.replace_schema_metadata(meta), temporary)


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV; a video may be called NA, in all other columns that means a missing value."""
    columns = pd.read_csv(path, nrows=0).columns
    missing = {c: MISSING if c != "video" else [""] for c in columns}
    texts = dict.fromkeys(("video", "method", "identity", "gender", "race"), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=missing)


def read_predictions(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read predictions (parquet or CSV) and their metadata ({} for a table from elsewhere).

    Raises:
        BenchError: no such file, or not a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BenchError(f"no predictions {path}. Give a .parquet or .csv file, or a run's test folder")
    try:
        if path.suffix.lower() not in (".parquet", ".pq"):
            return _read_csv(path), {}
        packed = pq.read_table(path)
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} can't be read as a table: {' '.join(str(error).split())[:160]}") from None
    metadata = json.loads((packed.schema.metadata or {}).get(b"crossfake", b"{}"))
    table = packed.to_pandas()
    if "label" in table and pd.api.types.is_string_dtype(table["label"]):  # As other tools write '0' and '1'.
        table["label"] = pd.to_numeric(table["label"], errors="coerce")
    return table, metadata
