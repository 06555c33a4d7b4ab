"""Comparing rows: which ones are indistinguishable from the best, ranks, and means with intervals.

python -m pytest tests/benchmark/stats/test_ranks.py -n0 -m slow -s    # prints the tables of docs/statistics.md
"""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.ranks import (
    Contest,
    Seeds,
    average_counted,
    find_standings,
    make_column,
    mark_best,
    measure_columns,
)
from crossfake.benchmark.stats.unscored import Bounds
from crossfake.benchmark.stats.video_scores import VideoScores
from hypothesis import given, settings
from hypothesis import strategies as st
from people_worlds import STRUCTURES, Structure, make_ffpp, shift_of


class World:
    """A test set with the structure of a real one, and rows with known AUCs on it."""

    def __init__(self, structure: Structure):
        self.structure, self.label = structure, structure.label
        self.ids = [f"v{i:05}" for i in range(len(self.label))]
        both = zip(structure.target, structure.source, strict=True)
        self.identity = [f"{t}+{s}" if s >= 0 else f"{t}" for t, s in both]

    def score(self, rng: np.random.Generator, aucs: list[float], shared: float = 0.6) -> np.ndarray:
        """Rows with these true AUCs, which share part of each video's difficulty, (rows, videos)."""
        common, own = (self.structure.draw_scores(rng, n) for n in (1, len(aucs)))
        return shared**0.5 * common + (1 - shared) ** 0.5 * own + np.outer([shift_of(a) for a in aucs], self.label)

    def scored(self, score: np.ndarray) -> VideoScores:
        known = np.isfinite(score)
        kept = [(v, p) for v, p, k in zip(self.ids, self.identity, known, strict=True) if k]
        lost = {v: int(y) for v, y, k in zip(self.ids, self.label, known, strict=True) if not k}
        return VideoScores([v for v, _ in kept], self.label[known], score[known], [p for _, p in kept], lost)


SMALL = World(make_ffpp(pairs=20, methods=2))


def scored_rows(aucs: list[float], seed: int = 0) -> list[Seeds]:
    return [[SMALL.scored(s)] for s in SMALL.score(np.random.default_rng(seed), aucs)]


def test_only_rows_indistinguishable_from_the_best_are_marked():
    rows = scored_rows([0.95, 0.94, 0.6])
    columns = measure_columns({"a": [*rows, []]})
    assert mark_best(list(columns.values())) == {(0, "a"), (1, "a")}
    assert mark_best(list(measure_columns({"a": rows[:1]}).values())) == set()
    assert mark_best(list(measure_columns({"a": [rows[0], rows[0]]}).values())) == {(0, "a"), (1, "a")}


@pytest.mark.parametrize("kept", [0.0, 0.03, 0.5, 1.0])
def test_the_largest_difference_of_some_rows_is_that_of_all_their_pairs(kept):
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(150, 20)).astype(np.float32)
    scale = rng.uniform(0.5, 2, (150, 150)).astype(np.float32)
    scale = np.maximum(scale, scale.T)
    np.fill_diagonal(scale, np.inf)
    contest = Contest(np.zeros(150), np.zeros((150, 150)), errors, scale)
    pairs = np.abs(errors[:, None] - errors) * (1 / scale)[..., None]
    assert np.array_equal(contest.largest, pairs.max(1))
    chosen = rng.random(150) < kept
    assert np.array_equal(contest.draw_largest(chosen), pairs[chosen][:, chosen].max((0, 1), initial=0))


def test_no_mark_below_98_percent_of_a_class_whatever_the_auc():
    (best,), (other,) = scored_rows([0.99, 0.9])
    score = np.array(best.score)
    score[0] = np.nan  # 39 of 40 reals.
    columns = measure_columns({"a": [[SMALL.scored(score)], [other], [other]]})
    assert columns["a"].coverage.tolist() == [0.975, 1, 1]
    assert 0 not in {row for row, _ in mark_best(list(columns.values()))}
    standing = find_standings(list(columns.values()), [0, 1, 2])[0]
    assert (standing.best, standing.coverage) == (False, 0.975)


