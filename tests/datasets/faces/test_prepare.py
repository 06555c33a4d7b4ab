import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.parts import Part
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.types import Video
from crossfake.datasets.base import load_videos
from crossfake.datasets.faces import prepare as module
from crossfake.datasets.faces.face_store import FaceStore, list_shards
from crossfake.datasets.faces.prepare import find_faces, prepare
from crossfake.datasets.faces.sampling import VideoFile, choose_frames

SETTINGS = FaceSettings(finder="mediapipe", frames=4)


def as_video(path: Path) -> Video:
    return Video(path.name, path, 0, "real", "test")


@pytest.fixture(scope="module")
def videos(demo) -> list[Video]:
    return load_videos("ff++", demo).videos


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)


def everything(store: FaceStore) -> dict[str, tuple]:
    """Return the whole content of a store, to compare it with another."""
    return {
        video: (
            outcome,
            [(f.crop.tobytes(), f.landmarks.tobytes(), f.box.tobytes(), f.top_left) for f in store.faces(video)],
        )
        for video, outcome in store.outcomes().items()
    }


def test_nearly_all_faces_of_the_demo_world_are_found(videos, tmp_path):
    store = prepare(videos, SETTINGS, tmp_path)
    outcomes = store.outcomes()
    assert outcomes.keys() == {v.id for v in videos}
    assert {o.status for o in outcomes.values()} == {"ok"}
    assert sum(o.decoded for o in outcomes.values()) == sum(o.wanted for o in outcomes.values())
    assert len(store) >= 0.95 * sum(o.decoded for o in outcomes.values())


def test_stored_crop_has_the_frames_pixels(videos, tmp_path):
    store = prepare(videos[:1], SETTINGS, tmp_path)
    clip = VideoFile(videos[0].path)
    frames = dict(clip.frames(choose_frames(clip.reported_frames, 4)))
    for face in store.faces(videos[0].id):
        (x, y), (height, width) = face.top_left, face.crop.shape[:2]
        assert np.array_equal(face.crop, frames[face.frame][y : y + height, x : x + width])


def test_workers_change_nothing(videos, tmp_path, small_chunks, two_workers):
    one = prepare(videos[:6], SETTINGS, tmp_path / "one")
    two = prepare(videos[:6], SETTINGS, tmp_path / "two", two_workers)
    assert everything(one) == everything(two)
    files = [{p.name: p.read_bytes() for p in list_shards(tmp_path / name)} for name in ("one", "two")]
    assert files[0] == files[1]
    assert len(files[0]) == 3


def test_killed_run_continues_where_it_stopped(videos, tmp_path, small_chunks, monkeypatch):
    whole = prepare(videos[:6], SETTINGS, tmp_path / "whole")

    def killed(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(videos[:6], SETTINGS, tmp_path / "killed", progress=killed)
    assert len(FaceStore(tmp_path / "killed").outcomes()) == 4
    calls = []
    resumed = prepare(videos[:6], SETTINGS, tmp_path / "killed", progress=lambda *count: calls.append(count))
    assert calls == [(0, 2), (2, 2)]
    assert everything(resumed) == everything(whole)


def test_finished_store_is_left_alone_without_loading_a_finder(videos, tmp_path, monkeypatch):
    prepare(videos[:2], SETTINGS, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in list_shards(tmp_path)}
    monkeypatch.setattr(module, "load_finder", None)
    prepare(videos[:2], SETTINGS, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in list_shards(tmp_path)} == before


def test_lost_shard_is_remade(videos, tmp_path, small_chunks):
    before = everything(prepare(videos[:4], SETTINGS, tmp_path))
    list_shards(tmp_path)[0].unlink()
    assert everything(prepare(videos[:4], SETTINGS, tmp_path)) == before


@pytest.mark.parametrize("harm", ["cut", "empty", "junk", "zeros", "footer"])
def test_a_damaged_shard_is_remade_with_a_message(videos, tmp_path, small_chunks, capsys, harm):
    before = everything(prepare(videos[:4], SETTINGS, tmp_path))
    prepare(videos[:4], SETTINGS, tmp_path)  # This remembers that all shards are good.
    path = list_shards(tmp_path)[0]
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:half],
            "empty": b"",
            "junk": b"junk" * 999,
            "zeros": whole[:half] + bytes(2000) + whole[half + 2000 :],
            "footer": whole[:-300] + bytes(200) + whole[-100:],
        }[harm]
    )
    assert everything(prepare(videos[:4], SETTINGS, tmp_path)) == before
    assert path.read_bytes() == whole
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"{path} is damaged (")
    assert told[0].endswith("): its faces are prepared again")


