"""Predictions: a parquet table, one row per frame, with what made it in its metadata. CSVs of others are read too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, ValidationError

from .cell_description import CellDescription
from .display import say_once
from .errors import BenchError
from .readers import parse_json, read_parquet, shorten
from .readers.tables import is_parquet, open_csv, read_csv_frame
from .records import Record, describe_flaw
from .score_tables import OURS, ConformedTable, TableForm, conform_table, conform_values, name_columns
from .scorecard import Dropped, Polygon, Throughput
from .storage import write_atomically, write_json

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
ATTRIBUTES = "attributes"
"""Which columns say who is seen: a key of a table's `attrs`, as of the metadata."""
STANDARD_INPUT = Path("-")
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
PANDAS_INDEX = "__index_level_"  # What pandas calls row numbers that it writes.
TEXTS = ("video", "method", "dataset", "identity", "gender", "race")
KEEP_EVERY = 60.0  # seconds between what is kept of an unfinished scoring: as much as a kill can cost


class PredictionsMetadata(Record):
    """What there is to know of predictions; nothing is set of a table from elsewhere.

    `official` and `scored` count videos, but where a dataset was scored by itself, `scored` names it; `dropped` are the
    videos that couldn't be scored. `origins` are those of faces that were imported, `attributes` the columns that say
    who is seen (None in older files), `faces` the folder of the face store, `artifacts` the outlines of what a detector
    takes for artifacts, by video. `made_by` is what unfinished predictions come from. `several_people` counts the
    scored videos with frames that show more than one face (None in older files): one person's are scored. `people` is
    `all` where there are rows of everybody, told by the column `person`: only those of 1 are read.
    """

    official: int | None = None
    scored: int | str | None = None
    dropped: list[Dropped] = Field(default_factory=list)
    throughput: Throughput | None = None
    origins: list[str] = Field(default_factory=list)
    attributes: list[str] | None = None
    params: int | None = None
    flops: int | None = None
    artifacts: dict[str, list[Polygon]] = Field(default_factory=dict)
    faces: str | None = None
    cell: CellDescription = CellDescription()
    split: str = ""
    made_by: str = ""
    several_people: int | None = None
    people: str = ""


