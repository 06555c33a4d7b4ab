"""Opening a table with a million videos: as columns, checked and sorted, compared with a loop over its rows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from crossfake.benchmark.core.readers.labels import LABELS
from crossfake.benchmark.core.types import Video
from crossfake.datasets.manifest import read_manifest

ROWS = 1_000_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "videos.csv"
    rows = (f"v/{i * 7919 % ROWS:07d}.mp4,{i % 2},{('train', 'val', 'test')[i % 3]},swap" for i in range(ROWS))
    path.write_text("path,label,split,method\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.benchmark(group="opening a million rows", warmup=False)
def test_columns(benchmark, table: Path) -> None:
    videos = benchmark.pedantic(read_manifest, (table,), rounds=3)
    assert len(videos) == ROWS
    assert videos[7].id == "v/0000007.mp4"


@pytest.mark.benchmark(group="opening a million rows", warmup=False)
def test_rows(benchmark, table: Path) -> None:
    def read() -> list[Video]:
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        made = [Video(r["path"], table.parent / r["path"], LABELS[r["label"]], r["method"], r["split"]) for r in rows]
        return sorted(made, key=lambda v: v.id)

    videos = benchmark.pedantic(read, rounds=1)
    assert videos[7].id == "v/0000007.mp4"
