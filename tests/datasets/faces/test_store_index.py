"""A store's index matches its shards, and is used only if it does."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.types import Face, LostFrame, PrepareResult
from crossfake.datasets.faces import face_store as module
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard
from crossfake.datasets.faces.store_index import NAME, StoreIndex

SETTINGS = {"frames": 4}


def face(frame: int) -> Face:
    landmarks = np.linspace(1, 15, 162, dtype=np.float32).reshape(81, 2)
    return Face(np.full((16, 16, 3), frame, np.uint8), landmarks, np.ones(4, np.float32), frame, (0, 0), (16, 16))


def outcome(video: str, frames: tuple[int, ...], **changes) -> PrepareResult:
    return PrepareResult(video, "ok" if frames else "no_face", 4, 4, frames, size=9, mtime_ns=3, **changes)


def write(folder: Path, name: str, *outcomes: PrepareResult) -> None:
    results = [(o, [(face(i), encode(face(i).crop, "png")) for i in o.frames]) for o in outcomes]
    write_shard(folder / f"{name}.arrow", SETTINGS, results)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lost = (LostFrame(7, "it can't be decoded"), LostFrame(9, "no file 9.png"))
    write(tmp_path, "a", outcome("x.mp4", (1, 5)), outcome("none.mp4", (), reason="dark", lost=lost))
    write(tmp_path, "b", outcome("y.mp4", (0, 2, 4)), outcome("y.mp4//2", (2,)), outcome("x.mp4", (3,), generation=1))
    return tmp_path


@pytest.fixture
def indexed(folder: Path) -> Path:
    FaceStore(folder).write_index()
    return folder


def read(folder: Path) -> object:
    store = FaceStore(folder)
    faces = {v: [f.crop[0, 0, 0] for f in store.faces(v)] for v in ("x.mp4", "y.mp4", "y.mp4//2", "none.mp4")}
    return store.outcomes(), faces, store.count_people("y.mp4"), len(store), store.settings()


def test_a_store_is_the_same_with_and_without_its_contents(folder, monkeypatch):
    before = read(folder)
    FaceStore(folder).write_index()
    monkeypatch.setattr(module, "_read_metadata", lambda path: pytest.fail(f"{path} was read"))
    assert read(folder) == before
    assert before[1]["x.mp4"] == [3]


def test_the_garbage_collector_is_restored(indexed):
    for collects in (False, True):
        (gc.enable if collects else gc.disable)()
        FaceStore(indexed).outcomes()
        assert gc.isenabled() == collects


def test_a_shard_added_later_is_read_too(indexed):
    write(indexed, "c", outcome("z.mp4", (8,)), outcome("y.mp4", (1,), generation=1))
    store = FaceStore(indexed)
    assert {v: o.frames for v, o in store.outcomes().items()} == {
        "x.mp4": (3,), "none.mp4": (), "y.mp4": (1,), "z.mp4": (8,)
    }  # fmt: skip
    store.write_index()
    assert read(indexed)[0] == store.outcomes()


def test_outcomes_replaced_by_a_removed_shard_count_again(indexed):
    (indexed / "b.arrow").unlink()
    assert FaceStore(indexed).frames("x.mp4") == [1, 5]
    assert FaceStore(indexed).frames("y.mp4") == []


@pytest.mark.parametrize("damage", ["cut", "empty", "a bit", "no arrow file"])
def test_damaged_contents_are_reported_and_remade_without_losses(indexed, capsys, damage):
    whole = (indexed / NAME).read_bytes()
    flipped = whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:]
    bad = {"cut": whole[: len(whole) // 2], "empty": b"", "a bit": flipped, "no arrow file": whole[:64]}[damage]
    (indexed / NAME).write_bytes(bad)
    store = FaceStore(indexed)
    assert sorted(store.outcomes()) == ["none.mp4", "x.mp4", "y.mp4"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"{indexed / NAME} is damaged (")
    assert told[0].endswith("): it is rebuilt from the faces next to it")
    store.write_index()
    assert (indexed / NAME).read_bytes() == whole


def test_contents_of_another_version_are_left_alone_until_rewritten(indexed, capsys):
    content = (indexed / NAME).read_bytes()
    (indexed / NAME).write_bytes(b"xfindex9" + content[8:])
    assert FaceStore(indexed).frames("x.mp4") == [3]
    assert capsys.readouterr().err == ""


def test_faces_changed_behind_the_contents_are_noticed(indexed):
    write(indexed, "b", *(replace(o, frames=(3,)) for o in (outcome("y.mp4", (0,)), outcome("x.mp4", (3,)))))
    assert FaceStore(indexed).frames("y.mp4") == [3]  # It has another size, so it is read again.


def test_entries_requested_one_by_one_are_soon_made_all_at_once(tmp_path, monkeypatch):
    write(tmp_path, "a", *(outcome(f"{i:02}.mp4", ()) for i in range(80)))
    FaceStore(tmp_path).write_index()
    asked, make = [], StoreIndex._make
    monkeypatch.setattr(StoreIndex, "_make", lambda self, row, count: (asked.append(count), make(self, row, count))[1])
    store = FaceStore(tmp_path)
    one_by_one = [store.find_outcome(f"{i:02}.mp4") for i in range(80)]
    assert one_by_one == list(FaceStore(tmp_path).outcomes().values())
    assert asked == [1, 1, 80, 80]
    assert store.find_outcome("nobody.mp4") is None