def test_shards_are_fully_read_once(videos, tmp_path, monkeypatch):
    prepare(videos[:2], SETTINGS, tmp_path)
    prepare(videos[:2], SETTINGS, tmp_path)
    monkeypatch.setattr("crossfake.datasets.faces.repair.check_shard", None)
    prepare(videos[:2], SETTINGS, tmp_path)


def test_large_chunks_become_several_shards_with_the_same_faces(videos, tmp_path, monkeypatch):
    whole = prepare(videos[:5], SETTINGS, tmp_path / "whole")
    monkeypatch.setattr(module, "SHARD_BYTES", sum(p.stat().st_size for p in list_shards(tmp_path / "whole")) // 3)
    parts = prepare(videos[:5], SETTINGS, tmp_path / "parts")
    assert len(list_shards(tmp_path / "whole")) == 1
    assert 1 < len(list_shards(tmp_path / "parts")) < 5
    assert everything(parts) == everything(whole)


def test_more_videos_are_added(videos, tmp_path):
    prepare(videos[:1], SETTINGS, tmp_path)
    counts = []
    store = prepare(videos[:3], SETTINGS, tmp_path, progress=lambda *count: counts.append(count))
    assert counts == [(0, 2), (2, 2)]
    assert len(store.outcomes()) == 3


def test_missing_and_unreadable_files_are_outcomes(film, tmp_path, capfd):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    names = ["empty.mp4", "text.mp4", "missing.mp4", film("grey.mp4").name]
    store = prepare([as_video(tmp_path / n) for n in names], SETTINGS, tmp_path / "store")
    assert {n: (o.status, o.reason, o.decoded) for n, o in store.outcomes().items()} == {
        "empty.mp4": ("unreadable", "the file is empty", 0),
        "text.mp4": ("unreadable", "the file can't be opened as a video", 0),
        "missing.mp4": ("missing", "no file missing.mp4", 0),
        "grey.mp4": ("no_face", "", 4),
    }
    assert all(o.wanted == 4 for o in store.outcomes().values())
    assert capfd.readouterr().err == ""


def test_changed_file_is_prepared_again_and_the_newer_outcome_wins(film, videos, tmp_path):
    path = film("clip.mp4")
    video, store = as_video(path), tmp_path / "store"
    assert prepare([video], SETTINGS, store).outcomes()["clip.mp4"].status == "no_face"
    path.write_bytes(videos[0].path.read_bytes())
    os.utime(path, ns=(1, 1))  # Older than the first file, as unpacked archives may be.
    outcome = prepare([video], SETTINGS, store).outcomes()["clip.mp4"]
    assert (outcome.status, outcome.generation, outcome.mtime_ns) == ("ok", 1, 1)
    path.unlink()  # As if it weren't visible on this machine: its faces stay.
    before = list_shards(store)
    assert prepare([video], SETTINGS, store).outcomes()["clip.mp4"] == outcome
    assert list_shards(store) == before


def test_truncated_video_is_sampled_evenly_over_what_is_there(film, tmp_path):
    path = film("cut.mp4", count=50, movflags="faststart")
    content = path.read_bytes()
    data = content.index(b"mdat")
    path.write_bytes(content[: data + (len(content) - data) * 2 // 3])
    outcome = prepare([as_video(path)], SETTINGS, tmp_path / "store").outcomes()["cut.mp4"]
    assert outcome.decoded == 4
    assert "the file says it has 50 frames, but" in outcome.reason


def test_one_person_is_tracked_and_others_are_counted(stub):
    def frame(*people: tuple[int, int, int]) -> np.ndarray:
        picture = np.full((100, 200, 3), 128, np.uint8)
        for x, y, side in people:
            picture[y : y + side, x : x + side] = [220, 0, 0]
        return picture

    frames = [frame((10, 10, 30)), frame((12, 12, 30), (100, 20, 60)), frame(), frame((14, 14, 30), (100, 20, 60))]
    found = find_faces(enumerate(frames), SETTINGS, stub)
    assert [f.frame for f, _ in found.faces] == [0, 1, 3]
    assert [(f.box[0] + f.top_left[0]) for f, _ in found.faces] == [10, 12, 14]
    assert (found.decoded, found.several) == (4, 2)


def test_store_with_other_settings_is_not_mixed(videos, tmp_path):
    prepare(videos[:1], SETTINGS, tmp_path)
    with pytest.raises(BenchError, match="was prepared with other settings"):
        prepare(videos[:1], SETTINGS.model_copy(update={"context": 3.0}), tmp_path)


def test_unknown_finder_stops_before_any_work(videos, tmp_path):
    with pytest.raises(BenchError, match="no face finder named 'retina'"):
        prepare(videos[:1], SETTINGS.model_copy(update={"finder": "retina"}), tmp_path)
    assert list_shards(tmp_path) == []


def test_jpeg_is_smaller(videos, tmp_path):
    for encoding in ("png", "jpeg95"):
        prepare(videos[:1], SETTINGS.model_copy(update={"encoding": encoding}), tmp_path / encoding)
    png, jpeg = (sum(p.stat().st_size for p in list_shards(tmp_path / e)) for e in ("png", "jpeg95"))
    assert jpeg < 0.6 * png


def test_leftovers_of_killed_runs_are_removed_after_a_day(videos, tmp_path):
    old, young = tmp_path / ".a.1.tmp.arrow", tmp_path / ".b.2.tmp.arrow"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    prepare([replace(videos[0], path=tmp_path / "nowhere.mp4")], SETTINGS, tmp_path)
    assert not old.exists()
    assert young.exists()


@pytest.fixture
def flaky(monkeypatch):
    """Make reading the file with this name fail this many times with a network error."""
    left, opened, pauses = {}, Path.open, []
    monkeypatch.setattr("crossfake.benchmark.core.transient_errors.time.sleep", pauses.append)

    def open_or_fail(self, *arguments, **options):
        if left.get(self.name, 0):
            left[self.name] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_or_fail)
    return left, pauses


def test_a_briefly_unreadable_file_is_retried(tmp_path, flaky):
    left, pauses = flaky
    (tmp_path / "a.mp4").write_text("no video")
    left["a.mp4"] = 2
    outcome = prepare([as_video(tmp_path / "a.mp4")], SETTINGS, tmp_path / "store").outcomes()["a.mp4"]
    assert outcome.status == "unreadable"  # In the end it could be read, but isn't a video.
    assert pauses == [0.5]


def test_a_file_that_stays_unreadable_is_reported_without_an_outcome(tmp_path, flaky, videos):
    left, _ = flaky
    (tmp_path / "a.mp4").write_text("no video")
    left["a.mp4"] = 99
    both = [as_video(tmp_path / "a.mp4"), videos[0]]
    told = r"1 of 2 videos can't be read just now, first: a\.mp4 \(.*\)\. Finished work is kept: repeat the command"
    with pytest.raises(BenchError, match=told):
        prepare(both, SETTINGS, tmp_path / "store")
    assert list(FaceStore(tmp_path / "store").outcomes()) == [videos[0].id]
    left.clear()
    assert len(prepare(both, SETTINGS, tmp_path / "store").outcomes()) == 2


def test_parts_together_fill_a_store_like_one_command(videos, tmp_path):
    whole = prepare(videos[:5], SETTINGS, tmp_path / "whole").outcomes()
    for number in (2, 1, 3):
        prepare(videos[:5], SETTINGS, tmp_path / "parts", part=Part(number, 3))
    assert FaceStore(tmp_path / "parts").outcomes() == whole
    assert len(list_shards(tmp_path / "parts")) == 3
    before = list_shards(tmp_path / "parts")
    prepare(videos[:5], SETTINGS, tmp_path / "parts")
    assert list_shards(tmp_path / "parts") == before


@pytest.mark.parametrize(("free", "said"), [(1e12, ""), (1e6, "faces take about"), (1e5, None)])
def test_reports_a_disk_that_is_too_small_before_work_starts(videos, tmp_path, monkeypatch, capsys, free, said):
    monkeypatch.setattr("crossfake.datasets.faces.disk_space.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    if said is None:
        with pytest.raises(BenchError, match=r"8 faces take about 1\.2 MB, and .* has 100\.0 kB free\. Make room"):
            prepare(videos[:2], SETTINGS, tmp_path / "store")
        assert list_shards(tmp_path / "store") == []
        return
    prepare(videos[:2], SETTINGS, tmp_path / "store")
    assert said in capsys.readouterr().err
