"""Unusable faces from the store to training: they are dropped and reported by name, never replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.types import PrepareResult, Video
from crossfake.benchmark.core.workers import IN_PROCESS
from crossfake.benchmark.stages.train import Training
from crossfake.benchmark.stages.training_batches import Batches, index_frames
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard
from crossfake.detectors.caddm.sampler import POLICIES, CaddmSampler

MISSING = {"landmarks": np.full((81, 2), np.nan, np.float32)}
OUTSIDE = {"top_left": (900, 400), "frame_size": (640, 480)}
BORDER = {"frame_size": (320, 175)}  # The chin is below the frame.
BAD = {
    "missing": (MISSING, "it has no landmarks"),
    "outside": (OUTSIDE, "its landmarks, around [1050.0, 518.0], are outside of the frame"),
    "pixel": ({"crop": np.full((1, 1, 3), 9, np.uint8)}, "a picture of 1 x 1 pixels"),
    "tiny": ({"landmarks": np.linspace(8, 9, 162, dtype=np.float32).reshape(81, 2)}, "a face of 1 x 1 pixels"),
}


@pytest.fixture
def store(tmp_path, make_face):
    """Write the golden face under each name with the given fields changed; `fake/x` is a fake of `real/x`."""

    def write(changes: dict[str, dict]) -> tuple[FaceStore, list[Video]]:
        results, videos = [], []
        for name, fields in changes.items():
            kind = "fake" if name.startswith("fake") else "real"
            source = f"real/{name.partition('/')[2]}" if kind == "fake" else None
            face = replace(make_face(kind.replace("real", "source")), **fields)
            content = b"no file" if name.endswith("broken") else encode(face.crop, "png")
            results.append((PrepareResult(name, "ok", 1, 1, (0,)), [(face, content)]))
            videos.append(Video(name, Path("/nowhere"), int(kind == "fake"), kind, "train", original=source))
        write_shard(tmp_path / "faces" / "one.arrow", {}, results)
        return FaceStore(tmp_path / "faces"), videos

    return write


def batches(store: FaceStore, videos: list[Video], policy: str = "paper") -> Batches:
    frames, _ = index_frames(videos, store)
    return Batches(frames, store, CaddmSampler(112, POLICIES[policy]), len(frames), False, 0)


@pytest.mark.parametrize("kind", ["real", "fake"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_face_is_lost_and_the_others_stay(store, bad, kind):
    fields, reason = BAD[bad]
    name = f"{kind}/{bad}"
    made = batches(*store({"real/good": {}, "fake/good": {}, name: fields}))
    for step in range(4):
        batch, lost = made(step)
        assert lost == [f"{name} face 0: {reason}"]
        assert sorted(batch["label"]) == [0, 1]


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_an_undecodable_picture_stops_training_instead_of_changing_the_weights(store, kind):
    made = batches(*store({"real/good": {}, "fake/good": {}, f"{kind}/broken": {}}))
    with pytest.raises(BenchError, match=r"one\.arrow is damaged \(frame 0 of .*broken"):
        made(0)


@pytest.mark.parametrize("policy", POLICIES)
def test_faces_at_the_border_and_frames_of_unequal_size_are_used(store, policy, make_face):
    small = {"crop": make_face("source").crop[::2, ::2], "landmarks": make_face("source").landmarks / 2}
    made = batches(
        *store({"real/edge": BORDER, "fake/edge": BORDER, "real/a": {**small, "frame_size": (160, 120)}, "fake/a": {}}),
        policy,
    )
    for step in range(8):
        batch, lost = made(step)
        assert not lost
        assert batch["image"].any((1, 2, 3)).all()
        assert len(batch["image"]) >= (2 if policy == "reference" else 4)  # It skips swaps that change too little.


def test_training_stops_where_too_many_are_lost(store, tmp_path):
    torch = pytest.importorskip("torch")
    from crossfake.detectors import create

    torch.manual_seed(0)
    student = create(
        "caddm", backbone="timm:resnet10t", backbone_args={"channels": [4, 8, 8, 8], "stem_width": 4}, input_size=112
    )
    good = {"real/good": {}, "fake/good": {}}

    def training(content: dict[str, dict], folder: Path) -> Training:
        faces, videos = store(content)
        settings = TrainSettings(epochs=1, steps_per_epoch=6, batch_size=4, threads=1)
        val = [v for v in videos if v.id.endswith("good")]
        cropper = student.cropper()
        return Training(student, cropper, settings, 0, faces, videos, val, folder, Reporter(quiet=True), IN_PROCESS)

    with pytest.raises(BenchError, match=r"no example could be made from \d+ samples in 6 steps, more than") as error:
        training({**good, "real/missing": MISSING}, tmp_path).run()
    path = tmp_path / "lost_samples.json"
    assert str(path) in str(error.value)
    assert set(json.loads(path.read_text())) == {"real/missing face 0: it has no landmarks"}
    report = training({**good, "real/edge": BORDER}, tmp_path / "again").run()
    assert (report["steps"], report["lost"]) == (6, 0)
