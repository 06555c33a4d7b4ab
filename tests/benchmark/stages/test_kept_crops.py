"""Kept crops are cut once, equal fresh ones byte for byte, are never another face's, and never stop a run."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.predictions import PartialPredictions
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.storage import WriteError
from crossfake.benchmark.core.types import PrepareResult
from crossfake.benchmark.core.workers import IN_PROCESS
from crossfake.benchmark.stages import kept_crops
from crossfake.benchmark.stages.kept_crops import KeptCrops, TakesKeptCrops, hash_cropper, keep_crops
from crossfake.benchmark.stages.predict import predict
from crossfake.benchmark.stages.training_batches import Batches, index_frames
from crossfake.benchmark.stages.video_crops import Chosen, VideoCrops
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard
from crossfake.detectors.baselines.augment import ClassifierSampler
from crossfake.detectors.common.augmentations import AugmentedSampler, mirror
from crossfake.detectors.common.crops import BoxCrop
from crossfake.detectors.fdd.shared import GroupSampler
from crossfake.detectors.pgfdd.labels import FairnessSampler
from crossfake.detectors.ucf.detector import MethodSampler

CONTENT = {"real/a.mp4": [0, 9], "fake/a.mp4": [3, 6, 9], "fake/d.mp4": [5]}
KEEP = FaceSettings(crops="keep")
CROPPER = BoxCrop(8)


class Recorder(Reporter):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def store(real_store):
    return real_store(CONTENT)


@pytest.fixture
def videos(make_video):
    return [make_video(v, "test") for v in CONTENT]


def keep(store, videos, cropper=CROPPER, pool=IN_PROCESS, faces=KEEP, reporter=None) -> KeptCrops:
    return keep_crops(faces, store, cropper, videos, reporter or Recorder(), pool)


def score(frames):
    return frames.mean((1, 2, 3)) / 255


@dataclass
class Mean:
    def score(self, frames):
        return score(frames)


def test_predictions_are_the_same_bytes_and_faces_are_read_once(store, videos, tmp_path, monkeypatch):
    kept, files = keep(store, videos), []
    for name, crops in (("cut", None), ("kept", kept)):
        if crops:  # Reading a face would fail from here on.
            monkeypatch.setattr(FaceStore, "face", None)
            monkeypatch.setattr(FaceStore, "faces", None)
        table, metadata = predict(Mean(), CROPPER, store, videos, kept=crops)
        path = tmp_path / f"{name}.parquet"
        PartialPredictions(path).finish(table, metadata.model_copy(update={"throughput": None}))
        files.append(path.read_bytes())
    assert len(table) == 6
    assert files[0] == files[1]


def test_only_missing_crops_are_cut_and_by_workers(store, videos, two_workers):
    reporter = Recorder()
    kept = keep(store, videos[:1])
    pool = two_workers
    keep(store, videos, pool=pool, reporter=reporter)
    (fetched,) = pool.map(VideoCrops(store, CROPPER, kept), ["fake/a.mp4"])
    assert len(list(kept.folder.iterdir())) == 3
    assert np.array_equal(fetched, VideoCrops(store, CROPPER)("fake/a.mp4"))
    assert [line.partition(":")[0] for line in reporter.lines] == [f"keeping crops in {kept.folder}"]
    keep(store, videos, pool=pool, reporter=reporter)
    assert len(reporter.lines) == 1
    shutil.rmtree(kept.folder)
    kept.folder.write_bytes(b"")  # A file in its place, so that nothing can be written there.
    assert keep(store, videos, pool=pool, reporter=reporter).read("fake/d.mp4") is None
    assert len(reporter.lines) == 2
    assert reporter.lines[1].startswith("crops aren't kept any longer: ")


def test_some_of_a_videos_crops_are_its_own(store, videos):
    asked = Chosen("fake/a.mp4", (0, 2))
    assert np.array_equal(keep(store, videos).read(*asked), VideoCrops(store, CROPPER)(asked))


def test_nothing_is_kept_unless_asked_and_no_key_changes(store, videos):
    assert keep(store, videos, faces=FaceSettings()) is None
    cut, kept = (FaceSettings(finder="mediapipe", crops=crops).key_content() for crops in ("cut", "keep"))
    assert cut == kept
    assert "crops" not in cut


def test_each_cropper_has_a_folder_next_to_the_store(store, videos):
    first, same, other = (keep(store, videos, BoxCrop(size)) for size in (8, 8, 9))
    assert first.folder == same.folder != other.folder
    assert first.folder.parent == store.folder.parent
    assert other.read("fake/d.mp4").shape == (1, 9, 9, 3)


def test_different_code_has_a_different_folder(tmp_path, monkeypatch):
    file, found = tmp_path / "mine_crop.py", []
    monkeypatch.syspath_prepend(str(tmp_path))
    for line in ("return face.crop", "return face.crop[::-1]"):
        file.write_text(f"class Mine:\n    def __call__(self, face):\n        {line}\n")
        monkeypatch.delitem(sys.modules, "mine_crop", raising=False)
        found.append(hash_cropper(importlib.import_module("mine_crop").Mine()))
    assert None not in found
    assert found[0] != found[1]


def test_crops_whose_code_has_no_file_are_always_cut(store, videos):
    reporter = Recorder()
    assert keep(store, videos, lambda face: face.crop, reporter=reporter) is None
    assert len(reporter.lines) == 1
    assert "script or notebook" in reporter.lines[0]


def test_the_stores_table_of_contents_changes_nothing(store, videos):
    keep(store, videos)
    store.write_index()
    assert keep(FaceStore(store.folder), []).list_lacking(CONTENT) == []


def test_faces_without_checksums_are_distinguished_by_their_shard(store, monkeypatch):
    monkeypatch.setattr(store, "_index", {v: e._replace(checksums=None) for v, e in store._load_index().items()})
    (shard,) = store.folder.iterdir()
    first, other = store.hash_faces("real/a.mp4"), store.hash_faces("fake/a.mp4")
    assert first == store.hash_faces("real/a.mp4") != other
    os.utime(shard, (1, 1))
    assert store.hash_faces("real/a.mp4") != first


def test_faces_found_again_have_their_own_crops(store, videos):
    keep(store, videos)
    face = store.face("fake/d.mp4", 0)
    face.crop[:] = 7
    again = PrepareResult("fake/d.mp4", "ok", 4, 1, (5,), generation=1)
    write_shard(store.folder / "z.arrow", {}, [(again, [(face, encode(face.crop, "png"))])])
    renewed = FaceStore(store.folder)
    kept = keep(renewed, [])
    assert kept.list_lacking(CONTENT) == ["fake/d.mp4"]
    assert (keep(renewed, videos).read("fake/d.mp4") == 7).all()


def cut_short(content: bytes) -> bytes:
    return content[:-1]


def change_a_pixel(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def lose_checksums(content: bytes) -> bytes:
    return content.replace(b"crc32", b"crc33")


@pytest.mark.parametrize("damage", [cut_short, change_a_pixel, lose_checksums, lambda _: b"", lambda _: b"\xff" * 99])
def test_damaged_crops_are_remade_with_a_one_line_message(store, videos, damage, capsys):
    kept = keep(store, videos[2:])
    (file,) = kept.folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    crops_of = VideoCrops(store, CROPPER, kept)
    assert np.array_equal(crops_of("fake/d.mp4"), VideoCrops(store, CROPPER)("fake/d.mp4"))
    assert capsys.readouterr().err.count("is damaged") == 1
    keep(store, videos)
    assert file.read_bytes() == whole


def test_on_a_full_disk_crops_are_cut_after_a_one_line_message(store, videos, monkeypatch):
    def fail(path: Path):
        raise WriteError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(kept_crops, "write_atomically", fail)
    reporter = Recorder()
    kept = keep(store, videos, reporter=reporter)
    assert len(reporter.lines) == 1
    assert reporter.lines[0].startswith("crops aren't kept any longer: ")
    assert predict(Mean(), CROPPER, store, videos, kept=kept)[0].equals(predict(Mean(), CROPPER, store, videos)[0])


def test_a_video_with_a_face_that_training_refuses_is_cut(store, videos, monkeypatch):
    monkeypatch.setattr(kept_crops, "find_quality_flaw", lambda face: "odd" if face.frame == 9 else "")
    kept = keep(store, videos)
    assert kept.list_lacking(CONTENT) == ["real/a.mp4", "fake/a.mp4"]


@pytest.mark.parametrize(
    "sampler",
    [
        AugmentedSampler(CROPPER, mirror, views=2),
        GroupSampler(CROPPER),
        MethodSampler(CROPPER, mirror, {"A": 1}),
    ],
)
def test_samplers_that_see_only_crops_decode_no_face(store, videos, sampler, monkeypatch):
    frames, _ = index_frames(videos, store)
    kept = keep(store, videos)
    cut = Batches(frames, store, sampler, 4, False, 0)(1)
    monkeypatch.setattr("crossfake.datasets.faces.face_store.decode", None)
    read = Batches(frames, store, sampler, 4, False, 0, kept)(1)
    assert cut[1] == read[1] == []
    assert cut[0].keys() == read[0].keys()
    assert all(np.array_equal(cut[0][name], read[0][name]) for name in cut[0])
    assert isinstance(sampler, TakesKeptCrops)
    assert not sampler.uses_face


def test_samplers_that_move_the_box_need_the_face():
    assert not isinstance(ClassifierSampler(CROPPER), TakesKeptCrops)
    assert FairnessSampler(CROPPER, {}, augment=True).uses_face
    assert not FairnessSampler(CROPPER, {}).uses_face
