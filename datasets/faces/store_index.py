"""A face store's table of contents, so that a process needn't read all shards to open the store.

It is derived from the shards: if it is missing, truncated or damaged, it is rebuilt from them. The file has 64 bytes
(the magic word, the CRC-32 of the rest) and an Arrow file with one row per video. The metadata of its schema names the
shards, their sizes and the settings they were made with.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ...benchmark.core.collector import pause_collector
from ...benchmark.core.display import say_once
from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import parse_json
from ...benchmark.core.storage import write_atomically
from ...benchmark.core.types import LostFrame, PrepareResult

NAME = ".index"
MAGIC = b"xfindex1"
SINGLE = 50  # Who has asked for one entry of so many will ask for most: by columns, each takes an eighth of the time.
HEADER = 64  # bytes, so that what follows is aligned.
METADATA = b"crossfake"
SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("number", pa.int32()),
        ("checksums", pa.list_(pa.uint32())),
        ("video", pa.string()),
        ("status", pa.string()),
        ("wanted", pa.int32()),
        ("decoded", pa.int32()),
        ("frames", pa.list_(pa.int32())),
        ("several", pa.int32()),
        ("reason", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("generation", pa.int32()),
        ("origin", pa.string()),
        ("follows", pa.string()),
        ("lost", pa.list_(pa.struct([("frame", pa.int32()), ("reason", pa.string())]))),
        ("mask_size", pa.int64()),
    ]
)
Sizes = dict[str, int]
"""Shards by name, with their sizes in bytes."""


class Entry(NamedTuple):
    """Where a video is: its shard, the batch in it, and its rows' checksums (None for an old shard)."""

    path: Path
    number: int
    outcome: PrepareResult
    checksums: Sequence[int] | None


class StoreIndex(Mapping[str, Entry]):
    """The videos of the shards in `sizes`, by id; entries are made on first use, many at once."""

    def __init__(self, folder: Path, table: pa.Table, sizes: Sizes, settings: list[dict[str, object]]):
        self.sizes, self.settings = sizes, settings
        self._table = table
        self._paths = [folder / name for name in sizes]
        self._rows = {video: row for row, video in enumerate(table.column("video").to_pylist())}
        self._made: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, video: str) -> Entry:
        if video not in self._made:
            row = self._rows[video]
            if SINGLE * len(self._made) < len(self):
                self._make(row, 1)
            else:
                self.make_all()
        return self._made[video]

    def make_all(self) -> Mapping[str, Entry]:
        """Return all entries, made by columns, much faster than one after another."""
        if len(self._made) < len(self):
            with pause_collector():
                self._make(0, len(self))
        return self._made

    def _make(self, first: int, count: int) -> None:
        rows = self._table.slice(first, count)
        checksums, frames = (_split_lists(rows.column(name)) for name in ("checksums", "frames"))
        shared: dict[bytes, tuple[int, ...]] = {}  # Most videos of a dataset have the same frames.
        columns = rows.drop_columns(["checksums", "frames"]).to_pydict()
        places = zip(columns.pop("shard"), columns.pop("number"), checksums, strict=True)
        columns["frames"] = [
            () if one is None else shared.get(key := one.tobytes()) or shared.setdefault(key, tuple(one.tolist()))
            for one in frames
        ]
        columns["lost"] = [tuple(LostFrame(**one) for one in lost) for lost in columns["lost"]]
        for (shard, number, sums), *values in zip(places, *(columns[name] for name in _FIELDS), strict=True):
            outcome = PrepareResult(*values)
            self._made[outcome.video] = Entry(self._paths[shard], number, outcome, sums)


_FIELDS = [field.name for field in fields(PrepareResult)]


def _split_lists(column: pa.ChunkedArray) -> list[np.ndarray | None]:
    """Return each row's numbers without making Python objects; `to_numpy` would import pandas."""
    array = column.combine_chunks()
    offsets, values = np.from_dlpack(array.offsets), np.from_dlpack(array.values)
    there = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else np.ones(len(array), dtype=bool)
    return [values[a:b] if ok else None for a, b, ok in zip(offsets[:-1], offsets[1:], there, strict=True)]


def measure_shards(paths: Sequence[Path]) -> Sizes:
    """Return the sizes of shards, by name."""
    return {path.name: path.stat().st_size for path in paths}


def write_index(
    folder: Path, sizes: Sizes, settings: Sequence[Mapping[str, object]], entries: Mapping[str, Entry]
) -> None:
    """Write the table of contents of all a store's shards.

    Raises:
        WriteError: it can't be written; the old one stays.
    """
    places = {name: place for place, name in enumerate(sizes)}
    outcomes = [entry.outcome for entry in entries.values()]
    columns: dict[str, list[object]] = {name: [getattr(o, name) for o in outcomes] for name in _FIELDS}
    columns["lost"] = [[one._asdict() for one in outcome.lost] for outcome in outcomes]
    columns["shard"] = [places[entry.path.name] for entry in entries.values()]
    columns["number"] = [entry.number for entry in entries.values()]
    columns["checksums"] = [entry.checksums for entry in entries.values()]
    metadata = {METADATA: json.dumps({"shards": sizes, "settings": list(settings)}).encode()}
    table = pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA.with_metadata(metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    with write_atomically(folder / NAME) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<8sI", MAGIC, zlib.crc32(content)).ljust(HEADER, b"\0"))
        file.write(content)


def read_index(folder: Path) -> StoreIndex | None:
    """Return a store's table of contents; None if there is none or, with a message, if it is damaged."""
    try:
        with (folder / NAME).open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        magic, checksum = struct.unpack("<8sI", content[:12])
        if magic != MAGIC:  # From another version.
            return None
        if zlib.crc32(content[HEADER:]) != checksum:
            raise ValueError("it isn't what was written")
        table = pa.ipc.open_file(pa.py_buffer(content[HEADER:])).read_all()
        table.validate(full=True)
        told = parse_json((table.schema.metadata or {}).get(METADATA, b""), dict, NAME)
        if not table.schema.equals(SCHEMA) or not _is_sound(table, len(told["shards"])):
            raise ValueError("its columns are others")
        return StoreIndex(folder, table.combine_chunks(), told["shards"], told["settings"])
    except FileNotFoundError:
        return None
    except (BenchError, OSError, ValueError, KeyError, TypeError, struct.error, pa.ArrowException) as error:
        say_once(f"{folder / NAME} is damaged ({error}): it is rebuilt from the faces next to it")
        return None


def _is_sound(table: pa.Table, shards: int) -> bool:
    """Return whether no value is missing and every shard is known."""
    whole = not any(table.column(name).null_count for name in table.column_names if name != "checksums")
    places = np.from_dlpack(table.column("shard").combine_chunks())
    return whole and (not len(places) or bool(places.min() >= 0 and places.max() < shards))
