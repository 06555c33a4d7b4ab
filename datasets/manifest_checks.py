"""Checks a table of videos: valid cells, and each video listed once, in one split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import normalise_id, shorten
from ..benchmark.core.readers.paths import MOST_NAME_BYTES
from ..benchmark.core.types import SPLITS
from .spelling import MEDIA_SUFFIXES, get_suffix

if TYPE_CHECKING:
    import pyarrow as pa

# The column of row numbers, 2 for the first below the header: named as no column of a file can be.
ROW = "\0row"
# Cells that may not be the one spelling of a path, or that can't name a file.
_UNUSUAL = r"^\.|//|/\.|/$|[\x00-\x1f]|^[A-Za-z]:/"
_SUFFIXES = rf"(\.({'|'.join(sorted(s[1:] for s in MEDIA_SUFFIXES))}))+$"


def respell(column: pa.ChunkedArray, words: Mapping[str, object]) -> pa.ChunkedArray:
    """Translate a column's cells with `words`, ignoring case and spaces; unknown ones stay unchanged."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(column)), pa.array(list(words)))
    return pc.coalesce(pc.take(pa.array([str(v) for v in words.values()]), place), column)


def trim_paths(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without surrounding spaces and with `/` for backslashes."""
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring_regex(column, r"\\|^\s|\s$")).as_py():
        return column
    return pc.replace_substring(pc.utf8_trim_whitespace(column), "\\", "/")


def check_cells(table: pa.Table, path: Path) -> None:
    """Reject cells that are empty or invalid.

    Raises:
        BenchError: there is such a cell; names the row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = {"label": ("0", "1"), "split": SPLITS}
    expected = {"label": "0, real, 1, fake", "split": "train, val, test"}
    for name in known.keys() & set(table.column_names):
        fine = pc.is_in(table[name], pa.array(known[name]))
        _reject(table, pc.invert(fine), path, name, f"{name} is {{}}; expected {expected[name]}")
    for name in {"path", "video", "frame"} & set(table.column_names):
        empty = pc.is_null(table[name])
        if name != "frame":
            empty = pc.or_(empty, pc.equal(table[name].fill_null(""), ""))
        _reject(table, empty, path, name, f"the cell '{name}' is empty")
    if "frame" in table.column_names:
        _reject(table, pc.less(table["frame"], 0), path, "frame", "frame is {}; expected 0 or more")


def check_paths(table: pa.Table, path: Path, root: Path) -> None:
    """Reject paths and ids that lead out of `root`, the data's folder, or that no file can have.

    Raises:
        BenchError: there is such a path; names the row.
    """
    import pyarrow.compute as pc

    folder = str((path if path.is_dir() else path.parent).absolute())
    here = str(root.absolute()).rstrip("/") + "/"
    for name in (n for n in ("path", "video") if n in table.column_names):
        column = table[name]
        outside = pc.and_(pc.starts_with(column, "/"), pc.invert(pc.starts_with(column, here)))
        suspect = pc.or_(outside, pc.match_substring_regex(column, rf"{_UNUSUAL}|/\.\."))
        suspect = pc.or_(suspect, pc.greater(pc.binary_length(column), MOST_NAME_BYTES))
        for row in table.select([ROW, name]).filter(suspect).to_pylist():
            if flaw := _find_flaw(row[name], folder, here):
                raise BenchError(f"{path}, row {row[ROW]}: the {name} {shorten(row[name])} {flaw}")


def _find_flaw(text: str, folder: str, root: str) -> str:
    if any(character < " " for character in text):
        return "has a control character in it"
    if any(len(part.encode()) > MOST_NAME_BYTES for part in text.split("/")):
        return f"has a name of over {MOST_NAME_BYTES} bytes, which no file can have"
    full = normalise_id(str(Path(folder) / text))
    return "" if f"{full}/".startswith(root) else f"leads out of {root}. Name a --data folder that holds all"


def check_videos(table: pa.Table, starts: np.ndarray, name: str, path: Path) -> None:
    """Reject a video with two labels or splits, or one that is listed twice; rows are sorted by `name`.

    Ids that differ only in case are reported, and rejected if only one of them is in the test set.

    Raises:
        BenchError: there is such a video; names the row.
    """
    import pyarrow as pa

    inside = np.ones(len(table), bool)
    inside[starts[:-1]] = False
    for column in {"label", "split"} & set(table.column_names):
        differs = pa.array(inside & ~mark_repeats(table[column]))
        _reject(table, differs, path, name, f"{{}} has a different {column} in another row")
    if "frame" in table.column_names and name == "video":
        twice = pa.array(inside & mark_repeats(table["frame"]))
        _reject(table, twice, path, name, "{} has the same frame twice")
    _refuse_repeats(_normalise(table["path"]), table, path, "path", "is listed twice")
    heads = table.take(starts[:-1])
    _check_spellings(heads, _normalise(heads[name]), name, path)


def _check_spellings(heads: pa.Table, ids: pa.Array, name: str, path: Path) -> None:
    """Compare videos' ids: normalised, they must differ; in lower case and as stems, they should differ."""
    import pyarrow.compute as pc

    _refuse_repeats(ids, heads, path, name, "is one video in two spellings")
    folded = pc.utf8_lower(pc.utf8_normalize(ids, form="NFC"))
    tested = (
        np.asarray(pc.equal(heads["split"], "test")) if "split" in heads.column_names else np.ones(len(heads), bool)
    )
    same_case = _group_repeats(folded)
    for rows in [*same_case, *_group_repeats(_strip_suffixes(folded))]:
        if len(set(tested[rows])) > 1:
            raise BenchError(
                f"{path}: {_name_two(heads, name, rows)} are one video by their names, and only one is in the test "
                "set. Put both into one split, or rename one"
            )
    if same_case:
        more = f", as do {len(same_case) - 1} more" if len(same_case) > 1 else ""
        first = _name_two(heads, name, same_case[0])
        say_once(f"{path}: {first} differ only in case and count as two videos{more}")


def _name_two(heads: pa.Table, name: str, rows: np.ndarray) -> str:
    both = heads.select([ROW, name]).take(rows[:2]).to_pylist()
    return " and ".join(f"{shorten(row[name])} (row {row[ROW]})" for row in both)


def _normalise(column: pa.ChunkedArray) -> pa.Array:
    """Return normalised paths and ids; most tables need no change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _flatten(column)
    odd = pc.match_substring_regex(column, _UNUSUAL)
    if not pc.any(odd).as_py():
        return column
    changed = pa.array([normalise_id(text) for text in column.filter(odd).to_pylist()], column.type)
    return pc.replace_with_mask(column, odd, changed)


def _strip_suffixes(folded: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    suffix = get_suffix(folded[0].as_py())
    if suffix in MEDIA_SUFFIXES and pc.all(pc.ends_with(folded, suffix)).as_py():
        return folded  # A common suffix distinguishes nothing.
    return pc.replace_substring_regex(folded, _SUFFIXES, "")


def _refuse_repeats(keys: pa.Array, table: pa.Table, path: Path, name: str, what: str) -> None:
    """Reject the first row whose key occurred before."""
    for rows in _group_repeats(keys):
        first, second = sorted(table.select([ROW, name]).take(rows[:2]).to_pylist(), key=lambda row: int(row[ROW]))
        cell = shorten(second[name])
        raise BenchError(f"{path}, row {second[ROW]}: {cell} {what} (see row {first[ROW]}). Remove or fix one")


def _group_repeats(keys: pa.Array) -> list[np.ndarray]:
    """Return the positions of each key that occurs more than once."""
    import pyarrow.compute as pc

    keys = _flatten(keys)
    if pc.all(pc.less(keys.slice(0, len(keys) - 1), keys.slice(1))).as_py():
        return []  # Sorted, like most tables: takes a tenth of the time of hashing.
    encoded = pc.dictionary_encode(keys)
    codes, counts = encoded.indices.to_numpy(), np.bincount(encoded.indices.to_numpy())
    repeated = np.flatnonzero(counts[codes] > 1)
    order = repeated[np.argsort(codes[repeated], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []


def mark_repeats(column: pa.ChunkedArray) -> np.ndarray:
    """Return, for each row, whether its cell equals the one above; False for the first row."""
    import pyarrow.compute as pc

    same = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
    return np.concatenate([[False], np.asarray(same)])


def _reject(table: pa.Table, wrong: pa.Array, path: Path, name: str, text: str) -> None:
    """Reject the first wrong row; `{}` in the text becomes its cell in the column `name`."""
    rows = table.select([ROW, name]).filter(wrong)
    if len(rows):
        row = rows.slice(0, 1).to_pylist()[0]
        raise BenchError(f"{path}, row {row[ROW]}: {text.format(shorten(row[name]))}")


def _flatten(column: pa.ChunkedArray) -> pa.Array:
    """Return a table's column as one array."""
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
