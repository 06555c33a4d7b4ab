"""A table of videos, or of their pictures, kept as columns: each video is made when it is asked for."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..benchmark.core.errors import BenchError, did_you_mean
from ..benchmark.core.types import FAKE, REAL, SPLITS, Picture, Video

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = {"0": REAL, "real": REAL, "1": FAKE, "fake": FAKE}
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


def read_manifest(path: Path) -> Manifest:
    """Read a table with at least the columns `path` and `label`; see folder.py for the others.

    Raises:
        BenchError: see `make_manifest`; or it is no table.
    """
    return make_manifest(_read(path), path)


def make_manifest(table: pa.Table, path: Path, origin: str = "pictures") -> Manifest:
    """Check and sort a table that `path`, or files in this folder, hold; its columns are text and the number `frame`.

    Raises:
        BenchError: a column is missing, a value can't be understood (tells the row), or a video has two labels.
    """
    import pyarrow as pa

    missing = [name for name in COLUMNS[:2] if name not in table.column_names]
    if missing:
        near = did_you_mean(missing[0], table.column_names)
        raise BenchError(f"{path}: no column '{missing[0]}'.{near} Found: {', '.join(table.column_names)}")
    if not len(table):
        raise BenchError(f"{path} has no rows below its header")
    table = _normalise_labels(table.combine_chunks()).append_column("row", pa.array(np.arange(2, len(table) + 2)))
    _check_values(table, path)
    name = "video" if "video" in table.column_names else "path"
    table = _sort_table(table, [name, *(["frame"] if "frame" in table.column_names else [])])
    starts = _find_starts(table[name])
    _check_videos(table, starts, name, path)
    return Manifest(table.drop_columns("row"), starts, path if path.is_dir() else path.parent, origin)


def _read(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
            types = {name: pa.int64() if name == "frame" else pa.string() for name in names}
            options = arrow_csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=True
            )
            table = arrow_csv.read_csv(path, convert_options=options)
        texts = [pa.field(f.name, pa.int64() if f.name == "frame" else pa.string()) for f in table.schema]
        return table.cast(pa.schema(texts))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise BenchError(f"{path} can't be read as a table: {' '.join(str(error).split())[:200]}") from None


def _normalise_labels(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    labels = pc.utf8_lower(pc.utf8_trim_whitespace(table["label"]))
    return table.set_column(table.column_names.index("label"), "label", labels)


def _check_values(table: pa.Table, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = {"label": list(LABELS), "split": list(SPLITS)}
    for name, values in known.items():
        if name in table.column_names:
            fine = pc.is_in(table[name], pa.array(values))
            _reject_rows(
                table, pc.invert(fine), f"{path}, row {{row}}: {name} is {{{name}}}; expected {', '.join(values)}"
            )
    for name in {"path", "video", "frame"} & set(table.column_names):
        _reject_rows(table, pc.is_null(table[name]), f"{path}, row {{row}}: the cell '{name}' is empty")


def _check_videos(table: pa.Table, starts: np.ndarray, name: str, path: Path) -> None:
    """A video has one label and one split, and no row comes twice."""
    import pyarrow as pa

    inside = np.ones(len(table), bool)
    inside[starts[:-1]] = False
    unique = {"path": "is listed twice"} if name == "path" else {"frame": "has a frame twice"}
    for column in {"label", "split"} & set(table.column_names):
        differs = inside & ~_mark_repeats(table[column])
        _reject_rows(table, pa.array(differs), f"{path}, row {{row}}: {{{name}}} has another {column} in another row")
    for column in unique.keys() & set(table.column_names):
        twice = inside & _mark_repeats(table[column])
        _reject_rows(table, pa.array(twice), f"{path}, row {{row}}: {{{name}}} {unique[column]}")


def _mark_repeats(column: Any) -> np.ndarray:
    """Tell of every row whether its cell is that of the row before; of the first, that it isn't."""
    import pyarrow.compute as pc

    same = pc.equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy()
    return np.concatenate([[False], same])


def _reject_rows(table: pa.Table, wrong: Any, text: str) -> None:
    rows = table.filter(wrong)
    if len(rows):
        raise BenchError(text.format(**rows.slice(0, 1).to_pylist()[0]))


def _sort_table(table: pa.Table, names: list[str]) -> pa.Table:
    import pyarrow.compute as pc

    first = table[names[0]]
    ascending = pc.all(pc.less(first.slice(0, len(first) - 1), first.slice(1))).as_py()
    return table if ascending else table.sort_by([(name, "ascending") for name in names]).combine_chunks()


def _find_starts(column: Any) -> np.ndarray:
    return np.append(np.flatnonzero(~_mark_repeats(column)), len(column))
