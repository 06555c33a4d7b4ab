"""Print the tables of docs/identity_leakage.md: python benchmarks/identity_leakage.py STUDY LEAK_WORLD STANDARD_WORLD.

STUDY holds the runs of that page's commands: `leak` (the donors of training), `new` (new donors) and `standard`, and in
`probe` the probes' JSON files.
Averages over training seeds, with intervals over seeds and people filmed; detectors are compared on the same people.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from crossfake.benchmark.stages.identity_probe import FORMER_WHO
from crossfake.benchmark.stats.bootstrap import (
    MetricDraws,
    Resamples,
    average_over_seeds,
    estimate_interval,
    measure_ranking,
)
from crossfake.benchmark.stats.scoring import pool_frames
from crossfake.benchmark.stats.seed_pooling import merge_estimates
from crossfake.datasets.demo.world import read_ground_truth
from crossfake.leaderboards.markdown import format_estimate, format_grid

PLAIN = "timm-resnet10t.plain"
Seeds = dict[str, MetricDraws]


class TestSet(NamedTuple):
    """What a test set is called in run folders and in the ground truth, and where its videos lie."""

    folder: str
    truth: str
    home: str


SAME = TestSet("ff++-c23", "ffpp", "FaceForensics++")
NEW = TestSet("ff++-c23", "ffpp-new-donors", "new_donors/FaceForensics++")
OTHERS = {
    "celebdf": TestSet("celebdf", "celebdf", "Celeb-DF-v2"),
    "dfd": TestSet("dfd-c23", "dfd", "FaceForensics++"),
    "dfdc": TestSet("dfdc", "dfdc", "DFDC"),
}


class Column(NamedTuple):
    """A value of every detector and seed, and how many people it is over."""

    runs: dict[str, Seeds]
    people: int


def measured(folder: Path, root: Path, test: TestSet, seed: int = 0) -> Column:
    """Measure the video AUC of every run in `folder` on one test set; all share the draws of the people filmed."""
    rows = read_ground_truth(root).query("dataset == @test.truth")
    filmed = dict(zip(rows["video"].str.removeprefix(f"{test.home}/"), rows["target"], strict=True))
    runs: dict[str, Seeds] = {}
    people = 0
    for path in sorted(folder.glob(f"demo/*/*/test.{test.folder}.*/predictions.parquet")):
        videos = pool_frames(pd.read_parquet(path))
        names, clusters = np.unique([filmed[v] for v in videos["video"]], return_inverse=True)
        drawn = measure_ranking(videos["label"], videos["score"], Resamples(clusters, 2000, seed), ["auc"])["auc"]
        runs.setdefault(path.parts[-4], {})[path.parts[-3].split(".")[1]] = drawn
        people = len(names)
    return Column(runs, people)


def less(a: MetricDraws, b: MetricDraws) -> MetricDraws:
    """Return a - b in each draw."""
    return MetricDraws(a.value - b.value, a.draws - b.draws)


def average(columns: list[Column]) -> Column:
    """Average several test sets, run by run."""
    runs: dict[str, Seeds] = {}
    for name, seeds in columns[0].runs.items():
        for s in [s for s in seeds if all(s in c.runs.get(name, ()) for c in columns)]:
            values, draws = zip(*(c.runs[name][s] for c in columns), strict=True)
            runs.setdefault(name, {})[s] = MetricDraws(float(np.mean(values)), np.mean(draws, axis=0))
    return Column(runs, min(c.people for c in columns))


def drop(a: Column, b: Column) -> Column:
    """Subtract one column from another, run by run."""
    runs: dict[str, Seeds] = {}
    for name, seeds in b.runs.items():
        runs[name] = {s: less(a.runs[name][s], value) for s, value in seeds.items() if s in a.runs.get(name, ())}
    return Column(runs, min(a.people, b.people))


def cell(column: Column, name: str, against: str = "", bounded: bool = False) -> str:
    """Write a detector's average over seeds, less another's if one is named."""
    if name == against or not column.runs.get(name):
        return ""
    value, parts = average_over_seeds(list(column.runs[name].values()))
    if against:
        other, more = average_over_seeds(list(column.runs[against].values()), seed=1)
        value, parts = less(value, other), [*parts, *more]
    found = estimate_interval(*value, n=column.people, clusters=column.people, bounded=bounded, parts=parts)
    return format_estimate(found._asdict())


def table(columns: dict[str, Column], first: str, second: str) -> str:
    """Return a row a detector: its AUCs, its drop from one column to another, and both less the plain one's."""
    fall = drop(columns[first], columns[second])
    head = ["detector", "seeds", *columns, "drop", "drop, less the plain one's", f"{second}, less the plain one's"]
    rows = [
        [
            name,
            str(len(fall.runs[name])),
            *(cell(c, name, bounded=True) for c in columns.values()),
            cell(fall, name),
            cell(fall, name, PLAIN),
            cell(columns[second], name, PLAIN),
        ]
        for name in sorted(fall.runs, key=lambda n: (n != PLAIN, n))
        if fall.runs[name]
    ]
    return format_grid(head, rows)


def probes(folder: Path) -> str:
    """Return a row for each detector that was probed and whom for: accuracies averaged over seeds."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        probe = json.loads(path.read_text())
        found.setdefault((FORMER_WHO.get(probe["who"], probe["who"]), Path(probe["checkpoint"]).parts[-3]), []).append(
            probe
        )
    head = ["whom", "detector", "seeds", "accuracy", "random weights", "difference"]
    rows = [
        [
            f"{who}, of {of[0]['people']}",
            name,
            str(len(of)),
            *(format_estimate(merge_estimates([p[key] for p in of])) for key in ("accuracy", "random")),
            format_estimate(merge_estimates([p["difference"] for p in of], bounded=False)),
        ]
        for (who, name), of in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != PLAIN, item[0][1]))
    ]
    return format_grid(head, rows)


def main(study: Path, leak: Path, standard: Path) -> None:
    """Print the tables of (a), (b) and (c)."""
    donors = {"same donors": measured(study / "leak", leak, SAME), "new donors": measured(study / "new", leak, NEW)}
    print(table(donors, "same donors", "new donors"), "\n")
    print(probes(study / "probe"), "\n")
    sets = {"ff++": SAME, **OTHERS}
    columns = {name: measured(study / "standard", standard, test, k) for k, (name, test) in enumerate(sets.items())}
    columns["the other three"] = average([columns[name] for name in OTHERS])
    print(table(columns, "ff++", "the other three"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
