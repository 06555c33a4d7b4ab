"""Tables: CSV in common dialects (comma, semicolon, tab or bar; UTF-8 or UTF-16), and parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, Unpack

from ..errors import BenchError, make_unknown_error
from .text import decode_text, read_bytes, shorten

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

DELIMITERS = (",", ";", "\t", "|")
MOST_COLUMNS, MOST_ROWS_A_BYTE = 10_000, 100
PARQUET_SUFFIXES, PARQUET_START = (".parquet", ".pq"), b"PAR1"


class CsvText(NamedTuple):
    """A CSV's text from its header on, its delimiter, and the names of its columns."""

    text: str
    delimiter: str
    names: list[str]


class CsvRow(NamedTuple):
    """A row: its number (the header's is 1) and its cells by column, without surrounding blanks."""

    number: int
    cells: dict[str, str]


class CsvOptions(TypedDict, total=False):
    """Options of pandas for reading a CSV, under its names."""

    dtype: Mapping[str, type]
    keep_default_na: bool
    na_values: Mapping[str, Sequence[str]]
    low_memory: bool
    float_precision: Literal["round_trip"]


def is_parquet(path: Path) -> bool:
    """Return whether a table is parquet, by its name."""
    return path.suffix.lower() in PARQUET_SUFFIXES


def open_csv(path: Path, known: Collection[str] = (), content: bytes | None = None) -> CsvText:
    """Detect a CSV's dialect.

    Args:
        path: the file.
        known: columns whose names are accepted in any case; other names stay as they are, without blanks.
        content: its bytes, if they have been read.

    Raises:
        BenchError: it can't be read, isn't text, is empty, or has a column twice.
    """
    content = read_bytes(path) if content is None else content
    if content.startswith(PARQUET_START):
        raise BenchError(f"{path} holds a parquet file, not a CSV. Give the path of a file named .parquet")
    text = decode_text(content, str(path))
    first = text.lstrip("\r\n").partition("\n")[0].partition("\r")[0]
    if not first.strip():
        raise BenchError(f"{path} is empty: expected a table with a header")
    delimiter, cells = _split_header(first, path)
    folded = {name.casefold(): name for name in known}
    names = [folded.get(cell.strip().casefold(), cell.strip()) for cell in cells]
    _refuse_repeats(names, path)
    return CsvText(text.lstrip("\r\n"), delimiter, names)


def _split_header(line: str, path: Path) -> tuple[str, list[str]]:
    """Split a header by the delimiter that gives the most columns; by blanks if there is no other."""
    try:
        splits = {mark: next(csv.reader([line], delimiter=mark)) for mark in DELIMITERS}
    except csv.Error as error:
        raise BenchError(f"{path} can't be read as a table: {shorten(error)}") from None
    best = max(DELIMITERS, key=lambda mark: len(splits[mark]))
    if len(splits[best]) == 1 and " " in line.strip():
        return " ", line.split(" ")
    return best, splits[best]


def _refuse_repeats(names: list[str], path: Path) -> None:
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise BenchError(f"{path} has the column '{shorten(twice[0])}' twice. Remove or rename one")


def require_columns(names: Collection[str], wanted: Collection[str], path: Path) -> None:
    """Refuse a table that lacks a column.

    Raises:
        BenchError: a column is missing; names the nearest and all columns.
    """
    for name in wanted:
        if name not in names:
            found = f"Found: {shorten(', '.join(names), 300)}"
            raise make_unknown_error(f"{path}: no column '{name}'", name, names, found)


