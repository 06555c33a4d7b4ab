"""The face store: a folder of Arrow files that any Arrow tool can open, memory-mapped, prepared once for all detectors.

A file (shard) has one record batch per video, in the order of the `outcomes` in its schema's metadata (JSON under the
key `crossfake`); a video without a face has an empty batch. The columns are in `SCHEMA`: `image` is from
`encodings.encode`, `landmarks` and `box` are in pixels of that image. The JSON has the checksums of all rows, and the
metadata that of the JSON; older files without checksums can still be read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...benchmark.core.errors import BenchError
from ...benchmark.core.keys import hash_key
from ...benchmark.core.readers import parse_json, shorten
from ...benchmark.core.storage import write_atomically
from ...benchmark.core.transient_errors import retry
from ...benchmark.core.types import Face, LostFrame, PrepareResult, name_person
from .checksums import compute_checksums
from .encodings import MAGIC, decode
from .store_index import Entry, Sizes, StoreIndex, measure_shards, read_index, write_index

SCHEMA_VERSIONS = (1, 2)  # Version 2 has images that older versions of crossfake can't read.
METADATA = b"crossfake"
CHECKSUM = b"crossfake_crc32"
POINTS = 81
SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("frame", pa.int32()),
        ("image", pa.binary()),
        ("origin_x", pa.int32()),
        ("origin_y", pa.int32()),
        ("frame_width", pa.int32()),
        ("frame_height", pa.int32()),
        ("landmarks", pa.list_(pa.float32(), 2 * POINTS)),
        ("box", pa.list_(pa.float32(), 4)),
    ]
)
OPEN_SHARDS = 64


class DamagedShardError(BenchError):
    """A shard is truncated, damaged, or not part of a face store; after removal it is prepared again."""

    def __init__(self, path: Path, why: str):
        super().__init__(path, why)
        self.path, self.finding = path, f"{path} is damaged ({why})"

    def __str__(self) -> str:
        return f"{self.finding}. Copy it again, or remove it and rerun: it will be prepared again"


StoreSettings = Mapping[str, object]
"""The settings that faces were made with: the fields of FaceSettings, and `finder_version`."""


def write_shard(
    path: Path, settings: StoreSettings, results: Sequence[tuple[PrepareResult, Sequence[tuple[Face, bytes]]]]
) -> None:
    """Write one shard atomically: each video's outcome, and its faces with their encoded crops.

    Raises:
        WriteError: it can't be written, for example because the disk is full; nothing half-written remains.
    """
    batches = [_make_batch(outcome.video, faces) for outcome, faces in results]
    content = {
        "schema_version": SCHEMA_VERSIONS[any(image[:4] == MAGIC for _, faces in results for _, image in faces)],
        "settings": settings,
        "outcomes": [asdict(o) for o, _ in results],
        "checksums": [compute_checksums(batch) for batch in batches],
    }
    text = json.dumps(content).encode()
    schema = SCHEMA.with_metadata({METADATA: text, CHECKSUM: str(zlib.crc32(text))})
    with write_atomically(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _make_batch(video: str, faces: Sequence[tuple[Face, bytes]]) -> pa.RecordBatch:
    rows = [
        {
            "video": video,
            "frame": face.frame,
            "image": image,
            "origin_x": face.top_left[0],
            "origin_y": face.top_left[1],
            "frame_width": face.frame_size[0],
            "frame_height": face.frame_size[1],
            "landmarks": face.landmarks.ravel(),
            "box": face.box,
        }
        for face, image in faces
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


class FaceStore:
    """Reads a folder of shards. Opened on first use, so cheap to make and to send to other processes."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._index: Mapping[str, Entry] | None = None
        self._sizes = Sizes()
        self._settings: list[StoreSettings] = []
        self._checked: set[tuple[Path, int]] = set()
        self._open: OrderedDict[Path, pa.RecordBatchFileReader] = OrderedDict()

    def __getstate__(self) -> dict[str, Path]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def __len__(self) -> int:
        return sum(len(entry.outcome.frames) for entry in self._list_entries().values())

    def outcomes(self) -> dict[str, PrepareResult]:
        """Return the outcome of each prepared video, by id; the newest if there were several attempts."""
        return {video: entry.outcome for video, entry in self._list_entries().items() if "//" not in video}

    def find_outcome(self, video_id: str) -> PrepareResult | None:
        """Return a video's outcome; None if it wasn't prepared."""
        entry = self._load_index().get(video_id)
        return entry.outcome if entry else None

    def sample_outcomes(self, count: int) -> list[PrepareResult]:
        """Return the outcomes of at least this many evenly chosen videos, or of all if there are fewer."""
        index = self._load_index()
        videos = list(index)
        return [index[video].outcome for video in videos[:: max(1, len(videos) // count)]]

    def count_people(self, video_id: str) -> int:
        """Return how many people in a video have faces here, under ids from `name_person`."""
        index, number = self._load_index(), 0
        first = index.get(video_id)
        while (entry := index.get(name_person(video_id, number + 1))) and first and entry.outcome.frames:
            if entry.outcome.generation != first.outcome.generation:  # From an earlier state of the file.
                break
            number += 1
        return number

    def frames(self, video_id: str) -> list[int]:
        """Return the indices of the video's frames with a face, ascending; empty for an unknown video."""
        entry = self._load_index().get(video_id)
        return list(entry.outcome.frames) if entry else []

    def faces(self, video_id: str) -> list[Face]:
        """Return the video's faces in the order of `frames`."""
        return [self.face(video_id, i) for i in range(len(self.frames(video_id)))]

    def face(self, video_id: str, index: int, crop: np.ndarray | None = None) -> Face:
        """Return the face in the frame `frames(video_id)[index]`; with another `crop`, its own isn't decoded.

        Raises:
            BenchError: the store has no such video.
            DamagedShardError: its shard can't be read, or the face doesn't match its checksum.
            IndexError: the video has fewer faces.
        """
        if video_id not in self._load_index():
            raise BenchError(f"{self.folder} has no faces of {video_id}; prepare it first")
        path, number, outcome, checksums = self._load_index()[video_id]
        frame, place = outcome.frames[index], index % len(outcome.frames)
        row = self._get_batch(path, number).slice(place, 1)
        if len(row) != 1 or (checksums is not None and compute_checksums(row) != list(checksums[place : place + 1])):
            raise DamagedShardError(path, f"frame {frame} of {video_id} isn't what was written")
        value = {name: row.column(name)[0] for name in row.schema.names}
        landmarks, box = (np.array(value[name].values, np.float32) for name in ("landmarks", "box"))
        x, y, width, height = (value[n].as_py() for n in ("origin_x", "origin_y", "frame_width", "frame_height"))
        try:
            crop = decode(value["image"].as_buffer()) if crop is None else crop
        except BenchError as error:
            raise DamagedShardError(path, f"frame {frame} of {video_id}: {error}") from None
        return Face(crop, landmarks.reshape(POINTS, 2), box, frame, (x, y), (width, height))

    def hash_faces(self, video_id: str) -> str:
        """Hash which video it is and what its faces are, by their checksums; by the shard's where those lack."""
        path, number, outcome, checksums = self._load_index()[video_id]
        if checksums is not None:
            return hash_key([video_id, outcome.frames, [int(one) for one in checksums]], 32)
        shard = path.stat()
        return hash_key([video_id, outcome.frames, path.name, shard.st_size, shard.st_mtime_ns, number], 32)

    def get_relative_boxes(self, video_id: str) -> np.ndarray:
        """Return the boxes (n, 4) around the landmarks of the video's faces, relative to their frames.

        No image is read, so this is fast.
        """
        if not self.frames(video_id):
            return np.empty((0, 4))
        path, number, *_ = self._load_index()[video_id]
        batch = self._get_batch(path, number)
        top_left, size = (
            np.stack([batch.column(name).to_numpy() for name in names], axis=1)
            for names in (("origin_x", "origin_y"), ("frame_width", "frame_height"))
        )
        points = batch.column("landmarks").flatten().to_numpy().reshape(-1, POINTS, 2)
        low, high = ((edge + top_left) / size for edge in (points.min(1), points.max(1)))
        return np.concatenate([low, high], axis=1)

    def settings(self) -> list[StoreSettings]:
        """Return the different settings of the shards: at most one, unless stores were mixed."""
        self._load_index()
        return self._settings

    def write_index(self) -> None:
        """Write the table of contents, unless it is up to date.

        Raises:
            WriteError: it can't be written.
        """
        index = self._load_index()
        if not isinstance(index, StoreIndex):
            write_index(self.folder, self._sizes, self._settings, index)

    def _load_index(self) -> Mapping[str, Entry]:
        if self._index is None:
            paths = list_shards(self.folder)
            self._sizes, known = measure_shards(paths), read_index(self.folder)
            if known and not known.sizes.items() <= self._sizes.items():  # Older attempts that it hides are needed.
                known = None
            new = [path for path in paths if not known or path.name not in known.sizes]
            self._settings = list(known.settings) if known else []
            self._index = self._add_shards(new, known.make_all() if known else {}) if new else known or {}
        return self._index

    def _add_shards(self, paths: Sequence[Path], known: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the known entries and those of some shards; the newest if a video was attempted several times."""
        index = dict(known)
        for path in paths:
            content = _read_metadata(path)
            if (settings := content.get("settings", {})) not in self._settings:
                self._settings.append(settings)
            for entry in _list_entries(path, content):
                first = index.get(entry.outcome.video)
                if first is None or _rank(entry) > _rank(first):
                    index[entry.outcome.video] = entry
        return index

    def _list_entries(self) -> Mapping[str, Entry]:
        index = self._load_index()
        return index.make_all() if isinstance(index, StoreIndex) else index

    def _get_batch(self, path: Path, number: int) -> pa.RecordBatch:
        """Return a video's rows after checking their offsets in the file: damaged ones would crash the process."""
        batch = _read_batch(path, self._get_reader(path), number, check=(path, number) not in self._checked)
        self._checked.add((path, number))
        return batch

    def _get_reader(self, path: Path) -> pa.RecordBatchFileReader:
        if path not in self._open:
            self._open[path] = _open(path)
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]


def _rank(entry: Entry) -> tuple[int, bool]:
    """Return what counts of two tries at a video: the newer; of two as new, one by a machine that had its file."""
    return entry.outcome.generation, entry.outcome.status != "missing"


def read_settings(path: Path) -> StoreSettings:
    """Return the settings that a shard was made with."""
    settings: StoreSettings = _read_metadata(path).get("settings", {})
    return settings


def check_shard(path: Path) -> None:
    """Read a whole shard.

    Raises:
        DamagedShardError: it is truncated, damaged, or not part of a face store.
        BenchError: it was written by another version of crossfake.
    """
    reader = _open(path)
    entries = _list_entries(path, _read_metadata(path))
    if reader.num_record_batches != len(entries):
        raise DamagedShardError(path, f"it has {reader.num_record_batches} of {len(entries)} videos")
    for entry in entries:
        batch = _read_batch(path, reader, entry.number, check=True)
        changed = entry.checksums is not None and compute_checksums(batch) != entry.checksums
        if changed or tuple(batch.column("frame").to_pylist()) != entry.outcome.frames:
            raise DamagedShardError(path, f"the faces of {entry.outcome.video} aren't what was written")


def _list_entries(path: Path, content: dict[str, Any]) -> list[Entry]:
    try:
        outcomes = [_parse_result(fields) for fields in content["outcomes"]]
        checksums = content.get("checksums") or [None] * len(outcomes)
        return [
            Entry(path, i, outcome, sums) for i, (outcome, sums) in enumerate(zip(outcomes, checksums, strict=True))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedShardError(path, f"its record of the videos can't be read: {shorten(error)}") from None


def _parse_result(fields: dict[str, Any]) -> PrepareResult:
    lost = tuple(LostFrame(*one) for one in fields.get("lost", ()))
    return PrepareResult(**{**fields, "frames": tuple(fields["frames"]), "lost": lost})


def list_shards(folder: Path) -> list[Path]:
    """Return the finished shards in a folder, sorted, without temporary files of killed runs."""
    names = retry(lambda: os.listdir(folder)) if folder.is_dir() else []
    return [folder / name for name in sorted(names) if name.endswith(".arrow") and not name.startswith(".")]


def _open(path: Path) -> pa.RecordBatchFileReader:
    try:
        reader = pa.ipc.open_file(retry(lambda: pa.memory_map(str(path))))
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:  # It says nothing of what is in the file.
            raise BenchError(f"{path} can't be read: {os.strerror(error.errno)}. Run the command again") from None
        raise DamagedShardError(path, shorten(error)) from None
    if not reader.schema.equals(SCHEMA):
        raise DamagedShardError(path, "its columns aren't a face store's")
    return reader


def _read_batch(path: Path, reader: pa.RecordBatchFileReader, number: int, check: bool) -> pa.RecordBatch:
    try:
        batch = reader.get_batch(number)
        if check:
            batch.validate(full=True)
            if any(column.null_count for column in batch.columns):
                raise ValueError("a value is missing")
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise DamagedShardError(path, shorten(error)) from None
    return batch


def _read_metadata(path: Path) -> dict[str, Any]:
    metadata = _open(path).schema.metadata or {}
    text = metadata.get(METADATA, b"{}")
    if metadata.get(CHECKSUM, b"%d" % zlib.crc32(text)) != b"%d" % zlib.crc32(text):
        raise DamagedShardError(path, "its metadata isn't what was written")
    try:
        content = parse_json(text, dict, "what it says of itself")
    except BenchError as error:
        raise DamagedShardError(path, str(error)) from None
    if (version := content.get("schema_version")) not in SCHEMA_VERSIONS:
        ours = f"{shorten(version)}; this one reads {', '.join(map(str, SCHEMA_VERSIONS))}"
        remedy = "Update crossfake, or remove that file and rerun: it will be prepared again"
        raise BenchError(f"{path} was written by another version of crossfake ({ours}). {remedy}")
    return content