def keep_main(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of each video's main person, of a table with everybody's."""
    return table[table["person"] == 1].drop(columns="person").reset_index(drop=True)


LOCAL = ("throughput", "faces")
"""What differs between equal runs, in time or on another machine: it lies beside the predictions."""


def locate_local(path: Path) -> Path:
    """Return the file that has the `LOCAL` part of the metadata of the predictions `path`."""
    return path.with_suffix(".local.json")


def write_predictions(path: Path, table: pd.DataFrame, metadata: PredictionsMetadata) -> None:
    """Write predictions as parquet, with `metadata` (JSON) under the metadata key `crossfake`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = pa.Table.from_pandas(table, preserve_index=False)
    content = {"schema_version": SCHEMA_VERSION, **metadata.to_json()}
    meta = {**(packed.schema.metadata or {}), b"crossfake": json.dumps(content)}
    with write_atomically(path) as temporary:
        pq.write_table(packed.replace_schema_metadata(meta), temporary)


def read_predictions(path: Path) -> tuple[pd.DataFrame, PredictionsMetadata]:
    """Read predictions as `read_score_table` does, in our own form, and their metadata.

    Raises:
        BenchError: see `read_score_table`.
    """
    found, metadata = read_score_table(path)
    return found.table, metadata


def name_table(predictions: Path | pd.DataFrame) -> str:
    """Return what errors call predictions."""
    if not isinstance(predictions, Path):
        return "the table"
    return "standard input" if predictions == STANDARD_INPUT else str(predictions)


def read_score_table(
    predictions: Path | pd.DataFrame, form: TableForm = OURS
) -> tuple[ConformedTable, PredictionsMetadata]:
    """Read predictions, parquet or CSV in any dialect, and their metadata.

    Those that we wrote stay as they are; see `conform_table` for tables from elsewhere. The table's `attrs` have the
    columns that say who is seen, as `attributes`, where the metadata name them.

    Args:
        predictions: the file, `-` for a CSV on standard input, or a table.
        form: how it is written.

    Raises:
        BenchError: no such file, not a table, or metadata that isn't of predictions; names the file.
    """
    table_name = name_table(predictions)
    if not isinstance(predictions, Path):
        return conform_table(predictions, form, table_name), PredictionsMetadata()
    if predictions == STANDARD_INPUT:
        return _read_csv(Path(table_name), form, sys.stdin.buffer.read()), PredictionsMetadata()
    return _read_file(predictions, form)


def _read_file(path: Path, form: TableForm) -> tuple[ConformedTable, PredictionsMetadata]:
    if not path.is_file():
        raise BenchError(f"no predictions {path}. Give a .parquet or .csv file, or a run's test folder")
    if not is_parquet(path):
        return _read_csv(path, form), PredictionsMetadata()
    packed = read_parquet(path)
    name_columns(packed.column_names, {}, str(path))  # No name twice.
    packed = packed.drop_columns([name for name in packed.column_names if name.startswith(PANDAS_INDEX)])
    ours = (packed.schema.metadata or {}).get(b"crossfake")
    try:
        # Pandas' own notes on types are dropped: they can be anything, and only plain types are accepted.
        table = packed.replace_schema_metadata(None).to_pandas()
    except Exception as error:  # Arrow's, and what pandas makes of times and numbers beyond its range.
        raise BenchError(f"{path} can't be read as a table: {shorten(error)}") from None
    if ours is None or form != OURS:
        return conform_table(table, form, str(path)), _read_metadata(path, ours or b"{}")
    metadata = _read_metadata(path, ours).merge(_read_local(path))
    if metadata.people == "all" and "person" in table:
        table = keep_main(table)
    table, _ = conform_values(table, "", str(path))
    table.attrs = {} if metadata.attributes is None else {ATTRIBUTES: metadata.attributes}
    return ConformedTable(table, []), metadata


def _read_csv(path: Path, form: TableForm, content: bytes | None = None) -> ConformedTable:
    """Read a CSV; a video may be called NA, in all other columns that means a missing value."""
    packed = open_csv(path, content=content)
    names = name_columns(packed.names, form.columns, str(path))
    unique = [name or f"replaced {place}" for place, name in enumerate(names)]
    missing = {name: MISSING if name != "video" else [""] for name in unique}
    texts = dict.fromkeys(TEXTS, str)
    options = {"dtype": texts, "keep_default_na": False, "na_values": missing, "low_memory": False}
    table = read_csv_frame(path, packed, unique, **options)
    replaced = [column for column, name in zip(unique, names, strict=True) if name is None]
    return conform_table(table.drop(columns=replaced), TableForm(fake_is=form.fake_is), str(path))


def has_predictions(path: Path, say: Callable[[str], None]) -> bool:
    """Return whether predictions were written and can be read; say that they are made again where they are damaged."""
    if not path.is_file():
        return False
    try:
        table, _ = read_predictions(path)
    except BenchError as error:
        say(f"{error}: made again")
        return False
    if lacking := [name for name in ("video", "frame", "label", "score") if name not in table]:
        say(f"{path} has no column {lacking[0]}: made again")
    return not lacking


def _read_metadata(path: Path, packed: bytes) -> PredictionsMetadata:
    hint = "Score its table as a .csv file"
    content = parse_json(packed, dict, f"{path}'s metadata", hint)
    content.pop("schema_version", None)
    try:
        return PredictionsMetadata.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{path}'s metadata: {describe_flaw(error)}. {hint}") from None


def _read_local(path: Path) -> PredictionsMetadata:
    """Return what lies beside predictions; nothing if it is gone or damaged, since no number depends on it."""
    file = locate_local(path)
    if not file.is_file():
        return PredictionsMetadata()
    try:
        return PredictionsMetadata.read(file, "Speed and worst cases are left out. Remove it")
    except BenchError as error:
        say_once(str(error))
        return PredictionsMetadata()


class PartialPredictions:
    """What is scored so far, kept in a file, so that a killed scoring continues where it stopped.

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
            try:
                table, metadata = read_predictions(self.path)
            except BenchError as error:  # Damaged by a full disk, say.
                say_once(f"{error}: scoring starts over")
                return np.empty(0, np.float32)
            same = ["video", "frame"]
            begun = metadata.made_by == self.made_by and {*same, "score"} <= {*table}
            scores = table["score"].to_numpy() if begun else np.empty(0)
            if len(scores) and scores.dtype.kind == "f" and table[same].equals(rows[same].head(len(table))):
                return scores if np.isfinite(scores).all() else np.empty(0, np.float32)
        return np.empty(0, np.float32)

    def keep(self, rows: pd.DataFrame, scores: list[np.ndarray]) -> None:
        """Keep the scores of the first rows, once a minute, until all have one."""
        if time.monotonic() - self.kept < KEEP_EVERY:
            return
        known = np.concatenate(scores)
        if len(known) < len(rows):
            write_predictions(
                self.path, rows.head(len(known)).assign(score=known), PredictionsMetadata(made_by=self.made_by)
            )
        self.kept = time.monotonic()

    def finish(self, table: pd.DataFrame, metadata: PredictionsMetadata) -> None:
        """Write the predictions, the same bytes for the same scores, and remove what was kept."""
        told = metadata.to_json()
        write_json(locate_local(self.whole), {name: told[name] for name in LOCAL if name in told})
        write_predictions(self.whole, table, metadata.without(LOCAL))
        self.path.unlink(missing_ok=True)