def read_csv_rows(path: Path, columns: Collection[str] = (), optional: Collection[str] = ()) -> list[CsvRow]:
    """Read a CSV into rows of text; empty rows are left out.

    Args:
        path: the file.
        columns: the columns that it must have, in any case.
        optional: further columns whose names are accepted in any case.

    Raises:
        BenchError: it can't be read, lacks a column, or a row's number of cells differs from the header's.
    """
    packed = open_csv(path, (*columns, *optional))
    require_columns(packed.names, columns, path)
    reader = csv.reader(io.StringIO(packed.text, newline=""), delimiter=packed.delimiter)
    rows = []
    try:
        next(reader)
        for number, cells in enumerate(reader, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(packed.names):
                header = shorten(",".join(packed.names))
                where = f"{path}, row {number}"
                raise BenchError(f"{where}: {len(cells)} cells, but the header has {len(packed.names)} ({header})")
            named = dict(zip(packed.names, (cell.strip() for cell in cells), strict=True))
            rows.append(CsvRow(number, named))
    except csv.Error as error:
        raise BenchError(f"{path}, row {reader.line_num}: can't be read as a table: {shorten(error)}") from None
    return rows


_CELLS = re.compile(r"Expected \d+ fields in line (?P<row>\d+), saw (?P<cells>\d+)")
_QUOTE = re.compile(r"EOF inside string starting at row (?P<row>\d+)")


def _explain_parser(message: str, columns: int) -> str:
    """Say in our words what pandas' parser says of a row; it expects as many cells as in the first row."""
    if found := _CELLS.search(message):
        return f"row {found['row']} has {found['cells']} cells, but the header has {columns}"
    if found := _QUOTE.search(message):
        return f"row {int(found['row']) + 1}: a quotation mark is never closed"
    return shorten(message)


def read_csv_frame(path: Path, packed: CsvText, names: list[str], **options: Unpack[CsvOptions]) -> pd.DataFrame:
    """Read a CSV with pandas and its `options`.

    Args:
        path: its name in errors.
        packed: its text.
        names: its columns' names, unique and in order.
        options: such as `dtype`, by these names.

    Raises:
        BenchError: it can't be read as a table, or rows have more cells than the header.
    """
    import pandas as pd

    if int(pd.__version__.partition(".")[0]) < 3:  # Since then it reads every digit, and the option is deprecated.
        options["float_precision"] = "round_trip"
    try:
        table: pd.DataFrame = pd.read_csv(
            io.StringIO(packed.text), sep=packed.delimiter, header=0, names=names, **options
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError) as error:
        raise BenchError(f"{path} can't be read as a table: {_explain_parser(str(error), len(names))}") from None
    if not isinstance(table.index, pd.RangeIndex):  # Where pandas puts cells beyond the header's.
        raise BenchError(f"{path} can't be read as a table: rows have more cells than the header")
    return table


def read_arrow(path: Path, known: Collection[str] = (), types: dict[str, pa.DataType] | None = None) -> pa.Table:
    """Read a CSV or parquet as an Arrow table.

    Args:
        path: the file; parquet by its suffix.
        known: columns whose names are accepted in any case.
        types: Arrow types of a CSV's columns; text by default.

    Raises:
        BenchError: see `open_csv`; or it is damaged, or a cell isn't of its column's type.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if is_parquet(path):
        table = read_parquet(path)
        folded = {name.casefold(): name for name in known}
        names = [folded.get(name.strip().casefold(), name.strip()) for name in table.column_names]
        _refuse_repeats(names, path)
        return table if names == table.column_names else table.rename_columns(names)
    packed = open_csv(path, known)
    read = arrow_csv.ReadOptions(column_names=packed.names, skip_rows=1)
    convert = arrow_csv.ConvertOptions(
        column_types={name: (types or {}).get(name, pa.string()) for name in packed.names},
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    parse = arrow_csv.ParseOptions(delimiter=packed.delimiter, newlines_in_values=True)
    try:
        return arrow_csv.read_csv(pa.py_buffer(packed.text.encode()), read, parse, convert)
    except (pa.ArrowException, ValueError) as error:
        raise BenchError(f"{path} can't be read as a table: {shorten(error, 200)}") from None


def read_parquet(path: Path, columns: list[str] | None = None, texts: Sequence[str] = ()) -> pa.Table:
    """Read a parquet file, or some of its columns; missing ones are left out.

    Args:
        path: the file.
        columns: their names; all by default.
        texts: columns with few different texts, read as dictionaries in a tenth of the time.

    Raises:
        BenchError: it is missing, truncated or damaged; one line that names the file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise BenchError(f"no table {path}")
    try:
        metadata = parquet.read_metadata(path)
        _refuse_inflation(metadata, path)
        known = [name for name in texts if name in metadata.schema.names]
        with parquet.ParquetFile(path, metadata=metadata, read_dictionary=known) as file:
            table = file.read(columns)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, RecursionError, MemoryError) as error:
        why = shorten(str(error).replace(str(path), "it").replace(": a file", ""))
        raise BenchError(f"{path} can't be read as a table: it is damaged or cut short ({why})") from None
    return table


def _refuse_inflation(metadata: parquet.FileMetaData, path: Path) -> None:
    """Refuse a small file that expands to a huge table: a repeated value packs any number of rows into a few bytes."""
    size = path.stat().st_size
    if metadata.num_rows > MOST_ROWS_A_BYTE * size or metadata.num_columns > MOST_COLUMNS:
        rows, columns = f"{metadata.num_rows:,}", f"{metadata.num_columns:,}"
        raise BenchError(f"{path} claims {rows} rows of {columns} columns in {size:,} bytes; such files aren't read")
