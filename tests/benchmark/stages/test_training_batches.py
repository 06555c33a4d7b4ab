"""Which frames are used for training, and which frame of the original each fake frame is paired with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossfake.benchmark.core.types import PrepareResult
from crossfake.benchmark.stages.training_batches import Batches, index_frames
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard

CONTENT = {"real/a.mp4": [0, 10, 20], "real/b.mp4": [0], "fake/a.mp4": [0, 10, 16], "fake/b.mp4": [7, 9]}


def test_a_fake_is_paired_with_its_real_at_the_same_frame_or_the_nearest(real_store, make_video):
    store = real_store(CONTENT)
    frames, pairs = index_frames([make_video(v) for v in CONTENT], store)
    assert pairs == {"found": 2, "replaced": 3, "lost": 0}
    samples = [frames.load_sample(store, i) for i in range(len(frames))]
    told = [(s.face.frame, s.original.frame if s.original else -1, s.label) for s in samples]
    assert told[:4] == [(0, -1, 0), (10, -1, 0), (20, -1, 0), (0, -1, 0)]
    assert told[4:] == [(0, 0, 1), (10, 10, 1), (16, 20, 1), (7, 0, 1), (9, 0, 1)]
    assert samples[4].original.crop[0, 0, 0] == 0  # of real/a.mp4, the store's first video
    assert samples[7].original.crop[0, 0, 0] == 1  # of real/b.mp4


def test_fakes_whose_real_has_no_face_are_counted_as_lost(memory_store, make_video):
    store = memory_store({"real/a.mp4": "no_face", "fake/a.mp4": [1, 2], "fake/c.mp4": [3], "real/d.mp4": "missing"})
    videos = [make_video(v) for v in (*store.content, "fake/not_prepared.mp4")]
    frames, pairs = index_frames([*videos, make_video("fake/c.mp4", original=None)][:4], store)
    assert pairs == {"found": 0, "replaced": 0, "lost": 3}
    assert frames.videos == ["fake/a.mp4", "fake/c.mp4"]
    assert frames.load_sample(store, 0).original is None


@pytest.mark.parametrize(
    ("top_left", "size", "found"),
    [
        ((10, 10), (100, 80), 1),
        ((11, 9), (100, 80), 1),  # A face of 8 pixels, 1 aside: an IoU of 49 / 79.
        ((14, 10), (100, 80), 0),
        ((60, 40), (100, 80), 0),  # The tracker followed another person.
        ((24, 24), (200, 160), 0),  # In a frame of twice the size, a face of half of it.
    ],
)
def test_a_source_with_its_face_elsewhere_in_the_frame_is_not_a_pair(
    memory_store, make_video, tmp_path, top_left, size, found
):
    names = ["real/a.mp4", "fake/a.mp4"]
    real, fake = (memory_store(CONTENT).face(v, 0) for v in names)
    faces = [replace(real, top_left=top_left, frame_size=size), replace(fake, top_left=(10, 10), frame_size=(100, 80))]
    shard = [
        (PrepareResult(v, "ok", 1, 1, (0,)), [(f, encode(f.crop, "png"))]) for v, f in zip(names, faces, strict=True)
    ]
    write_shard(tmp_path / "faces" / "a.arrow", {}, shard)
    store = FaceStore(tmp_path / "faces")
    frames, pairs = index_frames([make_video(v) for v in names], store)
    assert pairs == {"found": found, "replaced": 0, "lost": 1 - found}
    assert (frames.load_sample(store, 1).original is not None) == bool(found)


def test_no_videos_give_no_frames(memory_store):
    frames, pairs = index_frames([], memory_store({}))
    assert len(frames) == 0
    assert pairs == {"found": 0, "replaced": 0, "lost": 0}


def test_an_original_is_read_only_for_samplers_that_use_it(memory_store, make_video):
    store, asked = memory_store(CONTENT), []
    frames, _ = index_frames([make_video(v) for v in CONTENT], store)
    read = store.face
    store.face = lambda video, index, crop=None: asked.append(video) or read(video, index)

    class Plain:
        uses_original = False

        def __call__(self, sample, rng):
            assert sample.original is None
            return {"frame": np.array(sample.face.frame)}

    Batches(frames, store, Plain(), len(frames), False, 0)(0)
    assert len(asked) == len(frames)
    Batches(frames, store, lambda sample, rng: {"frame": np.array(sample.face.frame)}, len(frames), False, 0)(0)
    assert len(asked) == 2 * len(frames) + 5
