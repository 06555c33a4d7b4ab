"""The cost of a plan: images, hours by measured rates, and faces that aren't in a store yet."""

from __future__ import annotations

import pytest
from crossfake.benchmark.core.scorecard import Throughput
from crossfake.benchmark.core.settings import FaceSettings, Settings, TrainSettings
from crossfake.benchmark.core.storage import CHECKPOINT, write_json
from crossfake.benchmark.core.types import PrepareResult
from crossfake.benchmark.stages.plan_costs import TRAINED, estimate_groups, estimate_preparation
from crossfake.datasets.faces.disk_space import TYPICAL
from crossfake.datasets.faces.face_store import write_shard

FRAMES = 4
FACES = FaceSettings(finder="mediapipe", frames=FRAMES)
SETTINGS = Settings(faces=FACES, train=TrainSettings(epochs=3, steps_per_epoch=5, batch_size=8))
SPLIT = 2 * FRAMES  # Images of a split of two videos.


@pytest.fixture
def cells(planned, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    train, tests = planned.source(), [planned.source("celebdf", ""), planned.source("dfd", "c23")]
    common = {"train": train, "settings": SETTINGS, "runs": tmp_path / "runs"}
    return [planned.cell(seed=seed, test=test, **common) for seed in range(2) for test in tests]


def test_images_are_counted_and_hours_are_unknown_without_a_rate(cells):
    groups = estimate_groups(cells)
    assert [(g.detector, g.seed, g.cells, g.to_do) for g in groups] == [("meso4", 0, 2, 2), ("meso4", 1, 2, 2)]
    assert {g.train_images for g in groups} == {3 * 5 * 8}
    assert {g.score_images for g in groups} == {3 * SPLIT + SPLIT + 2 * SPLIT}  # Each epoch's val, val, tests.
    assert {g.hours for g in groups} == {None}


def test_a_trained_detector_is_not_retrained(cells):
    (cells[0].folder / CHECKPOINT).parent.mkdir(parents=True)
    (cells[0].folder / CHECKPOINT).touch()
    first, second = estimate_groups(cells)
    assert (first.train_images, first.score_images) == (0, 3 * SPLIT)
    assert second.train_images == 120


def test_hours_come_from_the_median_of_earlier_runs(cells, make):
    for i, rate in enumerate((10.0, 20.0, 90.0)):
        card = make(throughput=Throughput(images=5, pipeline_images_per_s=rate))
        write_json(cells[0].folder.parent / f"run{i}" / "test.celebdf" / "scorecard.json", card.to_json())
    group = estimate_groups(cells)[0]
    assert group.images_per_s == 20
    assert group.hours == pytest.approx((TRAINED * 120 + 6 * SPLIT) / 20 / 3600)


def test_faces_are_counted_once_and_only_where_no_store_has_them(cells):
    cost = estimate_preparation(cells)
    assert cost.videos == 4 + 2 + 2  # Training, validation, and two test sets.
    assert cost.bytes == 8 * FRAMES * TYPICAL["zstd"]
    assert not cost.is_measured
    folder = cells[0].test.store_folder(FACES)
    test = [v for v in cells[0].test.videos if v.split == "test"]
    write_shard(folder / "a.arrow", {}, [(PrepareResult(v.id, "no_face", FRAMES), []) for v in test])
    assert estimate_preparation(cells).videos == 6


def test_a_plan_without_cells_costs_nothing():
    assert estimate_groups([]) == []
