"""The files of the demo world: reproducible bytes, interrupted writing, and rejected folders."""

import shutil
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.readers import read_json
from crossfake.benchmark.core.storage import write_json
from crossfake.datasets.demo.world import (
    GENERATOR_VERSION,
    MARKER,
    STARTED,
    find_world,
    mend_note,
    plan_world,
    read_ground_truth,
    render_world,
)


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_tiny_world_is_small_and_describes_itself(tiny):
    marker = find_world(tiny)
    assert marker is not None
    assert (marker.size, marker.seed, marker.world, marker.complete) == ("tiny", 0, "standard", True)
    assert marker.generator_version == GENERATOR_VERSION
    assert marker.schema_version == 1
    for splits in marker.counts.values():
        assert all(n["real"] >= 1 and n["fake"] >= 1 for n in splits.values())
    assert set(marker.counts["ffpp"]) == {"train", "val", "test"}
    videos = list(tiny.rglob("*.mp4"))
    assert 30 <= len(videos) <= 55
    assert sum(sum(n.values()) for splits in marker.counts.values() for n in splits.values()) == len(videos)


def test_world_is_known_from_a_dataset_folder_but_not_from_outside(tiny):
    assert find_world(tiny / "FaceForensics++") == find_world(tiny)
    assert find_world(tiny.parent) is None


def test_another_seed_gives_other_people(tiny, tmp_path):
    def steps(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_world(tmp_path / "other", "tiny", seed=1, progress=steps)
    video = "FaceForensics++/original_sequences/youtube/c23/videos/000.mp4"
    assert (tmp_path / "other" / video).read_bytes() != (tiny / video).read_bytes()


def test_an_interrupted_world_is_completed_byte_for_byte_with_any_number_of_processes(tiny, tmp_path, two_workers):
    def breaks_off(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    out = tmp_path / "world"
    with pytest.raises(KeyboardInterrupt):
        render_world(out, "tiny", progress=breaks_off)
    assert find_world(out) is None
    written = {path.relative_to(out) for path in out.rglob("*.mp4")}
    videos = sorted(path.relative_to(tiny) for path in tiny.rglob("*.mp4"))
    assert 2 <= len(written) < len(videos)
    for video in {*videos} - {*videos[::7]} - written:  # As if it had been interrupted later.
        (out / video).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tiny / video, out / video)
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    render_world(out, "tiny", pool=two_workers)
    assert contents(out) == contents(tiny)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_complete_world_is_left_alone(tiny):
    def never(done: int, total: int) -> None:
        raise AssertionError("rendered again")

    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert render_world(tiny, "tiny", progress=never) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def test_progress_counts_videos(tmp_path):
    seen = []

    def stops(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_world(tmp_path / "w", "tiny", progress=stops)
    shots = plan_world("tiny", 0, "standard").shots
    assert seen == [(len(shots[0].videos), sum(len(shot.videos) for shot in shots))]


@pytest.mark.parametrize("change", [{"size": "default"}, {"seed": 1}, {"world": "leak"}])
def test_a_folder_with_another_world_is_refused(tiny, change):
    with pytest.raises(BenchError, match="holds a demo world of generator_version") as error:
        render_world(tiny, **({"size": "tiny"} | change))
    key, value = next(iter(change.items()))
    assert f"{key} {value}" in str(error.value).split(", not of ")[1]
    assert "\n" not in str(error.value)


def test_a_world_of_another_generator_is_refused(tmp_path):
    write_json(tmp_path / MARKER, {"generator_version": 0, "size": "tiny", "seed": 0, "world": "standard"})
    with pytest.raises(BenchError, match="generator_version 0"):
        render_world(tmp_path, "tiny")


def test_a_folder_with_anything_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BenchError, match="holds files, but no demo world"):
        render_world(tmp_path, "tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "tinny"}, "unknown demo size 'tinny'. Did you mean 'tiny'"),
        ({"world": "leek"}, "unknown demo world 'leek'. Did you mean 'leak'"),
        ({"world": "leak", "size": "fair"}, "unknown demo leak-world size 'fair'. Known: tiny, default, large"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(BenchError, match=message.replace("?", r"\?")):
        render_world(tmp_path / "w", **arguments)
    assert not (tmp_path / "w").exists()


def test_ground_truth_has_a_row_for_each_frame(tiny, read_frames):
    table = read_ground_truth(tiny)
    assert set(table.video) == {p.relative_to(tiny).as_posix() for p in tiny.rglob("*.mp4")}
    for video, rows in list(table.groupby("video"))[::9]:
        frames = read_frames(tiny / video)
        assert frames.shape == (len(rows), 192, 192, 3)
        assert list(rows.frame) == list(range(len(frames)))
    points = table.landmarks.map(len)
    assert (points == 162).all()
    fakes, reals = table[table.label == 1], table[table.label == 0]
    assert (fakes.x1 - fakes.x0 > 20).all()
    assert (fakes.y1 - fakes.y0 > 20).all()
    assert fakes[["x0", "y0"]].min().min() >= 0
    assert fakes[["x1", "y1"]].max().max() <= 192
    assert reals[["x0", "y0", "x1", "y1", "source", "donor"]].isna().all().all()
    assert (fakes.source != fakes.video).all()
    assert read_json(tiny / "FaceForensics++/train.json", list)[0] == ["000", "001"]


DAMAGED = ["", "junk", "[" * 50_000, "[]", "{}", '{"size": "tiny", "world": "standard", "seed": -1}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_marker_is_reported(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(BenchError, match=r"crossfake-demo\.json.*render it again"):
        find_world(tmp_path)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_marker_in_the_cache_is_written_again(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    (tmp_path / "train.json").write_text("half")
    mend_note(tmp_path, "tiny", 3, "standard")
    assert find_world(tmp_path) is None
    assert read_json(tmp_path / STARTED, dict)["seed"] == 3
