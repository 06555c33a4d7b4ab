"""Problems with a store or its disk give a one-line message, and no faces are lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from crossfake.benchmark.core import storage
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.storage import WriteError
from crossfake.benchmark.core.types import Face, LostFrame, PrepareResult, Video
from crossfake.datasets.faces import face_store
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard
from crossfake.datasets.faces.lost import NOTE, read_lost
from crossfake.datasets.faces.prepare import make_store_settings, prepare
from crossfake.datasets.faces.store_index import NAME

SETTINGS = FaceSettings(finder="mediapipe", frames=2)
NAMES = ("a", "b", "c")


def face(frame: int) -> Face:
    points, box = np.full((81, 2), 5, np.float32), np.ones(4, np.float32)
    return Face(np.full((8, 8, 3), frame, np.uint8), points, box, frame, (0, 0), (8, 8))


def write(folder: Path, name: str, status: str = "ok", **changes: object) -> None:
    frames = (0, 9) if status == "ok" else ()
    outcome = PrepareResult(f"{name}.mp4", status, 2, 2, frames, size=4, mtime_ns=1, **changes)
    settings = make_store_settings(SETTINGS)
    write_shard(
        folder / f"{name}.arrow", settings, [(outcome, [(f, encode(f.crop, "png")) for f in map(face, frames)])]
    )


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    for name in NAMES:
        (tmp_path / f"{name}.mp4").write_bytes(b"1234")
        os.utime(tmp_path / f"{name}.mp4", ns=(1, 1))
    return [Video(f"{name}.mp4", tmp_path / f"{name}.mp4", 0, "real", "test") for name in NAMES]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of three videos, each in its own shard, without an index."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    for name in NAMES:
        write(tmp_path / "store", name)
    return tmp_path / "store"


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Simulate a full disk when a file with this name is flushed."""
    flush = storage._flush

    def flush_unless_full(file: Path) -> None:
        if name in file.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        flush(file)

    monkeypatch.setattr(storage, "_flush", flush_unless_full)


@pytest.mark.parametrize("indexed", [False, True])
def test_a_full_disk_while_writing_the_contents_loses_only_the_contents(store, videos, monkeypatch, indexed):
    if indexed:
        prepare(videos, SETTINGS, store)
        write(store, "d")
    before = {name: content for name, content in read(store).items() if name.endswith(".arrow") or name == NAME}
    fill_disk(monkeypatch, NAME)
    with pytest.raises(WriteError) as told:
        prepare(videos, SETTINGS, store)
    assert str(told.value).startswith(f"{store / NAME} can't be written: No space left on device. Make room there, or ")
    assert "\n" not in str(told.value)
    assert before.items() <= read(store).items()
    assert not list(store.glob(".*.tmp*"))
    assert len(FaceStore(store)) == (8 if indexed else 6)  # It can be used as is.
    monkeypatch.undo()
    assert len(prepare(videos, SETTINGS, store)) == (8 if indexed else 6)
    monkeypatch.setattr(face_store, "_read_metadata", lambda path: pytest.fail(f"{path} was read"))
    assert len(FaceStore(store)) == (8 if indexed else 6)


