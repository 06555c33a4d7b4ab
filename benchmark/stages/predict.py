"""The predict stage: scores every prepared face of a split, and reports which videos couldn't be scored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...detectors.runtimes import DEFAULT
from ..core.cell_description import CellDescription, RuntimeUse
from ..core.contracts import Compiles, Cropper, FaceReader, Scores
from ..core.errors import BenchError
from ..core.keys import hash_key
from ..core.predictions import PartialPredictions, PredictionsMetadata
from ..core.progress import Reporter, Tick
from ..core.scorecard import Dropped
from ..core.storage import strip_separators
from ..core.types import PrepareResult, Video, name_person
from ..core.workers import IN_PROCESS, WorkerPool
from ..stats.attributes import name_attributes
from .cost import ThroughputCounter
from .detectors import DetectorRequest, LoadedDetector, load_detector
from .kept_crops import KeptCrops, keep_crops
from .out_of_memory import BatchScorer
from .remake import remake_damaged
from .sources import DataSource
from .video_crops import VideoCrops

if TYPE_CHECKING:
    import pandas as pd


def predict(
    detector: Scores,
    cropper: Cropper,
    store: FaceReader,
    videos: list[Video],
    *,
    batch_size: int = 32,
    pool: WorkerPool = IN_PROCESS,
    plugin: str = "",
    tick: Tick = lambda done, total: None,
    partial_predictions: PartialPredictions | None = None,
    people: str = "main",
    kept: KeptCrops | None = None,
) -> tuple[pd.DataFrame, PredictionsMetadata]:
    """Score every face of `videos` that the store has, by its `kept` or cut crop; go on from `partial_predictions`.

    Returns:
        The predictions, one row per frame sorted by video and frame, and their metadata: `official` and
        `scored` video counts, `dropped` videos with the reason, `throughput`, the `origins` of faces that were
        imported, and which columns are people's `attributes`. Unless `people` is `main`, a column `person` (1: the main
        one) tells whose row it is: with `max`, only the person with the highest mean; with `frame-max`, each frame's
        highest face; with `all`, everybody.
    """
    outcomes = store.outcomes()
    usable = [v for v in videos if v.id in outcomes and outcomes[v.id].status == "ok"]
    if not usable:
        raise BenchError(
            f"none of {len(videos)} videos could be read and has a face; first: {videos[0].path} "
            f"({outcomes[videos[0].id].reason if videos[0].id in outcomes else 'not prepared'})"
        )
    table = list_rows(usable, store, everybody=people != "main")
    scores = [partial_predictions.read_scores(table) if partial_predictions else np.empty(0, np.float32)]
    scorer, speed, wanted = BatchScorer(detector), ThroughputCounter(), table["video"][len(scores[0]) :]
    started, compiled = time.perf_counter(), _compile_seconds(detector)
    for batch in _iterate_batches(wanted, VideoCrops(store, cropper, kept), batch_size, pool, plugin):
        before = time.perf_counter()
        scores.append(scorer.score(batch))
        speed.images += len(batch)
        if len(scores) > 2:  # Stored scores come first, then a warm-up batch.
            speed.timed_images += len(batch)
            speed.score_seconds += time.perf_counter() - before
        if partial_predictions:
            partial_predictions.keep(table, scores)
        tick(len(scores[0]) + speed.images, len(table))
    speed.compile_seconds = _compile_seconds(detector) - compiled
    speed.seconds = time.perf_counter() - started - speed.compile_seconds
    table = _choose_people(table.assign(score=np.concatenate(scores)), people, store)
    known = PredictionsMetadata(throughput=speed.summarise(), people=people if people == "all" else "")
    return table, _describe_videos(videos, usable, outcomes).merge(known)


def list_rows(videos: list[Video], store: FaceReader, everybody: bool) -> pd.DataFrame:
    """Return one row per frame to score, for the main person or everybody; `video` is from `name_person`."""
    import pandas as pd

    seen = [
        (video, name_person(video.id, number + 1))
        for video in videos
        for number in range(store.count_people(video.id) if everybody else 1)
    ]
    frames = [store.frames(person) for _, person in seen]
    people = pd.DataFrame([{**_describe_video(video), "video": person} for video, person in seen])
    table = people.take(np.repeat(np.arange(len(seen)), list(map(len, frames)))).reset_index(drop=True)
    table.insert(1, "frame", np.fromiter((frame for one in frames for frame in one), np.int64, len(table)))
    return table


def _choose_people(table: pd.DataFrame, people: str, store: FaceReader) -> pd.DataFrame:
    """Return the rows of the people chosen by the setting `faces.people`, sorted."""
    choices = {
        "main": lambda rows: rows,
        "max": keep_highest,
        "frame-max": lambda rows: keep_highest_faces(drop_small_faces(rows, store)),
        "all": number_people,
    }
    chosen = choices[people](table)
    order = ["video", "person", "frame"] if people == "all" else ["video", "frame"]
    return chosen.sort_values(order, ignore_index=True)


def keep_highest(table: pd.DataFrame) -> pd.DataFrame:
    """Keep, for each video, the rows of the person with the highest mean score (the first if equal).

    Args:
        table: one row per frame. `video`, as from `name_person`, becomes the video's id; `person` is added.
    """
    means = table.groupby("video", sort=False)["score"].mean()
    highest = means.groupby(means.index.str.partition("//").get_level_values(0), sort=False).idxmax()
    return number_people(table[table["video"].isin(highest)])


def keep_highest_faces(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the row with the highest score in each frame of a video (the first if equal); see `keep_highest`."""
    numbered = number_people(table)
    return numbered.loc[numbered.groupby(["video", "frame"], sort=False)["score"].idxmax()]


