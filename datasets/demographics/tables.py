"""Demographics of each video: reads a dataset's `demographics.csv` into `Video.groups`.

Its columns are `video` (the path within the dataset's folder), then one for each attribute: `gender`, `race`, ...
An empty cell is an unknown attribute. Videos without a row have no groups. If there is no such file, a published
annotation table (annotations.py) in the dataset's folder is used instead.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...benchmark.core.display import restore_formula
from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import normalise_id, open_csv, shorten
from ...benchmark.core.types import Video
from ..spelling import make_stem_key
from .annotations import make_video_key, read_annotations


def add_groups(videos: list[Video], table: Path, published: Path | None = None) -> list[Video]:
    """Return the videos with groups from `table` or `published`, or unchanged without either.

    Raises:
        BenchError: the table can't be used (names the row), or contains none of these videos.
    """
    if table.is_file():
        groups = read_groups(table)
        by_stem = {
            make_stem_key(normalise_id(video)): found for video, found in groups.items()
        }  # For a transcoded copy.
        found = [groups.get(v.id, by_stem.get(make_stem_key(v.id))) for v in videos]
        return _merge_groups(videos, found, len(groups), table)
    if published and published.is_file():
        annotations = read_annotations(published)
        return _merge_groups(
            videos, [annotations.get(make_video_key(v.id)) for v in videos], len(annotations), published
        )
    return videos


def _merge_groups(
    videos: list[Video], found: Sequence[Mapping[str, str] | None], rows: int, table: Path
) -> list[Video]:
    if videos and all(groups is None for groups in found):
        raise BenchError(
            f"{table}: none of its {rows} videos is in this dataset; the column 'video' must hold paths "
            f"within the dataset's folder, such as {videos[0].id}"
        )
    return [replace(v, groups=groups or {}) for v, groups in zip(videos, found, strict=True)]


def read_groups(table: Path) -> dict[str, dict[str, str]]:
    """Read `video,gender,race,...` into {video: {attribute: value}}, without the empty cells.

    Raises:
        BenchError: it isn't a table, or a row has the wrong number of cells, names no video, or contradicts an earlier
            row.
    """
    groups: dict[str, dict[str, str]] = {}
    packed = open_csv(table, ("video",))
    _check_header(packed.names, table)
    rows = csv.reader(io.StringIO(packed.text, newline=""), delimiter=packed.delimiter)
    try:
        for number, cells in enumerate(rows, start=1):
            if cells and number > 1:
                video, attributes = _parse_row(packed.names, cells, f"{table}, row {number}")
                if groups.setdefault(video, attributes) != attributes:
                    raise BenchError(f"{table}, row {number}: {shorten(video)} has different groups in an earlier row")
    except csv.Error as error:
        raise BenchError(f"{table}, row {rows.line_num}: can't be read as a table: {shorten(error)}") from None
    return groups


def _check_header(header: list[str], table: Path) -> None:
    if "video" not in header or len(header) < 2:
        found = shorten(",".join(header)) or "nothing"
        raise BenchError(f"{table}, row 1: expected a header such as video,gender,race; found {found}")


def _parse_row(header: list[str], cells: list[str], where: str) -> tuple[str, dict[str, str]]:
    if len(cells) != len(header):
        raise BenchError(f"{where}: {len(cells)} cells, but the header has {len(header)} ({shorten(','.join(header))})")
    row = dict(zip(header, (restore_formula(cell.strip()) for cell in cells), strict=True))
    video = row.pop("video")
    if not video:
        raise BenchError(f"{where}: the cell 'video' is empty; expected a path within the dataset's folder")
    return video, {attribute: value for attribute, value in row.items() if value}
