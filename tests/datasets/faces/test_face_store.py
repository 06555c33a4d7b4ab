import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Face, LostFrame, PrepareResult
from crossfake.datasets.faces.encodings import decode, encode
from crossfake.datasets.faces.face_store import DamagedShardError, FaceStore, check_shard, list_shards, write_shard

RNG = np.random.default_rng(0)


def face(frame: int, height: int = 20, width: int = 24) -> Face:
    crop = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    landmarks = RNG.uniform(0, 20, (81, 2)).astype(np.float32)
    return Face(crop, landmarks, np.array([1, 2, 13, 14.5], np.float32), frame, (5, 6), (64, 48))


def write(folder, name: str, videos: dict[str, list[Face]], generation: int = 0, settings: dict | None = None) -> None:
    results = [
        (
            PrepareResult(
                video, "ok" if faces else "no_face", 4, 4, tuple(f.frame for f in faces), generation=generation
            ),
            [(f, encode(f.crop, "png")) for f in faces],
        )
        for video, faces in videos.items()
    ]
    write_shard(folder / f"{name}.arrow", settings or {"frames": 4}, results)


def same(a: Face, b: Face) -> bool:
    arrays = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("crop", "landmarks", "box"))
    return arrays and (a.frame, a.top_left, a.frame_size) == (b.frame, b.top_left, b.frame_size)


def test_png_gives_back_every_pixel_and_jpeg_nearly():
    crop = face(0).crop
    assert np.array_equal(decode(encode(crop, "png")), crop)
    smooth = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (64, 64, 3)).copy()
    assert np.abs(decode(encode(smooth, "jpeg95")).astype(int) - smooth).max() < 8


def test_faces_are_read_as_written(tmp_path):
    first, second, third = face(3), face(9, 31, 17), face(0)
    write(tmp_path, "a", {"x.mp4": [first, second], "none.mp4": []})
    write(tmp_path, "b", {"y.mp4": [third]})
    store = FaceStore(tmp_path)
    assert store.frames("x.mp4") == [3, 9]
    assert all(same(*pair) for pair in zip(store.faces("x.mp4"), [first, second], strict=True))
    assert same(store.face("y.mp4", 0), third)
    assert same(store.face("x.mp4", -1), second)
    assert store.faces("none.mp4") == []
    assert len(store) == 3
    assert {v: o.status for v, o in store.outcomes().items()} == {"x.mp4": "ok", "none.mp4": "no_face", "y.mp4": "ok"}


def test_crops_and_landmarks_can_be_written_to(tmp_path):
    write(tmp_path, "a", {"x.mp4": [face(0)]})
    found = FaceStore(tmp_path).face("x.mp4", 0)
    found.crop[0], found.landmarks[0], found.box[0] = 1, 2, 3


def test_unknown_video_has_no_frames_and_no_face(tmp_path):
    write(tmp_path, "a", {"x.mp4": [face(0)]})
    store = FaceStore(tmp_path)
    assert store.frames("y.mp4") == []
    with pytest.raises(BenchError, match=r"has no faces of y\.mp4"):
        store.face("y.mp4", 0)
    with pytest.raises(IndexError):
        store.face("x.mp4", 1)


def test_empty_folder_is_an_empty_store(tmp_path):
    assert FaceStore(tmp_path / "nothing yet").outcomes() == {}


def test_store_travels_to_other_processes(tmp_path):
    write(tmp_path, "a", {"x.mp4": [face(0)]})
    store = FaceStore(tmp_path)
    before = store.face("x.mp4", 0)
    content = pickle.dumps(store)
    assert len(content) < 1000
    assert same(pickle.loads(content).face("x.mp4", 0), before)


def test_newer_outcome_wins_whatever_the_order_of_files(tmp_path):
    new = face(7)
    write(tmp_path, "a", {"x.mp4": [new]}, generation=1)
    write(tmp_path, "b", {"x.mp4": [face(2)]}, generation=0)
    assert FaceStore(tmp_path).frames("x.mp4") == [7]
    assert same(FaceStore(tmp_path).face("x.mp4", 0), new)


def test_many_shards_do_not_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr("crossfake.datasets.faces.face_store.OPEN_SHARDS", 2)
    faces = {f"{i}.mp4": face(i) for i in range(5)}
    for i, (video, one) in enumerate(faces.items()):
        write(tmp_path, f"shard{i}", {video: [one]})
    store = FaceStore(tmp_path)
    assert all(same(store.face(video, 0), one) for _ in range(2) for video, one in faces.items())
    assert len(store._open) == 2