def test_truncated_contents_are_reported_and_rewritten(store, videos, capsys):
    prepare(videos, SETTINGS, store)
    whole = read(store)
    (store / NAME).write_bytes(whole[NAME][:500])
    assert len(prepare(videos, SETTINGS, store)) == 6
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{store / NAME} is damaged (")
    assert told.endswith("it is rebuilt from the faces next to it")
    assert read(store) == whole


def test_a_shard_of_a_later_version_is_named_and_stays(store, videos, monkeypatch):
    monkeypatch.setattr(face_store, "SCHEMA_VERSIONS", (7, 7))
    write(store, "b")
    monkeypatch.undo()
    before = read(store)
    told = (
        rf"{store}/b\.arrow was written by another version of crossfake \(7; this one reads 1, 2\)\. "
        r"Update crossfake, or remove that file and rerun: it will be prepared again"
    )
    for work in (FaceStore(store).outcomes, lambda: prepare(videos, SETTINGS, store)):
        with pytest.raises(BenchError, match=told):
            work()
    assert {name: read(store)[name] for name in before} == before
    (store / "b.arrow").unlink()
    assert sorted(FaceStore(store).outcomes()) == ["a.mp4", "c.mp4"]


def test_shards_of_other_settings_are_named_and_stay(store, videos):
    other = FaceSettings(finder="mediapipe", frames=2, context=3.0)
    write_shard(store / "x.arrow", make_store_settings(other), [])
    before = read(store)
    told = r"was prepared with other settings: 1 of 4 files, such as x\.arrow, with context 3\.0 instead of 2\.0"
    with pytest.raises(BenchError, match=told):
        prepare(videos, SETTINGS, store)
    assert {name: read(store)[name] for name in before} == before


def test_a_damaged_shard_stays_if_its_videos_are_not_there_to_remake_it(store, videos):
    whole = (store / "b.arrow").read_bytes()
    (store / "b.arrow").write_bytes(whole[:-100])
    for video in videos:
        video.path.unlink()
    before = read(store)
    with pytest.raises(
        BenchError, match=r"b\.arrow is damaged .*there is no video to prepare it from\. Copy that file"
    ):
        prepare(videos, SETTINGS, store)
    assert read(store) == before
    (store / "b.arrow").write_bytes(whole)
    assert len(prepare(videos, SETTINGS, store)) == 6


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_shard_that_cannot_be_opened_is_not_called_damaged(store, videos, monkeypatch, code):
    monkeypatch.setattr("crossfake.benchmark.core.transient_errors.time.sleep", lambda seconds: None)
    opened = pa.memory_map

    def refuse(path: str) -> pa.MemoryMappedFile:
        if path.endswith("b.arrow"):
            raise OSError(code, os.strerror(code), path)
        return opened(path)

    monkeypatch.setattr(pa, "memory_map", refuse)
    before = read(store)
    with pytest.raises(BenchError, match=rf"b\.arrow can't be read: {os.strerror(code)}\. Run the command again"):
        prepare(videos, SETTINGS, store)
    assert read(store) == before
    monkeypatch.undo()
    assert len(prepare(videos, SETTINGS, store)) == 6


@pytest.mark.parametrize("name", ["0", "z"])
def test_faces_count_more_than_a_note_that_the_video_was_missing(store, name, tmp_path):
    """This happens when a store is merged with one from a machine that has no videos."""
    shutil.copy(store / "b.arrow", tmp_path / "b.arrow")
    write(store, "b", status="missing")
    (store / "b.arrow").rename(store / f"{name}.arrow")
    shutil.copy(tmp_path / "b.arrow", store / "b.arrow")
    assert FaceStore(store).frames("b.mp4") == [0, 9]


def test_two_processes_may_remove_the_same_damaged_shard(store, videos, monkeypatch, capsys):
    (store / "b.arrow").write_bytes(b"half")
    check = face_store.check_shard

    def check_late(path: Path) -> None:
        try:
            check(path)
        finally:
            if path.name == "b.arrow":
                path.unlink()

    monkeypatch.setattr("crossfake.datasets.faces.repair.check_shard", check_late)
    prepare(videos[:1], SETTINGS, store)
    assert "b.arrow is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b'{"b.mp4": [', b"[]"])
def test_a_damaged_list_of_lost_frames_is_remade_from_the_faces(store, videos, content):
    write(store, "b", lost=(LostFrame(9, "no picture"),))
    prepare(videos, SETTINGS, store)
    assert read_lost(store) == {"b.mp4": [9]}
    (store / NOTE).write_bytes(content)
    assert read_lost(store) == {"b.mp4": [9]}  # So a training's key doesn't change.
    prepare(videos, SETTINGS, store)
    assert (store / NOTE).read_text() == '{\n  "b.mp4": [\n    9\n  ]\n}\n'
