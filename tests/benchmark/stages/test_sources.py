"""The data of a request: the demo world by name, a root on disk, and the videos that a limit keeps."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.keys import hash_key, manifest_key
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.storage import cache_home
from crossfake.benchmark.core.types import FAKE, REAL
from crossfake.benchmark.stages.remake import remake_damaged
from crossfake.benchmark.stages.sources import (
    DataRoot,
    DataSource,
    demo_folder,
    find_root,
    open_source,
    parse_demo,
)
from crossfake.datasets.demo.world import GENERATOR_VERSION, DemoWorld
from crossfake.datasets.faces.face_store import DamagedShardError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("default", 0)),
        ("demo", ("default", 0)),
        ("demo:tiny", ("tiny", 0)),
        ("demo:tiny:7", ("tiny", 7)),
        ("demo::7", ("default", 7)),
        ("demo:large:", ("large", 0)),
    ],
)
def test_demo_names(text, expected):
    assert parse_demo(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("demo:tny", "no demo world of size 'tny'. Did you mean 'tiny'? Sizes: tiny, default, large, fair"),
        ("demo:tiny:x", "the seed 'x' is not a number"),
        ("demo:tiny:-1", "the seed '-1' is not a number"),
        ("demo:tiny:²", "the seed '²' is not a number"),
        ("demo:tiny:1:2", "the seed '1:2' is not a number"),
    ],
)
def test_wrong_demo_names(text, message):
    with pytest.raises(BenchError) as error:
        parse_demo(text)
    assert message in str(error.value)


def test_every_world_has_its_own_folder_and_protocol():
    parts = [("tiny", 0, "standard"), ("tiny", 1, "standard"), ("large", 0, "standard"), ("tiny", 0, "leak")]
    assert len({demo_folder(*p) for p in parts}) == 4
    told = [DataRoot(cache_home(), DemoWorld(size=size, seed=seed, world=w)).protocol for size, seed, w in parts]
    assert told == ["demo tiny, seed 0", "demo tiny, seed 1", "demo large, seed 0", "demo tiny, seed 0, leak world"]
    assert (DataRoot(cache_home(), None).world, DataRoot(cache_home(), None).protocol) == ("real", "real")


def test_data_comes_before_bench_data_before_the_demo(tmp_path, monkeypatch, capsys):
    for name in ("given", "environment"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "environment"))
    assert find_root(str(tmp_path / "given"), Reporter()).path == tmp_path / "given"
    root = find_root(None, Reporter())
    assert (root.path, root.world) == (tmp_path / "environment", "real")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match=r"no folder .*nowhere \(from BENCH_DATA\)"):
        find_root(None, Reporter())
    monkeypatch.setenv("BENCH_DATA", "")
    planned = DemoWorld(size="default", seed=0, generator_version=GENERATOR_VERSION)
    assert find_root(None, Reporter(), render=False).demo == planned
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"world: real ({tmp_path / 'given'})"
    assert said[-1].startswith(
        "world: demo (default, seed 0; neither --data nor BENCH_DATA is given): synthetic videos"
    )


def test_a_rendered_world_is_recognised_as_a_demo_anywhere(tmp_path):
    (tmp_path / "crossfake-demo.json").write_text(
        json.dumps({"size": "tiny", "seed": 4, "world": "leak", "complete": True})
    )
    assert find_root(str(tmp_path), Reporter(quiet=True)).protocol == "demo tiny, seed 4, leak world"


@pytest.mark.parametrize(
    ("version", "protocol"),
    [(3, "demo tiny, seed 0"), (4, "demo tiny, seed 0"), (99, "demo tiny, seed 0, generator 99")],
)
def test_a_world_of_another_generator_is_read_and_named(tmp_path, capsys, version, protocol):
    world = DemoWorld(generator_version=version, size="tiny", seed=0, complete=True)
    (tmp_path / "crossfake-demo.json").write_text(json.dumps(world.to_json()))
    assert find_root(str(tmp_path), Reporter()).protocol == protocol
    said = capsys.readouterr().out
    assert f"was made by generator {version}, and this version has {GENERATOR_VERSION}: it is used as it is" in said


def test_rows_of_this_generators_world_are_kept_apart_from_older_ones(tiny_world, capsys):
    root = find_root(str(tiny_world), Reporter())
    assert root.protocol == f"demo tiny, seed 0, generator {GENERATOR_VERSION}"
    assert "was made by" not in capsys.readouterr().out


def test_a_source_is_labelled_with_its_compression(planned):
    assert planned.source().label == "ff++:c23"
    assert planned.source("celebdf", "").label == "celebdf"


def test_faces_have_one_store_for_each_dataset_and_setting(planned, monkeypatch):
    source, faces = planned.source(), FaceSettings(finder="mediapipe")
    first = source.store_folder(faces)
    assert first.parent == cache_home() / "faces"
    assert first.name.startswith("ffpp-c23-")
    assert first == planned.source(limit=3).store_folder(faces)
    others = {
        source.store_folder(FaceSettings(finder="mediapipe", frames=8)),
        source.store_folder(FaceSettings(finder="mediapipe", encoding="jpeg95")),
        planned.source("celebdf", "").store_folder(faces),
        planned.source(compression="c40").store_folder(faces),
    }
    monkeypatch.setattr("crossfake.datasets.faces.finder.FINDER_VERSION", 999)
    assert len(others | {first, source.store_folder(faces)}) == 6


@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 3))
def test_a_limit_keeps_fakes_of_the_reals_it_keeps(limit, reals, methods):
    from crossfake.benchmark.core.types import Video
    from crossfake.benchmark.stages.sources import DataSource

    root = DataRoot(cache_home(), None)
    real = [Video(f"real/{i}", cache_home(), REAL, "real", "test") for i in range(reals)]
    fake = [
        Video(f"{m}/{i}", cache_home(), FAKE, str(m), "test", original=f"real/{i}")
        for m in range(methods)
        for i in range(reals)
    ]
    videos = tuple(sorted([*real, *fake], key=lambda v: v.id))
    whole, part = (DataSource("x", "", cache_home(), videos, root, n).split("test") for n in (None, limit))
    assert whole == list(videos)
    kept = [v for v in part if v.label == REAL]
    assert len(kept) == min(limit, reals)
    assert len(part) - len(kept) == min(limit, len(fake))
    assert part == sorted(part, key=lambda v: v.id)
    pairs = [v for v in part if v.label == FAKE and v.original in {k.id for k in kept}]
    assert len(pairs) == min(limit, len(kept) * methods)
    assert part == DataSource("x", "", cache_home(), videos, root, limit).split("test")


def test_a_limit_mixes_methods(planned, make_video):
    videos = [make_video(f"real/{i}.mp4", "test") for i in range(6)] + [
        make_video(f"fake{m}/{i}.mp4", "test", method=m, original=f"real/{i}.mp4") for m in "ABC" for i in range(6)
    ]
    kept = planned.source(videos=videos, limit=6).split("test")
    assert len({v.method for v in kept if v.label == FAKE}) > 1


def test_a_source_is_sent_without_its_videos_and_lists_them_again(tiny_world):
    source = open_source("dfdc", DataRoot(tiny_world, None), limit=3)
    key = source.key(["train", "val"])
    packed = pickle.dumps(source)
    assert b".mp4" not in packed
    sent = pickle.loads(packed)
    assert sent.key(["train", "val"]) == key
    assert vars(sent)["videos"]._videos is None  # Only the key is sent.
    assert sent.split("test") == source.split("test")
    assert list(sent.videos) == list(source.videos)


def test_open_source_finds_the_demo_worlds_sets(tiny_world):
    root = DataRoot(tiny_world, DemoWorld(size="tiny", seed=0))
    assert open_source("faceforensics++", root).label == "ff++:c23"
    assert {v.split for v in open_source("dfdc", root).videos} == {"train", "val", "test"}
    with pytest.raises(BenchError, match="Did you mean 'celebdf'"):
        open_source("celebfd", root)


def test_faces_of_a_damaged_shard_are_remade_and_read_again(tmp_path, capsys):
    path, calls = tmp_path / "a.arrow", []
    path.touch()

    def use() -> str:
        calls.append(path.exists())
        if path.exists():
            raise DamagedShardError(path, "why")
        return "done"

    assert remake_damaged(use, Reporter()) == "done"
    assert calls == [True, False]
    assert capsys.readouterr().out == f"{path} is damaged (why): its faces are prepared again\n"


def test_masks_change_keys_and_the_store_only_where_they_exist(tmp_path, make_video):
    videos = [make_video("real/a.mp4"), make_video("fake/a.mp4")]
    root = DataRoot(tmp_path, None)
    plain = DataSource("x", "", tmp_path, videos, root, None)
    masked = DataSource("x", "", tmp_path, [replace(v, mask=tmp_path / "m.mp4") for v in videos], root, None)
    faces, splits = FaceSettings(finder="mediapipe"), ["train", "val", "test"]
    assert plain.key(splits) == hash_key(["x", None, [manifest_key(plain.split(s)) for s in splits]])
    assert masked.key(splits) != plain.key(splits)
    assert masked.store_folder(faces) != plain.store_folder(faces)