def test_any_arrow_tool_can_read_a_shard(tmp_path):
    write(tmp_path, "a", {"x.mp4": [face(3), face(9)], "y.mp4": [face(0)]})
    with pa.memory_map(str(tmp_path / "a.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
        assert table.column("video").to_pylist() == ["x.mp4", "x.mp4", "y.mp4"]
        assert table.column("frame").to_pylist() == [3, 9, 0]
        assert table.schema.field("landmarks").type == pa.list_(pa.float32(), 162)
        assert b"schema_version" in table.schema.metadata[b"crossfake"]


def test_half_written_files_are_not_shards(tmp_path):
    (tmp_path / ".abc.123.tmp.arrow").write_bytes(b"half")
    assert list_shards(tmp_path) == []


def test_broken_shard_is_named(tmp_path):
    write(tmp_path, "a", {"x.mp4": [face(3)]})
    path = tmp_path / "a.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BenchError, match=r"a\.arrow is damaged .*Copy it again, or remove it and rerun"):
        FaceStore(tmp_path).outcomes()


def test_shard_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("crossfake.datasets.faces.face_store.SCHEMA_VERSIONS", (0, 0))
    write(tmp_path, "a", {"x.mp4": [face(3)]})
    monkeypatch.undo()
    with pytest.raises(BenchError, match="another version of crossfake"):
        FaceStore(tmp_path).outcomes()


def test_mixed_settings_are_detected(tmp_path):
    write(tmp_path, "a", {"x.mp4": []}, settings={"frames": 4})
    write(tmp_path, "b", {"y.mp4": []}, settings={"frames": 8})
    assert FaceStore(tmp_path).settings() == [{"frames": 4}, {"frames": 8}]


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(pa.ArrowException):
        write_shard(tmp_path / "a.arrow", {}, [(PrepareResult("x.mp4", "ok", 1, frames=(0,)), [(face(0), 1)])])
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from crossfake.benchmark.core.types import Face, PrepareResult
from crossfake.datasets.faces.face_store import write_shard
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
one = Face(np.zeros((4, 4, 3), np.uint8), np.zeros((81, 2), np.float32), np.zeros(4, np.float32), 0, (0, 0), (9, 9))
try:
    write_shard(Path(sys.argv[1]), {}, [(PrepareResult("x", "ok", 1, 1, (0,)), [(one, bytes(50_000))])])
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_reported_with_the_file_and_the_remedy(tmp_path):
    path = tmp_path / "store" / "a.arrow"
    run = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"{path} can't be written: File too large. Make room there, or name another folder: ")
    assert "BENCH_CACHE=DIR" in run.stdout
    assert list(path.parent.iterdir()) == []


def test_old_stores_without_lost_frames_are_read(tmp_path, monkeypatch):
    def old(outcome):
        return {k: v for k, v in vars(outcome).items() if k not in ("lost", "follows")}

    monkeypatch.setattr("crossfake.datasets.faces.face_store.asdict", old)
    write(tmp_path, "a", {"x.mp4": [face(3)]})
    assert FaceStore(tmp_path).outcomes()["x.mp4"] == PrepareResult("x.mp4", "ok", 4, 4, (3,))


def test_lost_frames_are_read_back(tmp_path):
    outcome = PrepareResult(
        "x.mp4", "ok", 4, 3, (0,), lost=(LostFrame(7, "why"), LostFrame(9, "ditto")), follows="y.mp4"
    )
    write_shard(tmp_path / "a.arrow", {}, [(outcome, [(face(0), encode(face(0).crop, "png"))])])
    assert FaceStore(tmp_path).outcomes() == {"x.mp4": outcome}


def test_positions_are_landmark_boxes_as_fractions_of_the_frame(tmp_path):
    faces = [face(3), face(9)]
    write(tmp_path, "a", {"w.mp4": [face(0)], "x.mp4": faces, "none.mp4": []})
    store = FaceStore(tmp_path)
    points = [(f.landmarks + f.top_left) / f.frame_size for f in faces]
    assert np.allclose(store.get_relative_boxes("x.mp4"), [[*p.min(0), *p.max(0)] for p in points], atol=1e-6)
    assert store.get_relative_boxes("none.mp4").shape == store.get_relative_boxes("unknown.mp4").shape == (0, 4)


def jpeg_store(folder) -> tuple[FaceStore, Path]:
    """A store of two videos with two frames each, in JPEG, which hides damage."""
    rng = np.random.default_rng(1)
    faces = [replace(face(i), crop=cv2.blur(rng.integers(0, 255, (99, 99, 3), np.uint8), (5, 5))) for i in range(4)]
    results = [
        (PrepareResult(v, "ok", 2, 2, (f[0].frame, f[1].frame)), [(x, encode(x.crop, "jpeg95")) for x in f])
        for v, f in (("x.mp4", faces[:2]), ("y.mp4", faces[2:]))
    ]
    write_shard(folder / "a.arrow", {"frames": 2}, results)
    return FaceStore(folder), folder / "a.arrow"


def damage(path, mark: bytes, offset: int, new: bytes) -> None:
    content = bytearray(path.read_bytes())
    at = content.rindex(mark) + offset
    content[at : at + len(new)] = new
    path.write_bytes(content)


def test_a_wrong_byte_in_a_still_decodable_picture_is_noticed(tmp_path):
    store, path = jpeg_store(tmp_path)
    before = store.faces("y.mp4")
    damage(path, encode(before[1].crop, "jpeg95")[:20], 1500, b"\x55\x2a\x13")
    store = FaceStore(tmp_path)
    assert same(store.face("y.mp4", 0), before[0])
    with pytest.raises(DamagedShardError, match=r"a\.arrow is damaged \(frame 3 of y\.mp4 isn't what was written\)"):
        store.face("y.mp4", 1)
    with pytest.raises(DamagedShardError, match=r"the faces of y\.mp4 aren't what was written"):
        check_shard(path)


@pytest.mark.parametrize("what", ["landmarks", "box"])
def test_wrong_numbers_next_to_a_picture_are_noticed(tmp_path, what):
    store, path = jpeg_store(tmp_path)
    value = getattr(store.face("y.mp4", 1), what).astype("<f4").tobytes()
    damage(path, value, 4, np.float32(7.5).tobytes())
    with pytest.raises(DamagedShardError):
        FaceStore(tmp_path).face("y.mp4", 1)


def test_wrong_bytes_in_a_shards_metadata_are_noticed(tmp_path):
    _, path = jpeg_store(tmp_path)
    damage(path, b'"frames": [2, 3]', 0, b'"frames": [2, 4]')
    with pytest.raises(DamagedShardError, match="its metadata isn't what was written"):
        FaceStore(tmp_path).outcomes()


def test_damage_errors_travel_between_processes(tmp_path):
    error = pickle.loads(pickle.dumps(DamagedShardError(tmp_path, "why")))
    assert (error.path, str(error)) == (
        tmp_path,
        f"{tmp_path} is damaged (why). Copy it again, or remove it and rerun: it will be prepared again",
    )


def test_old_shards_without_checksums_are_read(tmp_path, monkeypatch):
    store, path = jpeg_store(tmp_path)
    before = store.faces("x.mp4")
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        content = json.loads(reader.schema.metadata[b"crossfake"])
        del content["checksums"]
        batches = [reader.get_batch(i) for i in range(2)]
        schema = reader.schema.with_metadata({b"crossfake": json.dumps(content)})
        with pa.ipc.new_file(str(tmp_path / "old.arrow"), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    path.unlink()
    check_shard(tmp_path / "old.arrow")
    assert all(same(*pair) for pair in zip(FaceStore(tmp_path).faces("x.mp4"), before, strict=True))


FUZZ = """
import random, sys
from pathlib import Path
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.faces.face_store import FaceStore
whole, path, rng, told = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), random.Random(0), 0
for trial in range(200):
    content = bytearray(whole)
    for _ in range(rng.choice([1, 5, 200])):
        place = rng.choice([rng.randrange(len(content)), rng.randrange(2000), -1 - rng.randrange(2000)])
        content[place] = rng.randrange(256)
    path.write_bytes(content[: rng.randrange(len(content))] if trial % 7 == 0 else content)
    try:
        store = FaceStore(path.parent)
        for video in store.outcomes():
            store.get_relative_boxes(video), store.faces(video)
    except BenchError:
        told += 1
assert told > 100, told
"""


def test_damaged_shards_give_one_line_and_never_a_crash(tmp_path):
    """This runs in a separate process, as a reader that trusts the file would crash it."""
    write(tmp_path, "whole", {"a": [face(i) for i in range(3)], "b": [face(0)]})
    (tmp_path / "store").mkdir()
    words = [sys.executable, "-c", FUZZ, str(tmp_path / "whole.arrow"), str(tmp_path / "store" / "a.arrow")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
