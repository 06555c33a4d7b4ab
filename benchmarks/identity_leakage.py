"""Print the tables of docs/identity_leakage.md: python benchmarks/identity_leakage.py STUDY LEAK [STANDARD].

LEAK and STANDARD are demo worlds. STUDY has the runs of that page's commands: `leak` (the donors of training), `new`
(new donors) and `standard`, and in `probe` the probes' JSON files.
Averages over training seeds, with intervals over seeds and the people filmed; detectors are compared on the same
people.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from crossfake.benchmark.core.types import FAKE, REAL
from crossfake.benchmark.stages.identity_probe import FORMER_WHO
from crossfake.benchmark.stats.influence import Classes, Measured, Samples
from crossfake.benchmark.stats.intervals import average_over_seeds, estimate_difference, estimate_ranking
from crossfake.benchmark.stats.people import number_apart
from crossfake.benchmark.stats.rankings import measure_ranking
from crossfake.benchmark.stats.scoring import pool_frames
from crossfake.benchmark.stats.seed_pooling import merge_estimates
from crossfake.datasets.demo.world import read_ground_truth
from crossfake.leaderboards.formats import format_estimate
from crossfake.leaderboards.markdown import format_grid

PLAIN = "timm-resnet10t.plain"
Seeds = dict[str, Measured]


class TestSet(NamedTuple):
    """A test set's names in run folders and in the ground truth, and the place of its videos."""

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
    """A value for every detector and seed, with the people filmed in its videos and their labels."""

    runs: dict[str, Seeds]
    filmed: list[str]
    label: list[int]


def measured(folder: Path, root: Path, test: TestSet) -> Column:
    """Measure the video AUC of every run in `folder` on one test set."""
    rows = read_ground_truth(root).query("dataset == @test.truth")
    told = dict(zip(rows["video"].str.removeprefix(f"{test.home}/"), rows["target"], strict=True))
    runs: dict[str, Seeds] = {}
    filmed: list[str] = []
    label: list[int] = []
    for path in sorted(folder.glob(f"demo/*/*/test.{test.folder}.*/predictions.parquet")):
        videos = pool_frames(pd.read_parquet(path))
        filmed, label = [told[v] for v in videos["video"]], videos["label"].tolist()
        people = number_apart(np.unique(filmed, return_inverse=True)[1])
        samples = Samples(videos["label"].to_numpy(), videos["score"].to_numpy(float), np.arange(len(videos)), people)
        runs.setdefault(path.parts[-4], {})[path.parts[-3].split(".")[1]] = measure_ranking(samples, ["auc"])["auc"]
    return Column(runs, filmed, label)


def combine(columns: list[Column], weights: list[float]) -> Column:
    """Add up several test sets with these weights, run by run."""
    runs: dict[str, Seeds] = {}
    for name, seeds in columns[0].runs.items():
        for s in [s for s in seeds if all(s in c.runs.get(name, ()) for c in columns)]:
            found = [(w, c.runs[name][s]) for w, c in zip(weights, columns, strict=True)]
            influence = np.concatenate([w * m.influence for w, m in found])
            runs.setdefault(name, {})[s] = Measured(sum(w * m.value for w, m in found), influence)
    return Column(runs, [f for c in columns for f in c.filmed], [y for c in columns for y in c.label])


def average(columns: list[Column]) -> Column:
    """Average several test sets, run by run."""
    return combine(columns, [1 / len(columns)] * len(columns))


def drop(a: Column, b: Column) -> Column:
    """Subtract one column from another, run by run."""
    return combine([a, b], [1, -1])


def cell(column: Column, name: str, against: str = "", bounded: bool = False) -> str:
    """Write a detector's average over seeds, minus another's if one is named."""
    if name == against or not column.runs.get(name):
        return ""
    people = number_apart(np.unique(column.filmed, return_inverse=True)[1])
    value, parts = average_over_seeds(list(column.runs[name].values()), people)
    if against:
        other, more = average_over_seeds(list(column.runs[against].values()), people)
        value, parts = value.subtract(other), [*parts, *more]
    if not bounded:
        return format_estimate(estimate_difference(value, people, n=people.count(), parts=parts))
    classes = Classes(*((np.array(column.label) == k).astype(float) for k in (REAL, FAKE)))
    return format_estimate(estimate_ranking(value, people, classes, n=people.count(), parts=parts))


def table(columns: dict[str, Column], first: str, second: str) -> str:
    """Return one row per detector: its AUCs, its drop between two columns, and both minus the plain one's."""
    fall = drop(columns[first], columns[second])
    head = ["detector", "seeds", *columns, "drop", "drop, minus the plain one's", f"{second}, minus the plain one's"]
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
    """Return a row for each probed detector and kind of person: accuracies averaged over seeds."""
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


def main(study: Path, leak: Path, standard: Path | None = None) -> None:
    """Print the tables of (a), (b) and (c); without a standard world, only (a)."""
    donors = {"same donors": measured(study / "leak", leak, SAME), "new donors": measured(study / "new", leak, NEW)}
    print(table(donors, "same donors", "new donors"), "\n")
    if standard is None:
        return
    print(probes(study / "probe"), "\n")
    sets = {"ff++": SAME, **OTHERS}
    columns = {name: measured(study / "standard", standard, test) for name, test in sets.items()}
    columns["the other three"] = average([columns[name] for name in OTHERS])
    print(table(columns, "ff++", "the other three"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
