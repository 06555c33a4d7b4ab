"""Predictions: a parquet table, one row per frame, with its origin in the metadata. Other tools' CSVs are read, too."""

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
from .device_use import DeviceUse
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
"""Which columns describe people: a key of a table's `attrs`, as of the metadata."""
STANDARD_INPUT = Path("-")
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
PANDAS_INDEX = "__index_level_"  # The name that pandas gives to a written index.
TEXTS = ("video", "method", "dataset", "identity", "gender", "race")
KEEP_EVERY = 60.0  # seconds between saves of an unfinished scoring: at most this much work is lost


class PredictionsMetadata(Record):
    """The metadata of predictions; nothing is set for a table from elsewhere.

    `official` and `scored` count videos (if `bench predict` scored a dataset, `scored` is its name); `dropped` are the
    videos that couldn't be scored. `origins` are those of imported faces, `attributes` the columns that describe
    people (None in older files), `faces` the folder of the face store, `artifacts` the outlines of what a detector
    takes for artifacts, by video. `made_by` says what unfinished predictions come from. `several_people` counts the
    scored videos with more than one face in a frame (None in older files): only one person is scored. `people` is
    `all` if there are rows for everybody, numbered in the column `person`: only those of person 1 are read.
    `device` is what computed them.
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
    device: DeviceUse = DeviceUse()


def keep_main(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of each video's main person."""
    return table[table["person"] == 1].drop(columns="person").reset_index(drop=True)


LOCAL = ("throughput", "faces", "device")
"""Metadata that differs between equal runs, such as times and machines: kept in a file next to the predictions."""


def locate_local(path: Path) -> Path:
    """Return the file with the `LOCAL` part of the metadata of the predictions `path`."""
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
    """Read predictions in our own form, and their metadata; see `read_score_table`.

    Raises:
        BenchError: see `read_score_table`.
    """
    found, metadata = read_score_table(path)
    return found.table, metadata


def name_table(predictions: Path | pd.DataFrame) -> str:
    """Return the name of predictions in errors."""
    if not isinstance(predictions, Path):
        return "the table"
    return "standard input" if predictions == STANDARD_INPUT else str(predictions)


def read_score_table(
    predictions: Path | pd.DataFrame, form: TableForm = OURS
) -> tuple[ConformedTable, PredictionsMetadata]:
    """Read predictions, parquet or CSV in any dialect, and their metadata.

    Our own predictions stay as they are; see `conform_table` for tables from elsewhere. If the metadata name the
    columns that describe people, the table's `attrs` have them as `attributes`.

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
    name_columns(packed.column_names, {}, str(path))  # Names are unique.
    packed = packed.drop_columns([name for name in packed.column_names if name.startswith(PANDAS_INDEX)])
    ours = (packed.schema.metadata or {}).get(b"crossfake")
    try:
        # Pandas' notes on types are dropped: they can be anything, and only plain types are accepted.
        table = packed.replace_schema_metadata(None).to_pandas()
    except Exception as error:  # Errors from Arrow, and from pandas for times and numbers out of range.
        raise BenchError(f"{path} can't be read as a table: {shorten(error)}") from None
    if ours is None or form != OURS:
        return conform_table(table, form, str(path)), _read_metadata(path, ours or b"{}")
    metadata = _read_metadata(path, ours).merge(read_local(path))
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
    table = read_csv_frame(
        path, packed, unique, dtype=texts, keep_default_na=False, na_values=missing, low_memory=False
    )
    replaced = [column for column, name in zip(unique, names, strict=True) if name is None]
    return conform_table(table.drop(columns=replaced), TableForm(fake_is=form.fake_is), str(path))


def has_predictions(path: Path, say: Callable[[str], None]) -> bool:
    """Return whether predictions exist and can be read; say that damaged ones are recomputed."""
    if not path.is_file():
        return False
    try:
        table, _ = read_predictions(path)
    except BenchError as error:
        say(f"{error}: recomputed")
        return False
    if lacking := [name for name in ("video", "frame", "label", "score") if name not in table]:
        say(f"{path} has no column {lacking[0]}: recomputed")
    return not lacking


def _read_metadata(path: Path, packed: bytes) -> PredictionsMetadata:
    hint = "Score its table as a .csv file"
    content = parse_json(packed, dict, f"{path}'s metadata", hint)
    content.pop("schema_version", None)
    try:
        return PredictionsMetadata.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{path}'s metadata: {describe_flaw(error)}. {hint}") from None


def read_local(path: Path) -> PredictionsMetadata:
    """Return the metadata next to predictions; nothing if the file is missing or damaged: no number depends on it."""
    file = locate_local(path)
    if not file.is_file():
        return PredictionsMetadata()
    try:
        return PredictionsMetadata.read(file, "Speed and worst cases are left out. Remove it")
    except BenchError as error:
        say_once(str(error))
        return PredictionsMetadata()


class PartialPredictions:
    """The scores so far, saved in a file so that a killed scoring continues where it stopped.

    Args:
        path: the final predictions; the unfinished ones are in a hidden file next to them.
        made_by: what the scores come from, if the path doesn't say; saved scores from anything else are ignored.
    """

    def __init__(self, path: Path, made_by: str = ""):
        self.whole, self.path = path, path.with_name(f".{path.stem}.unfinished.parquet")
        self.made_by = made_by
        self.kept = time.monotonic()

    def read_scores(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the saved scores of the first n rows, (n,); n is 0 if there are none, or none of the same origin."""
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
        """Save the scores of the first rows once per minute, until all rows have one."""
        if time.monotonic() - self.kept < KEEP_EVERY:
            return
        known = np.concatenate(scores)
        if len(known) < len(rows):
            write_predictions(
                self.path, rows.head(len(known)).assign(score=known), PredictionsMetadata(made_by=self.made_by)
            )
        self.kept = time.monotonic()

    def finish(self, table: pd.DataFrame, metadata: PredictionsMetadata) -> None:
        """Write the predictions, the same bytes for the same scores, and remove the unfinished file."""
        told = metadata.to_json()
        write_json(locate_local(self.whole), {name: told[name] for name in LOCAL if name in told})
        write_predictions(self.whole, table, metadata.without(LOCAL))
        self.path.unlink(missing_ok=True)
