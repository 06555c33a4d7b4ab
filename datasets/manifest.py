"""A table of videos or their pictures, stored as columns: each video object is made on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import read_arrow, require_columns, shorten
from ..benchmark.core.readers.labels import LABELS
from ..benchmark.core.types import REAL, Picture, Video
from .manifest_checks import ROW, check_cells, check_paths, check_videos, mark_repeats, respell, trim_paths
from .spelling import SPLIT_WORDS

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("path", "label", "video", "frame", "split", "method", "source", "identity")
STEP = 4096


class Manifest(Sequence[Video]):
    """The videos of a table of rows sorted by video and frame; `starts` are each video's first row, and the end."""

    def __init__(self, table: pa.Table, starts: np.ndarray, folder: Path, origin: str):
        self.table = table
        self.starts = starts
        self.folder = folder
        self.origin = origin
        self.groups = [name for name in table.column_names if name not in COLUMNS]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return next(self._make_videos(range(len(self))[index], 1))

    def __iter__(self) -> Iterator[Video]:
        for first in range(0, len(self), STEP):
            yield from self._make_videos(first, min(STEP, len(self) - first))

    def _make_videos(self, first: int, count: int) -> Iterator[Video]:
        starts = self.starts[first : first + count + 1]
        columns = self.table.slice(starts[0], starts[-1] - starts[0]).to_pydict()
        for start, end in zip(starts[:-1] - starts[0], starts[1:] - starts[0], strict=True):
            yield self._make_video({name: values[start:end] for name, values in columns.items()})

    def _make_video(self, rows: dict[str, list[Any]]) -> Video:
        one = {name: values[0] for name, values in rows.items()}
        label = LABELS[one["label"]]
        pictures: tuple[Picture, ...] = ()
        if "video" in rows:
            numbers = rows.get("frame") or range(len(rows["path"]))
            pictures = tuple(Picture(n, str(self.folder / p)) for n, p in zip(numbers, rows["path"], strict=True))
        return Video(
            one.get("video") or one["path"],
            self.folder / one["path"],
            label,
            "real" if label == REAL else one.get("method") or "fake",
            one.get("split") or "test",
            tuple(filter(None, (one.get("identity") or "").split("+"))),
            "",
            one.get("source") or None,
            {name: one[name] for name in self.groups if one[name]},
            pictures,
            self.origin if pictures else "",
        )


def read_manifest(path: Path, root: Path | None = None) -> Manifest:
    """Read a table with at least the columns `path` and `label`; see folder.py for the others.

    Args:
        path: a CSV in any dialect, or parquet.
        root: the folder that no path may lead out of; by default the table's folder.

    Raises:
        BenchError: see `make_manifest`; or it isn't a table.
    """
    return make_manifest(_read(path), path, root=root)


def make_manifest(table: pa.Table, path: Path, origin: str = "pictures", root: Path | None = None) -> Manifest:
    """Check and sort a table from `path`, or from files in this folder; columns are text, `frame` is a number.

    Raises:
        BenchError: a column is missing, a value is invalid (names the row), a path leads out of `root`, or a video has
            two labels or is listed twice.
    """
    import pyarrow as pa

    require_columns(table.column_names, COLUMNS[:2], path)
    if not len(table):
        raise BenchError(f"{path} has no rows below its header")
    table = _respell_columns(table.combine_chunks()).append_column(ROW, pa.array(np.arange(2, len(table) + 2)))
    check_cells(table, path)
    folder = path if path.is_dir() else path.parent
    check_paths(table, path, root or folder)
    name = "video" if "video" in table.column_names else "path"
    table = _sort_table(table, [name, *(["frame"] if "frame" in table.column_names else [])])
    starts = np.append(np.flatnonzero(~mark_repeats(table[name])), len(table))
    check_videos(table, starts, name, path)
    return Manifest(table.drop_columns(ROW), starts, folder, origin)


def _read(path: Path) -> pa.Table:
    import pyarrow as pa

    table = read_arrow(path, COLUMNS, {"frame": pa.int64()})
    texts = [pa.field(f.name, pa.int64() if f.name == "frame" else pa.string()) for f in table.schema]
    try:
        return table.cast(pa.schema(texts))
    except pa.ArrowException as error:
        raise BenchError(f"{path} can't be read as a table: {shorten(error, 200)}") from None


def _respell_columns(table: pa.Table) -> pa.Table:
    words: dict[str, Mapping[str, object]] = {"label": LABELS, "split": SPLIT_WORDS}
    for place, name in enumerate(table.column_names):
        if name in words:
            table = table.set_column(place, name, respell(table[name], words[name]))
        elif name in ("path", "video", "source"):
            table = table.set_column(place, name, trim_paths(table[name]))
    return table


def _sort_table(table: pa.Table, names: list[str]) -> pa.Table:
    import pyarrow.compute as pc

    first = table[names[0]]
    ascending = pc.all(pc.less(first.slice(0, len(first) - 1), first.slice(1))).as_py()
    return table if ascending else table.sort_by([(name, "ascending") for name in names]).combine_chunks()