def test_a_row_that_drops_its_hardest_fifth_neither_rises_nor_is_marked():
    rows = scored_rows([0.92, 0.9])
    column = measure_columns({"a": rows})["a"]
    score = np.array(rows[1][0].score)
    margin = np.where(SMALL.label == 1, score, score.max() - score)
    score[np.argsort(margin)[:20]] = np.nan
    dropped = measure_columns({"a": [rows[0], [SMALL.scored(score)]]})["a"]
    assert dropped.value[1] < column.value[1]
    assert dropped.bounds[1].best > column.value[1]
    standing = find_standings([dropped], [0, 1])
    assert standing[1].rank.value == 2
    assert mark_best([dropped]) == {(0, "a")}


def test_ranks_and_duels_say_what_is_certain():
    rows = {"a": scored_rows([0.97, 0.75, 0.6, 0.6]), "b": scored_rows([0.97, 0.75, 0.6, 0.6], seed=1)}
    found = find_standings(list(measure_columns(rows).values()), range(4))
    assert found[0].rank == (1, 1, 1, 4, "")
    assert found[0].best
    assert found[0].wins.value == 1
    assert found[0].wins.lo > 0.8
    assert {found[2].rank.value, found[3].rank.value} == {3, 4}
    assert found[2].rank.lo <= 3
    assert found[2].rank.hi == 4
    assert sum(s.wins.value for s in found.values()) == pytest.approx(2)
    by_rank = sorted(found.values(), key=lambda s: s.rank.value)
    assert [s.mean.value for s in by_rank] == sorted((s.mean.value for s in by_rank), reverse=True)


def test_a_row_without_a_test_set_is_not_ranked_and_neither_is_a_single_row():
    rows = scored_rows([0.9, 0.8])
    columns = list(measure_columns({"a": rows, "b": [rows[0], []]}).values())
    found = find_standings(columns, [0, 1])
    assert list(found) == [0]
    assert (found[0].rank.lo, found[0].rank.note) == (None, "no other row to compare with")
    assert found[0].wins.value is None
    assert find_standings([], [0]) == {}
    alone = average_counted([Bounds(0.7, 0.8, 0.9), Bounds(0.5, 0.6, 0.9)], "too few videos")
    assert (alone.mean.value, alone.mean.lo, alone.rank) == (pytest.approx(0.7), None, None)
    assert alone.mean.note == "no interval: too few videos"


def test_seeds_of_a_row_widen_its_interval_and_hide_differences():
    near, far = scored_rows([0.9, 0.9]), scored_rows([0.97, 0.8])
    columns = [measure_columns({"a": [[r[0] for r in rows], scored_rows([0.6])[0]]})["a"] for rows in (near, far)]
    widths = [(m := find_standings([c], [0, 1])[0].mean).hi - m.lo for c in columns]
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(
    "identity",
    [
        lambda w: [""] * len(w.ids),
        lambda w: ["one"] * len(w.ids),
        lambda w: [f"{i}+shared" for i in range(len(w.ids))],
        lambda w: [f"only{i}" for i in range(len(w.ids))],
        lambda w: ["a+b+c"] * len(w.ids),
    ],
)
@pytest.mark.parametrize("strength", [0.0, 1.5, 50.0])
def test_unusual_people_and_perfect_rows_give_numbers(identity, strength):
    rng = np.random.default_rng(0)
    people = identity(SMALL)
    rows = [
        [VideoScores(SMALL.ids, SMALL.label, s + strength * SMALL.label, people)]
        for s in (rng.normal(size=len(SMALL.ids)), rng.normal(size=len(SMALL.ids)), np.zeros(len(SMALL.ids)))
    ]
    columns = list(measure_columns({"a": rows}).values())
    assert np.isfinite(columns[0].value).all()
    for found in find_standings(columns, range(3)).values():
        if found.mean.lo is None:
            assert (found.mean.value, found.mean.note) == (0.5, "no interval: every video says the same")
        else:
            assert 0 <= found.mean.lo <= found.mean.value <= found.mean.hi <= 1
            assert found.mean.lo < found.mean.hi
        assert 1 <= found.rank.lo <= found.rank.value <= found.rank.hi <= 3
    mark_best(columns)


