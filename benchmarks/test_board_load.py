"""A board of 5,000 cells, 1,000 rows on 5 test sets: from the small files next to the scorecards, and from frames.

A second one has rows of three seeds, which are pooled once.

`-s` shows the processor time and memory of a separate process, and the page's size.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.cell_description import CellDescription
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.core.scorecard import Scoring
from crossfake.benchmark.core.storage import PREDICTIONS, SCORECARD
from crossfake.benchmark.stages.cell_scores import FILE
from crossfake.benchmark.stats.operating_points import fit_operating_point
from crossfake.benchmark.stats.scoring import make_scorecard

VIDEOS, FRAMES = 500, 32
TESTS = ("ff++:c23", "celebdf", "dfd:c23", "dfdc", "dfdcp")
ROWS = 1000
SCORED = 4
"""Scorecards made from predictions; the others are copies with another name and other predictions."""


def draw_frames(rng: np.random.Generator, test: str, skill: float) -> pd.DataFrame:
    """Return one row per frame: 3 of 10 videos real, four methods, 60 people of 2 x 4 groups, each with an effect."""
    number = np.arange(VIDEOS)
    label = (number % 10 >= 3).astype(int)
    person, donor = number % 60, (number + 1 + number // 60) % 60
    known = [f"{test} {p}+{test} {d}" if k else f"{test} {p}" for p, d, k in zip(person, donor, label, strict=True)]
    videos = pd.DataFrame(
        {
            "video": [f"{'fake' if k else 'real'}/{i:05}.mp4" for i, k in zip(number, label, strict=True)],
            "label": label,
            "method": np.where(label == 1, np.array(["A", "B", "C", "D"])[number % 4], "real"),
            "identity": known,
            "gender": np.array(["female", "male"])[person % 2],
            "race": np.array(["asian", "black", "others", "white"])[person // 2 % 4],
        }
    )
    logit = skill * (2 * label - 1) + rng.normal(size=60)[person] * 0.5 + rng.normal(size=VIDEOS)
    table = videos.loc[np.repeat(number, FRAMES)].reset_index(drop=True)
    noisy = np.repeat(logit, FRAMES) + rng.normal(size=len(table))
    score = (1 / (1 + np.exp(-noisy))).astype(np.float32)
    return table.assign(frame=np.tile(np.arange(FRAMES, dtype=np.int32), VIDEOS), score=score)


def make_runs(folder: Path, rows: int, seeds: int) -> None:
    """Write the runs: random predictions for each cell, with a scorecard."""
    rng = np.random.default_rng(0)
    point = fit_operating_point(draw_frames(rng, "val", 1.0))
    for test in TESTS:
        scored: list[dict[str, object]] = []
        for i in range(rows):
            skill = rng.uniform(0.3, 1.2)
            for seed in range(seeds):
                cell = describe_cell(f"row {i:04}", test, seed)
                home = folder / cell.name / f"seed{seed}" / f"test.{test.replace(':', '-')}"
                home.mkdir(parents=True)
                metadata = PredictionsMetadata(official=VIDEOS, cell=cell, params=28_000, flops=2_500_000_000)
                write_predictions(home / PREDICTIONS, draw_frames(rng, test, skill), metadata)
                if len(scored) < SCORED:
                    made = make_scorecard(
                        home / PREDICTIONS, point.threshold, 1000, temperature=point.temperature, source=point.source
                    )
                    scored.append(made.model_copy(update={"score": Scoring(draws=1000)}).to_json())
                card = {**scored[rng.integers(len(scored))], "cell": cell.to_json()}
                (home / SCORECARD).write_text(json.dumps(card, indent=2))


def describe_cell(name: str, test: str, seed: int) -> CellDescription:
    """Return a run's description of its cell."""
    known = {"detector": "meso4", "name": name, "backend": "torch", "train": "ff++:c23", "source": "ff++:c23"}
    known |= {"test": test, "seed": seed, "limit": None, "frames": FRAMES, "world": "real", "protocol": "real"}
    known |= {"weights": "trained here", "selection": "source val", "options": {}}
    keys = {"recipe_key": name, "train_key": f"{name} {seed}", "test_key": f"{name} {seed} {test}"}
    return CellDescription.model_validate(known | keys)


BOARD = """\
import json, resource, sys
from pathlib import Path
from crossfake.leaderboards.board import load_cards, write
write(load_cards(Path(sys.argv[1])), Path(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"s": used.ru_utime + used.ru_stime, "GB": peak / 1e6}))
"""


def make_board(runs: Path, out: Path) -> dict[str, float]:
    """Make a board in a separate process; return its processor time, memory and page size."""
    done = subprocess.run(
        [sys.executable, "-c", BOARD, str(runs), str(out)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout) | {"page MB": (out / "leaderboard.html").stat().st_size / 1e6}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs; their first board writes the small files that later ones read, like scoring."""
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder, ROWS, seeds=1)
    make_board(folder, folder.parent / "first")
    return folder


@pytest.mark.benchmark(group="a board of 5,000 cells", warmup=False)
@pytest.mark.parametrize("way", ["what scoring left", "frames"])
def test_a_board_of_5000_cells(benchmark, runs: Path, way: str, tmp_path: Path) -> None:
    """Both ways give the same board."""
    if way == "frames":
        for kept in runs.rglob(FILE):
            kept.unlink()
    found = benchmark.pedantic(make_board, args=(runs, tmp_path), rounds=1)
    benchmark.extra_info |= found
    print(f"  {way}: {found}")
    first = runs.parent / "first" / "leaderboard.json"
    assert (tmp_path / "leaderboard.json").read_bytes() == first.read_bytes()


def test_rows_of_three_seeds_are_pooled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second board equals the first one, but is faster."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    make_runs(tmp_path / "runs", rows=20, seeds=3)
    for name in ("first", "second"):
        print(f"  three seeds, {name} board: {make_board(tmp_path / 'runs', tmp_path / name)}")
    first, second = ((tmp_path / name / "leaderboard.json").read_bytes() for name in ("first", "second"))
    assert first == second
