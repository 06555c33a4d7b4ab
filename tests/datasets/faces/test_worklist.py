"""Which frames to prepare: training fakes use their originals' frames; broken frames are named and retried."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.types import Picture, Video
from crossfake.benchmark.stages.training_batches import index_frames
from crossfake.datasets.base import load_videos
from crossfake.datasets.faces import prepare as module
from crossfake.datasets.faces.face_store import FaceStore, list_shards
from crossfake.datasets.faces.lost import NOTE, read_lost
from crossfake.datasets.faces.prepare import prepare
from crossfake.datasets.faces.report import select_problem_videos, summarise_results, write_report
from crossfake.datasets.faces.sampling import VideoFile, choose_frames
from crossfake.datasets.faces.store_index import NAME as INDEX

SETTINGS = FaceSettings(finder="mediapipe", frames=8)
RING = np.stack([32 + 14 * np.cos(np.arange(81)), 24 + 14 * np.sin(np.arange(81))], axis=1).astype("<f4")


@pytest.fixture
def face_everywhere(stub, monkeypatch):
    """A finder that sees the same face in every frame."""
    stub.find = lambda frame: [stub.detection(10, 10, 30, 30)]
    for name in ("load_finder", "_finder"):
        monkeypatch.setattr(module, name, lambda _: stub)


def a_pair(film, real: int, fake: int, split: str = "train") -> list[Video]:
    """Return a real video and a fake of it, with these numbers of frames."""
    paths = [film(name, count=count) for name, count in (("real.mp4", real), ("fake.mp4", fake))]
    source = Video("real.mp4", paths[0], 0, "real", split)
    return [source, Video("fake.mp4", paths[1], 1, "swap", split, original="real.mp4")]


@pytest.mark.parametrize(("real", "fake", "past"), [(40, 37, 1), (40, 20, 4), (37, 40, 0), (40, 40, 0), (6, 5, 1)])
def test_a_fake_to_train_on_has_the_frames_of_its_source(film, tmp_path, face_everywhere, real, fake, past):
    videos = a_pair(film, real, fake)
    store = prepare(videos, SETTINGS, tmp_path / "store")
    theirs = choose_frames(real, 8)
    assert store.frames("real.mp4") == theirs
    assert store.frames("fake.mp4") == [i for i in theirs if i < fake]
    assert index_frames(videos, store)[1] == {"found": len(theirs) - past, "replaced": 0, "lost": 0}
    outcome = store.outcomes()["fake.mp4"]
    told = f"its original is longer: {past} of {len(theirs)} frames aren't in it" if past else ""
    assert (outcome.status, outcome.follows, outcome.reason, outcome.lost) == ("ok", "real.mp4", told, ())


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_scored_frames_of_a_video_depend_on_no_other(film, tmp_path, face_everywhere, split):
    store = prepare(a_pair(film, 40, 37, split), SETTINGS, tmp_path / "store")
    assert store.frames("fake.mp4") == choose_frames(37, 8)
    assert store.outcomes()["fake.mp4"].follows == ""


@pytest.mark.parametrize("source", ["missing", "unreadable", "not prepared"])
def test_without_its_source_a_fake_has_its_own_spacing(film, tmp_path, face_everywhere, source):
    real, fake = a_pair(film, 40, 37)
    if source == "missing":
        real.path.unlink()
    elif source == "unreadable":
        real.path.write_bytes(b"no video")
    store = prepare([fake] if source == "not prepared" else [real, fake], SETTINGS, tmp_path / "store")
    assert store.frames("fake.mp4") == choose_frames(37, 8)


def test_a_fake_prepared_alone_gets_its_sources_frames_when_that_is_prepared_too(film, tmp_path, face_everywhere):
    real, fake = a_pair(film, 40, 37)
    prepare([fake], SETTINGS, tmp_path / "store")
    store = prepare([real, fake], SETTINGS, tmp_path / "store")
    assert store.frames("fake.mp4") == choose_frames(40, 8)[:-1]
    before = list_shards(tmp_path / "store")
    for videos in ([real, fake], [fake]):  # It isn't repeated with its original or without.
        prepare(videos, SETTINGS, tmp_path / "store")
    assert list_shards(tmp_path / "store") == before


def test_a_file_with_a_wrong_length_still_gives_its_sources_frames(film, tmp_path, face_everywhere):
    real, _ = a_pair(film, 40, 40)
    path = film("cut.mp4", count=50, movflags="faststart")
    content = path.read_bytes()
    data = content.index(b"mdat")
    path.write_bytes(content[: data + (len(content) - data) * 2 // 3])
    store = prepare(
        [real, Video("cut.mp4", path, 1, "swap", "train", original="real.mp4")], SETTINGS, tmp_path / "store"
    )
    outcome = store.outcomes()["cut.mp4"]
    assert 2 < len(outcome.frames) < 8
    assert set(outcome.frames) < set(choose_frames(40, 8))
    assert "the file says it has 50 frames, but" in outcome.reason
    assert "its original is longer" in outcome.reason


def test_nothing_changes_for_clips_of_equal_length(demo, tmp_path):
    videos = [v for v in load_videos("ff++", demo).videos if v.method in ("real", "Deepfakes")]
    settings = FaceSettings(finder="mediapipe", frames=2)
    with_source = prepare(videos, settings, tmp_path / "with")
    without = prepare([replace(v, original=None) for v in videos], settings, tmp_path / "without")
    for video in videos:
        assert (
            with_source.frames(video.id)
            == without.frames(video.id)
            == choose_frames(VideoFile(video.path).reported_frames, 2)
        )
        faces = zip(with_source.faces(video.id), without.faces(video.id), strict=True)
        assert all(np.array_equal(a.crop, b.crop) and np.array_equal(a.landmarks, b.landmarks) for a, b in faces)
    follow = {v.id for v in videos if v.split == "train" and v.label}
    assert follow
    assert {v for v, o in with_source.outcomes().items() if o.follows} == follow
    pairs = index_frames([v for v in videos if v.split == "train"], with_source)[1]
    assert pairs["replaced"] == pairs["lost"] == 0


def frames_in(folder: Path, name: str, numbers, label: int = 0, source: str | None = None, **given) -> Video:
    """Write pictures with a given face; `given` has landmarks by frame, such as `frame_3`."""
    pictures = []
    for n in numbers:
        path = folder / name / f"frame_{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), 40 + n, np.uint8))
        pictures.append(Picture(n, str(path), "", given.get(f"frame_{n}", RING).tobytes()))
    path = Path(pictures[0].file)
    return Video(name, path, label, "swap" if label else "real", "train", original=source, pictures=tuple(pictures))


@pytest.mark.parametrize(
    ("fakes", "frames"),
    [
        (range(37), [0, 5, 11, 16, 22, 27, 33]),  # All frames are there: the source's indices are used.
        (range(0, 37, 9), [0, 9, 18, 27, 36]),  # There are only these.
        (range(1, 38, 3), [1, 4, 10, 16, 19, 25, 31, 37]),  # Few of the source's indices are there.
    ],
)
def test_a_fake_uses_the_picture_numbers_of_its_source_where_it_can(tmp_path, fakes, frames):
    real, fake = frames_in(tmp_path, "real", range(40)), frames_in(tmp_path, "fake", fakes, 1, "real")
    store = prepare([real, fake], SETTINGS, tmp_path / "store")
    assert store.frames("real") == [0, 5, 11, 16, 22, 27, 33, 39]
    assert store.frames("fake") == frames


BAD = {
    "nan": (np.full((81, 2), np.nan, "<f4"), "it has no landmarks"),
    "infinite": (np.full((81, 2), np.inf, "<f4"), "it has no landmarks"),
    "zero": (np.zeros((81, 2), "<f4"), "a face of 0 x 0 pixels"),
    "outside": (RING + np.float32(500), "its landmarks, around [532.0, 524.0], are outside of the frame"),
    "tiny": (RING / np.float32(20), "a face of 1 x 1 pixels"),
    "one place": (np.where(np.arange(81)[:, None] < 17, RING, RING[0]), "eyes, nose and mouth within 0 x 0 pixels"),
}


@pytest.mark.parametrize("bad", BAD)
def test_invalid_given_landmarks_are_a_named_loss(tmp_path, bad):
    landmarks, reason = BAD[bad]
    video = frames_in(tmp_path, "v", range(4), frame_1=landmarks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["v"]
    assert (outcome.status, outcome.frames, outcome.decoded, outcome.lost) == ("ok", (0, 2, 3), 4, ((1, reason),))
    assert outcome.reason == f"1 of 4 pictures can't be used, such as frame 1: {reason}"


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_or_broken_picture_loses_only_itself(tmp_path, gone, capfd):
    video = frames_in(tmp_path, "v", range(3))
    Path(video.pictures[gone].file).unlink()
    Path(video.pictures[gone - 1].file).write_bytes(b"no picture")
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["v"]
    assert outcome.frames == ((gone + 1) % 3,)
    reasons = {gone: f"no file frame_{gone}.png", (gone - 1) % 3: "it can't be decoded"}
    assert dict(outcome.lost) == reasons
    assert (outcome.status, outcome.decoded) == ("ok", 1)


def test_a_video_without_pictures_loses_nothing_as_it_may_not_be_downloaded(tmp_path):
    video = frames_in(tmp_path, "v", range(3))
    for picture in video.pictures:
        Path(picture.file).unlink()
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["v"]
    assert (outcome.status, outcome.reason, outcome.lost) == ("missing", "no file frame_0.png", ())


def test_invalid_landmark_files_are_a_named_loss_whatever_else_is_prepared(tmp_path):
    video = frames_in(tmp_path, "v", range(4))
    files = [tmp_path / f"{n}.npy" for n in range(4)]
    np.save(files[0], RING)
    np.save(files[1], RING[:68])
    files[2].write_bytes(files[0].read_bytes()[:200])
    pictures = tuple(p._replace(landmarks=str(f)) for p, f in zip(video.pictures, files, strict=True))
    outcome = prepare([replace(video, pictures=pictures)], SETTINGS, tmp_path / "store").outcomes()["v"]
    assert outcome.frames == (0,)
    assert outcome.lost == tuple((n, "it has no landmarks") for n in (1, 2, 3))


def test_repaired_pictures_are_used_and_broken_ones_are_not_retried_forever(tmp_path):
    video = frames_in(tmp_path, "v", range(4), frame_3=BAD["nan"][0])
    broken = Path(video.pictures[1].file)
    good = broken.read_bytes()
    broken.write_bytes(b"no picture")
    stamps = {p: p.stat().st_mtime_ns for p in (broken.parent, Path(video.pictures[0].file))}
    prepare([video], SETTINGS, tmp_path / "store")
    before = list_shards(tmp_path / "store")
    prepare([video], SETTINGS, tmp_path / "store")
    assert list_shards(tmp_path / "store") == before
    broken.write_bytes(good)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["v"]
    assert (outcome.frames, outcome.lost, outcome.generation) == ((0, 1, 2), ((3, "it has no landmarks"),), 1)
    fixed = frames_in(tmp_path, "v", range(4))
    assert prepare([fixed], SETTINGS, tmp_path / "store").frames("v") == [0, 1, 2, 3]


def test_an_unreadable_file_counts_as_one_loss_since_its_frames_are_unknown(tmp_path):
    names = ["text.mp4", "text.png", "text.tif"]
    videos = [Video(n, tmp_path / n, 0, "real", "train") for n in names]
    for video in videos:
        video.path.write_text("neither")
    outcomes = prepare(videos, SETTINGS, tmp_path / "store").outcomes()
    assert {(o.status, len(o.lost)) for o in outcomes.values()} == {("unreadable", 1)}
    assert outcomes["text.mp4"].lost == ((0, "the file can't be opened as a video"),)


def test_a_frame_that_cannot_be_decoded_is_lost_and_named(film, tmp_path, face_everywhere, monkeypatch):
    opened = cv2.VideoCapture

    class Flaky:
        def __init__(self, *arguments):
            self.video, self.at = opened(*arguments), -1

        def __getattr__(self, name):
            return getattr(self.video, name)

        def grab(self):
            self.at += 1
            return self.video.grab()

        def retrieve(self):
            return (False, None) if self.at == 5 else self.video.retrieve()

    monkeypatch.setattr(cv2, "VideoCapture", Flaky)
    video = Video("film.mp4", film(count=40), 0, "real", "train")
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["film.mp4"]
    assert outcome.frames == (0, 11, 16, 22, 27, 33, 39)
    assert (outcome.status, outcome.lost) == ("ok", ((5, "it can't be decoded"),))


def test_frames_without_a_face_are_not_lost(film, tmp_path):
    video = Video("grey.mp4", film("grey.mp4"), 0, "real", "train")
    outcome = prepare([video], SETTINGS, tmp_path / "store").outcomes()["grey.mp4"]
    assert (outcome.status, outcome.decoded, outcome.lost) == ("no_face", 8, ())


def test_the_report_names_lost_frames_with_their_reasons(tmp_path):
    video = frames_in(tmp_path, "v", range(8), frame_1=BAD["nan"][0], frame_3=BAD["nan"][0], frame_4=BAD["zero"][0])
    outcomes = prepare([video], SETTINGS, tmp_path / "store").outcomes().values()
    write_report(tmp_path / "report.csv", select_problem_videos(outcomes))
    header, row = (tmp_path / "report.csv").read_text().splitlines()
    assert header.endswith(",frames_lost,reason,lost")
    assert row.startswith("v,ok,8,8,5,0,3,")
    assert row.endswith('"frames 1, 3: it has no landmarks; frame 4: a face of 0 x 0 pixels"')
    assert summarise_results(outcomes)[0]["lost"] == 3


def test_a_store_on_disk_records_its_losses(tmp_path):
    prepare([frames_in(tmp_path, "v", range(4), frame_1=BAD["nan"][0])], SETTINGS, tmp_path / "store")
    assert FaceStore(tmp_path / "store").outcomes()["v"].lost == ((1, "it has no landmarks"),)
    assert sorted(os.listdir(tmp_path / "store")) == [INDEX, NOTE, list_shards(tmp_path / "store")[0].name]
    assert read_lost(tmp_path / "store") == {"v": [1]}
