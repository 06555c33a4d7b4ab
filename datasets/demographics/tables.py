"""Who is seen in each video: reads `demographics.csv` beside a dataset into `Video.groups`.

Its columns are `video` (the path within the dataset's folder), then one for each attribute: `gender`, `race`, ...
An empty cell is an attribute that isn't known. Videos without a row keep no groups. Where there is no such file, a
published annotation table (annotations.py) beside the dataset serves as well.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...benchmark.core.display import restore_formula
from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import Video
from .annotations import make_video_key, read_annotations


def add_groups(videos: list[Video], table: Path, published: Path | None = None) -> list[Video]:
    """Return the videos with the groups that `table` gives them, or `published`, else as they are.

    Raises:
        BenchError: the table can't be used, or names none of these videos; says which row.
    """
    if table.is_file():
        return _merge_groups(videos, read_groups(table), lambda v: v.id, table)
    if published and published.is_file():
        return _merge_groups(videos, read_annotations(published), lambda v: make_video_key(v.id), published)
    return videos


def _merge_groups(
    videos: list[Video], groups: Mapping[Any, Mapping[str, str]], key: Callable[[Video], Any], table: Path
) -> list[Video]:
    if videos and not any(key(v) in groups for v in videos):
        raise BenchError(
            f"{table}: not one of its {len(groups)} videos is one of this dataset; the column 'video' holds paths "
            f"within the dataset's folder, such as {videos[0].id}"
        )
    return [replace(v, groups=groups.get(key(v), {})) for v in videos]


def read_groups(table: Path) -> dict[str, dict[str, str]]:
    """Read `video,gender,race,...` into {video: {attribute: value}}, without the empty cells.

    Raises:
        BenchError: a row has the wrong number of cells, names no video, or contradicts an earlier row.
    """
    groups: dict[str, dict[str, str]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(header, table)
        for number, cells in enumerate(rows, start=2):
            if cells:
                video, attributes = _parse_row(header, cells, f"{table}, row {number}")
                if groups.setdefault(video, attributes) != attributes:
                    raise BenchError(f"{table}, row {number}: {video} has other groups in an earlier row")
    return groups


def _check_header(header: list[str], table: Path) -> None:
    if "video" not in header or len(header) < 2 or len(set(header)) < len(header):
        found = ",".join(header) or "nothing"
        raise BenchError(f"{table}, row 1: expected a header such as video,gender,race; found {found}")


def _parse_row(header: list[str], cells: list[str], where: str) -> tuple[str, dict[str, str]]:
    if len(cells) != len(header):
        raise BenchError(f"{where}: {len(cells)} cells, but the header has {len(header)} ({','.join(header)})")
    row = dict(zip(header, (restore_formula(cell.strip()) for cell in cells), strict=True))
    video = row.pop("video")
    if not video:
        raise BenchError(f"{where}: the cell 'video' is empty; it holds the path within the dataset's folder")
    return video, {attribute: value for attribute, value in row.items() if value}
