"""Who is shown in a test set's videos: for what it can show about fairness, and for the papers' own code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...datasets.demographics.annotations import (
    aggregate_by_video,
    find_ambiguous_videos,
    match_split_file,
    read_frames,
)
from ...datasets.demographics.papers_csv import export
from ...detectors.common.crops import BoxCrop
from ..core.errors import BenchError
from ..core.progress import Reporter
from ..core.settings import FaceSettings
from ..core.workers import WorkerPool
from ..stats.attributes import PEOPLE, UNDEFINED, choose_main_pair
from .sources import DataSource

if TYPE_CHECKING:
    import pandas as pd


class AnnotatedVideos(NamedTuple):
    """A `table` with `label`, `group`, `clip` and each of the `attributes`, one row per video, with `notes`."""

    table: pd.DataFrame
    attributes: list[str]
    notes: list[str]


def read_annotated_videos(
    annotations: Path, split: Path | None = None, merge_undefined: bool = False
) -> AnnotatedVideos:
    """Read the videos of a published annotation table.

    Args:
        annotations: the table; see `read_frames`.
        split: a list of pairs or of videos, see `match_split_file`; None for all videos.
        merge_undefined: count an undefined race as `others`.

    Raises:
        BenchError: a file can't be read, or the table has no video of the split.
    """
    frames = read_frames(annotations, merge_undefined)
    videos, notes = aggregate_by_video(frames)
    notes += find_ambiguous_videos(frames)
    if split:
        named, lacking = match_split_file(videos["video"], split)
        videos = videos[named]
        if videos.empty:
            raise BenchError(f"no video of {annotations} is in {split}")
        if lacking:
            what = f"{annotations} lacks {len(lacking)} videos named in {split}"
            notes.append(f"{what}: {lacking[0]} is the first")
    attributes = [c for c in videos if c in PEOPLE]
    videos = videos.assign(clip=videos["video"].str.rpartition("/")[2])
    return AnnotatedVideos(_assign_groups(videos, attributes), attributes, notes)


def read_dataset_videos(source: DataSource, split: str | None = None) -> AnnotatedVideos:
    """Read a dataset's videos with their groups; all splits unless `split` is given.

    Raises:
        BenchError: it has no such split, or no annotation.
    """
    import pandas as pd

    splits = {v.split for v in source.videos}
    if split and split not in splits:
        raise BenchError(f"{source.label} has no split '{split}'; it has {', '.join(sorted(splits))}")
    videos = [v for v in source.videos if split in (None, v.split)]
    known = sorted({a for v in videos for a in v.groups})
    if not known:
        raise BenchError(f"{source.label} has no annotations. Put demographics.csv or a published table in its folder")
    rows = [{"label": v.label, "clip": Path(v.id).stem, **{a: v.groups.get(a, "") for a in known}} for v in videos]
    return AnnotatedVideos(_assign_groups(pd.DataFrame(rows), known), known, [])


def _assign_groups(videos: pd.DataFrame, attributes: list[str]) -> pd.DataFrame:
    """Name each video's group: by gender and race if both are known, like the intersections in scorecards."""
    videos = videos.assign(**{a: videos[a].replace("", UNDEFINED) for a in attributes})
    return videos.assign(group=videos[list(choose_main_pair(attributes))].agg("-".join, axis=1))


def export_for_papers(
    source: DataSource,
    faces: FaceSettings,
    out: Path,
    reporter: Reporter,
    pool: WorkerPool,
    *,
    size: int = 256,
    seed: int = 0,
) -> tuple[dict[str, int], list[str]]:
    """Prepare a dataset's faces if needed, and write them in the format that the fairness papers' code reads.

    Args:
        source: the dataset.
        faces: how faces are extracted from videos.
        out: the folder for images and CSVs.
        reporter: receives progress.
        pool: the processes that prepare faces.
        size: an image's side in pixels.
        seed: random seed of the training pairs.

    Returns:
        The number of frames in each list, and a line for every video that is in no list.
    """
    splits = sorted({v.split for v in source.videos})
    store = source.prepare(splits, faces, reporter, pool)
    videos = [v for split in splits for v in source.split(split)]
    with reporter.task(f"writing {out}") as tick:
        return export(videos, store, BoxCrop(size), out, seed, source.name, tick)