def test_a_test_set_of_one_video_per_class_is_not_compared():
    tiny = VideoScores(["a", "b", "c"], np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3]), [""] * 3)
    assert measure_columns({"a": [[tiny], [tiny]]}) == {}
    assert measure_columns({"a": [[], []]}) == {}


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.lists(st.floats(0.55, 0.99), min_size=2, max_size=4))
def test_marks_do_not_depend_on_the_order_of_rows(seed, aucs):
    rows = scored_rows(aucs, seed)
    (column,), (turned,) = (measure_columns({"a": found}).values() for found in (rows, rows[::-1]))
    marks = {row for row, _ in mark_best([column], draws=200)}
    assert marks == {len(rows) - 1 - row for row, _ in mark_best([turned], draws=200)}
    assert int(np.argmax(column.value)) in marks


def simulate(names: list[str], aucs: list[float], worlds: int) -> dict[str, float]:
    """Return how often a best row lost its mark, and how often the intervals of ranks and means covered the truth."""
    made = {name: World(STRUCTURES[name]()) for name in names}
    people = {name: world.structure.people for name, world in made.items()}
    rows = np.arange(len(aucs))
    true = np.array(aucs)
    lost, ranks, means, width = 0, 0.0, 0.0, 0.0
    for k in range(worlds):
        rng = np.random.default_rng([11, k])
        scores = {n: [[s] for s in world.score(rng, aucs)] for n, world in made.items()}
        columns = [make_column(n, rows, made[n].label, people[n], scores[n]) for n in names]
        marks, found = mark_best(columns, draws=1000), find_standings(columns, range(len(aucs)), draws=1000)
        lost += any((int(r), n) not in marks for n in names for r in np.flatnonzero(true == true.max()))
        standings = [found[i] for i in range(len(aucs))]
        for standing, auc in zip(standings, aucs, strict=True):
            rank, mean, count = standing.rank, standing.mean, len(aucs)
            ranks += (rank.lo <= 1 + (true > auc).sum() and rank.hi >= count - (true < auc).sum()) / count
            means += (mean.lo <= auc <= mean.hi) / count
        width += np.mean([s.mean.hi - s.mean.lo for s in standings])
    return {"lost": lost / worlds, "ranks": ranks / worlds, "means": means / worlds, "width": width / worlds}


def test_the_best_of_equal_rows_keeps_its_mark_in_a_few_worlds():
    found = simulate(["Celeb-DF"], [0.9, 0.9, 0.9], worlds=12)
    assert found["lost"] <= 0.25
    assert found["ranks"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "aucs", "worlds"),
    [
        (["FF++"], [0.9] * 2, 5000),
        (["Celeb-DF"], [0.9] * 2, 5000),
        (["FF++"], [0.9] * 10, 5000),
        (["Celeb-DF"], [0.9] * 10, 5000),
        (["DFD"], [0.9] * 10, 2000),
        (["FF++", "Celeb-DF"], [0.9] * 10, 5000),
        (["FF++", "Celeb-DF"], [0.98] * 10, 2000),
        (["Celeb-DF"], [0.92, 0.9, 0.9, 0.9, 0.9, 0.86, 0.86, 0.86, 0.86, 0.86], 2000),
    ],
    ids=str,
)
def test_a_best_row_loses_its_mark_in_5_percent(names, aucs, worlds):
    found = simulate(names, aucs, worlds)
    print(f"\n| {' and '.join(names)} | {len(aucs)} rows of AUC {aucs[-1]:g} to {aucs[0]:g} | {worlds} |", end="")
    print(f" {found['lost']:.1%} | {found['ranks']:.1%} | {found['means']:.1%} | {found['width']:.3f} |")
    assert found["lost"] <= 0.06
    assert found["ranks"] >= 0.93
    assert 0.93 <= found["means"] <= 0.975
