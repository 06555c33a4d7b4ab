"""Predictions: a parquet table, a row a frame, with what made it in the metadata. CSVs from elsewhere are read too."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import BenchError
from .storage import write_atomically

SCHEMA_VERSION = 1
ATTRIBUTES = "attributes"
"""Which columns say who is seen: a key of the metadata since they are written, and of a table's `attrs`."""
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
KEEP_EVERY = 60.0  # seconds between what is kept of an unfinished scoring: as much as a kill can cost


def write_predictions(path: Path, table: pd.DataFrame, metadata: dict[str, Any]) -> None:
    """Write predictions as parquet, with `metadata` (JSON) under the metadata key `crossfake`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = pa.Table.from_pandas(table, preserve_index=False)
    meta = {**(packed.schema.metadata or {}), b"crossfake": json.dumps({"schema_version": SCHEMA_VERSION, **metadata})}
    with write_atomically(path) as temporary:
        pq.write_table(packed.replace_schema_metadata(meta), temporary)


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV; a video may be called NA, in all other columns that means a missing value."""
    columns = pd.read_csv(path, nrows=0).columns
    missing = {c: MISSING if c != "video" else [""] for c in columns}
    texts = dict.fromkeys(("video", "method", "identity", "gender", "race"), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=missing)


def read_predictions(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read predictions (parquet or CSV) and their metadata ({} for a table from elsewhere).

    The table's `attrs` have the columns that say who is seen, as `attributes`, where the metadata name them.

    Raises:
        BenchError: no such file, or not a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BenchError(f"no predictions {path}. Give a .parquet or .csv file, or a run's test folder")
    try:
        if path.suffix.lower() not in (".parquet", ".pq"):
            return _read_csv(path), {}
        packed = pq.read_table(path)
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} can't be read as a table: {' '.join(str(error).split())[:160]}") from None
    metadata = json.loads((packed.schema.metadata or {}).get(b"crossfake", b"{}"))
    table = packed.to_pandas()
    if "label" in table and pd.api.types.is_string_dtype(table["label"]):  # As other tools write '0' and '1'.
        table["label"] = pd.to_numeric(table["label"], errors="coerce")
    table.attrs = {ATTRIBUTES: metadata[ATTRIBUTES]} if ATTRIBUTES in metadata else {}
    return table, metadata


class PartialPredictions:
    """What is scored so far, kept in a file, so that a killed scoring goes on where it was.

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
            table, metadata = read_predictions(self.path)
            same = ["video", "frame"]
            if metadata["made_by"] == self.made_by and table[same].equals(rows[same].head(len(table))):
                return table["score"].to_numpy()
        return np.empty(0, np.float32)

    def keep(self, rows: pd.DataFrame, scores: list[np.ndarray]) -> None:
        """Keep the scores of the first rows, once a minute, until all have one."""
        if time.monotonic() - self.kept < KEEP_EVERY:
            return
        known = np.concatenate(scores)
        if len(known) < len(rows):
            write_predictions(self.path, rows.head(len(known)).assign(score=known), {"made_by": self.made_by})
        self.kept = time.monotonic()

    def finish(self, table: pd.DataFrame, metadata: dict[str, Any]) -> None:
        """Write the predictions, and remove what was kept."""
        write_predictions(self.whole, table, metadata)
        self.path.unlink(missing_ok=True)
