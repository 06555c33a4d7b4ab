"""A face store is named by its content, so it is found wherever it and the videos are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from crossfake.benchmark.core import keys
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.storage import cache_home
from crossfake.benchmark.core.types import PrepareResult
from crossfake.benchmark.stages import store_folders
from crossfake.benchmark.stages.plan import check_data
from crossfake.benchmark.stages.sources import DataRoot, DataSource
from crossfake.benchmark.stages.store_folders import _join, adopt_store, find_store, name_store
from crossfake.datasets.demo.world import DemoWorld
from crossfake.datasets.faces.face_store import FaceStore, list_shards, write_shard
from crossfake.datasets.faces.prepare import make_store_settings

FACES = FaceSettings(finder="mediapipe")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def moved(source: DataSource, home: Path, demo: DemoWorld | None = None) -> DataSource:
    return replace(source, home=home, root=DataRoot(home, demo))


def fill(folder: Path, source: DataSource, size: int = 4, status: str = "ok") -> None:
    """Write a store that claims to have searched all videos for faces, and to know their file sizes."""
    outcomes = [
        PrepareResult(v.id, status, FACES.frames, size=size, mtime_ns=1, follows=v.original or "")
        for v in source.videos
    ]
    write_shard(folder / "a.arrow", make_store_settings(FACES), [(o, []) for o in outcomes])


def test_a_store_is_the_same_wherever_the_videos_are(planned, tmp_path):
    source = planned.source()
    assert name_store(source, FACES).parent == cache_home() / "faces"
    assert name_store(source, FACES) == name_store(moved(source, tmp_path / "elsewhere"), FACES)


def test_each_demo_world_and_real_data_have_their_own(planned, tmp_path):
    worlds = [None, *(DemoWorld(size="tiny", seed=seed, generator_version=v) for seed in (0, 1) for v in (5, 6))]
    homes = [tmp_path / name for name in ("a", "new_donors")]
    stores = {name_store(moved(planned.source(), h, w), FACES) for w in worlds for h in homes}
    assert len(stores) == 1 + 2 * 4


def test_custom_data_is_identified_by_its_path(planned, tmp_path):
    for name in ("folder:videos", "mine.py:Mine"):
        source = planned.source(name, "")
        assert name_store(source, FACES) != name_store(moved(source, tmp_path / "elsewhere"), FACES)


def test_a_store_of_a_former_name_is_adopted_once_and_found_by_both_names(planned):
    source = planned.source()
    former, named = _join(source, FACES, str(source.home.resolve())), name_store(source, FACES)
    fill(former, source)
    assert find_store(source, FACES) == former  # Looking it up doesn't rename it.
    assert adopt_store(source, FACES) == named == find_store(source, FACES) == adopt_store(source, FACES)
    assert former.is_symlink()
    assert FaceStore(former).outcomes() == FaceStore(named).outcomes() != {}


def test_a_reencoded_copy_has_its_own_store(planned):
    source = planned.source()
    fill(name_store(source, FACES), source)
    assert find_store(source, FACES) == name_store(source, FACES)
    for video in source.videos:
        video.path.write_bytes(b"123456789")
    second = find_store(source, FACES)
    assert second == name_store(source, FACES).with_name(f"{name_store(source, FACES).name}.2")
    fill(second, source, size=9)
    assert find_store(source, FACES) == adopt_store(source, FACES) == second


def test_one_changed_file_is_the_same_copy(planned):
    source = planned.source()
    fill(name_store(source, FACES), source)
    source.videos[0].path.write_bytes(b"123456789")
    assert find_store(source, FACES) == name_store(source, FACES)


def test_without_visible_videos_the_store_is_used_unchanged(planned):
    cell = planned.cell(test=planned.source())
    keys = cell.train_key, cell.test_key
    folder = name_store(cell.test, FACES)
    fill(folder, cell.test)
    before = list_shards(folder), FaceStore(folder).outcomes()
    for video in cell.test.videos:
        video.path.unlink()
    blind = planned.cell(train=planned.source(), test=planned.source())
    assert (blind.train_key, blind.test_key) == keys
    assert all(blind.test.has_any([v], FACES) for v in blind.test.videos)
    store = blind.test.prepare(["train", "val", "test"], FACES, Reporter(quiet=True))
    assert (list_shards(folder), store.outcomes()) == before


def test_a_video_that_was_never_there_is_still_missing(planned):
    source = planned.source()
    source.videos[0].path.unlink()
    before = planned.source().key(["train", "val"], FACES)
    fill(name_store(source, FACES), source, size=0, status="missing")
    again = planned.source()
    assert again.key(["train", "val"], FACES) == before
    assert not again.has_any(source.videos[:1], FACES)


def test_a_new_modification_time_alone_changes_nothing(planned):
    source = planned.source()
    fill(name_store(source, FACES), source)
    for video in source.videos:
        os.utime(video.path, ns=(5, 5))
    store = source.prepare(["train", "val", "test"], FACES, Reporter(quiet=True))
    assert {o.generation for o in store.outcomes().values()} == {0}
    assert len(list_shards(store.folder)) == 1


def test_with_faces_only_no_video_is_looked_at(planned, monkeypatch):
    source = planned.source()
    key = source.key(["train", "val"], FACES)
    fill(name_store(source, FACES), source)
    only = replace(planned.source(), faces_only=True)
    for video in source.videos:
        video.path.write_bytes(b"another content")
    monkeypatch.setattr(keys, "measure_file", lambda path: pytest.fail(f"{path} was looked at"))
    monkeypatch.setattr(store_folders, "measure_file", lambda path: 4)
    assert only.key(["train", "val"], FACES) == key
    before = list_shards(name_store(source, FACES))
    store = only.prepare(["test"], FACES, Reporter(quiet=True))
    assert list_shards(store.folder) == before
    assert all(only.has_any([v], FACES) for v in source.videos)


def test_faces_only_without_a_store_is_a_one_line_error(planned):
    only = replace(planned.source(), faces_only=True)
    with pytest.raises(
        BenchError, match=r"no faces of ff\+\+:c23: .*ffpp-c23-.* doesn't exist\. Copy the store there, or leave out"
    ):
        only.prepare(["test"], FACES, Reporter(quiet=True))
    with pytest.raises(BenchError, match="and no store has their faces"):
        check_data([planned.cell(train=only, test=only)])


def test_faces_of_videos_whose_names_are_hidden_are_reported(planned):
    source = planned.source()
    fill(name_store(source, FACES), source)
    reals = [v for v in source.videos if not v.label]
    told = r"0 fake videos .*The store has faces of 3 videos that aren't listed there, such as fake/.*Make their names"
    with pytest.raises(BenchError, match=told):
        check_data([planned.cell(test=planned.source(videos=reals))])


def test_a_store_is_opened_once_to_look_for_any_of_many_videos(planned, monkeypatch):
    source = planned.source()
    fill(name_store(source, FACES), source, status="missing")
    opened, load = [], FaceStore._load_index
    monkeypatch.setattr(FaceStore, "_load_index", lambda self: (opened.append(id(self)), load(self))[1])
    only = replace(planned.source(), faces_only=True)
    assert not only.has_any(source.videos, FACES)
    assert len(set(opened)) <= 2  # Once to choose the store, once to look.