def drop_small_faces(table: pd.DataFrame, store: FaceReader) -> pd.DataFrame:
    """Drop faces whose landmark box has less than half the area of the largest one in the same frame.

    SBI's inference does the same with its detector's boxes: small ones often aren't faces.
    """
    import pandas as pd

    boxes = np.concatenate([store.get_relative_boxes(video) for video in table["video"].unique()])
    area = pd.Series((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), index=table.index)
    largest = area.groupby([number_people(table)["video"], table["frame"]]).transform("max")
    return table[area >= largest / 2]


def number_people(table: pd.DataFrame) -> pd.DataFrame:
    """Split `video`, as from `name_person`, into the video's id and the column `person`."""
    import pandas as pd

    parts = table["video"].str.partition("//")
    return table.assign(video=parts[0], person=pd.to_numeric(parts[2]).fillna(1).astype(np.int64))


def _describe_videos(
    videos: list[Video], usable: list[Video], outcomes: dict[str, PrepareResult]
) -> PredictionsMetadata:
    scored = {v.id for v in usable}
    return PredictionsMetadata(
        official=len(videos),
        scored=len(usable),
        dropped=[_describe_dropped(v, outcomes) for v in videos if v.id not in scored],
        origins=sorted({outcomes[v.id].origin for v in usable} - {""}),
        several_people=sum(outcomes[v.id].several > 0 for v in usable),
        attributes=name_attributes(name for v in usable for name in v.groups),
    )


def predict_sources(
    request: DetectorRequest,
    sources: Sequence[DataSource],
    split: str,
    out: Path,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    batch_size: int = 32,
) -> Iterator[Path]:
    """Score a split of each dataset into a file in `out`, and yield its path; continues partial files.

    Raises:
        BenchError: see `load_detector`; or a split has no videos, or none that can be read and has a face.
    """
    for source in sources:
        if not source.split(split):
            raise BenchError(f"{source.label} has no videos in its {split} split. Use --split test")
    loaded = load_detector(request, demo=any(source.home_root.demo is not None for source in sources))
    for source in sources:
        score = partial(_predict_source, loaded, source, split, out, reporter, pool, batch_size)
        yield remake_damaged(score, reporter)


def _predict_source(
    loaded: LoadedDetector,
    source: DataSource,
    split: str,
    out: Path,
    reporter: Reporter,
    pool: WorkerPool,
    batch_size: int,
) -> Path:
    faces, videos = loaded.settings.faces, source.split(split)
    store = source.prepare([split], faces, reporter, pool)
    path = out / strip_separators(f"{loaded.entry.name}__{source.label}.parquet")
    way = loaded.settle_runtime(len(videos) * faces.frames, reporter)
    made_by = [*loaded.key_content(way), str(store.folder), source.key([split], faces)]
    partial_predictions = PartialPredictions(path, hash_key(made_by))
    device = loaded.tell_device(batch_size, reporter)
    kept = keep_crops(faces, store, loaded.cropper, videos, reporter, pool, loaded.entry.plugin)
    with reporter.task(f"scoring {source.label} {split}") as tick:
        table, metadata = predict(
            loaded.detector,
            loaded.cropper,
            store,
            videos,
            batch_size=batch_size,
            pool=pool,
            plugin=loaded.entry.plugin,
            tick=tick,
            partial_predictions=partial_predictions,
            people=faces.people,
            kept=kept,
        )
    known = PredictionsMetadata(scored=source.label, split=split, device=device)
    if way != DEFAULT:
        run_by = RuntimeUse(runtime=way.runtime, precision=way.precision)
        known = known.merge(PredictionsMetadata(cell=CellDescription(runtime=run_by)))
    partial_predictions.finish(table, metadata.merge(known))
    return path


def _compile_seconds(detector: Scores) -> float:
    return detector.compile_seconds if isinstance(detector, Compiles) else 0.0


def _iterate_batches(
    wanted: pd.Series, crops_of: VideoCrops, size: int, pool: WorkerPool, plugin: str
) -> Iterator[np.ndarray]:
    """Yield the crops of `wanted`, with a video name per image: full batches across videos, the last one smaller.

    For the first video only the last images may be wanted: the others were scored before.
    """
    counts = wanted.groupby(wanted, sort=False).size()
    images: list[np.ndarray] = []
    for crops, count in zip(pool.map(crops_of, counts.index, plugin, shares=True), counts, strict=True):
        images += list(crops[-count:].copy())  # They outlive their memory.
        while len(images) >= size:
            yield np.stack(images[:size])
            images = images[size:]
    if images:
        yield np.stack(images)


def _describe_video(video: Video) -> dict[str, str | int]:
    return {
        "video": video.id,
        "label": video.label,
        "method": video.method,
        "identity": "+".join(video.identities),
        **video.groups,
    }


def _describe_dropped(video: Video, outcomes: Mapping[str, PrepareResult]) -> Dropped:
    outcome = outcomes.get(video.id)
    reason = f"{outcome.status}: {outcome.reason}".rstrip(": ") if outcome else "not prepared"
    return Dropped(video=video.id, reason=reason, label=video.label, method=video.method)
