"""Tables with little information: every number has an interval of positive width, or none with a reason."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.scorecard import ScoreCard
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.intervals import SAME, TOO_FEW
from crossfake.benchmark.stats.paired import compare
from crossfake.benchmark.stats.scoring import compute_scorecard, find_shared_people, make_seed_scores, measure_metrics

N = 24
REALS = [f"{i}" for i in range(N)]


def table_of(identity: list[str], groups: list[str], score: np.ndarray) -> pd.DataFrame:
    label = np.repeat([0, 1], N)
    return pd.DataFrame(
        {
            "video": [f"{i:03}.mp4" for i in range(2 * N)],
            "frame": 0,
            "label": label,
            "score": score,
            "method": np.where(label == 1, np.where(np.arange(2 * N) % 2, "A", "B"), "real"),
            "identity": identity,
            "gender": groups,
        }
    )


def mixed() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 0.7, 2 * N) + np.repeat([0, 0.3], N)


def wrong_in(videos: list[int]) -> np.ndarray:
    score = np.repeat([0.1, 0.9], N) + np.linspace(0, 0.05, 2 * N)
    score[videos] = 0.99 - score[videos]
    return score


TWO = ["f", "m"] * N
PAIRS = [f"{i}+{i ^ 1}" for i in range(N)]
CASES = {
    "an identity that nobody else uses": table_of([*REALS, *PAIRS[:-1], "stranger"], TWO, mixed()),
    "everybody has one source": table_of([*REALS, *(f"{i}+donor" for i in range(N))], TWO, mixed()),
    "all mistakes are one person's": table_of(["0"] * 4 + REALS[4:] + PAIRS, TWO, wrong_in([0, 1, 2, 3])),
    "groups of one video": table_of(REALS + PAIRS, [f"g{i}" for i in range(2 * N)], mixed()),
    "groups of one person": table_of(["a", "b"] * (2 * N // 2), TWO, mixed()),
    "one person": table_of(["a"] * 2 * N, TWO, mixed()),
    "two people who are swapped with each other": table_of(
        ["a", "b"] * (N // 2) + ["a+b", "b+a"] * (N // 2), TWO, mixed()
    ),
    "no mistake": table_of(REALS + PAIRS, TWO, wrong_in([])),
    "nothing but mistakes": table_of(REALS + PAIRS, TWO, wrong_in(list(range(2 * N)))),
    "one score": table_of(REALS + PAIRS, TWO, np.full(2 * N, 0.5)),
}


def list_estimates(card: ScoreCard) -> Iterator[tuple[str, Estimate]]:
    yield from card.metrics.items()
    for attribute, groups in card.groups.items():
        for group, cell in groups.items():
            for level, found in (("video", cell.video), ("frame", cell.frame)):
                assert found
                for rate in ("auc", "fpr", "tpr", "fpr_at_fpr5"):
                    yield f"{attribute} {group} {level} {rate}", getattr(found, rate)
    crossed = {f"{a} {g}": of for a, groups in card.method_groups.items() for g, of in groups.items()}
    for name, methods in {"all": card.methods, **crossed}.items():
        for method, one in methods.items():
            yield from ((f"{name} {method} {rate}", getattr(one, rate)) for rate in ("auc", "tpr"))


def check(name: str, e: Estimate) -> None:
    assert e.value is None or np.isfinite(e.value), name
    if e.lo is None:
        assert e.hi is None, name
        assert e.note, name
        return
    assert np.isfinite([e.lo, e.hi]).all(), name
    assert e.lo < e.hi, name
    assert e.lo <= e.value <= e.hi, name


@pytest.mark.parametrize("case", CASES)
def test_every_number_has_an_interval_or_a_reason(case):
    card = compute_scorecard(CASES[case], threshold=0.5, draws=40)
    for name, e in list_estimates(card):
        check(name, e)
    for of in card.group_tests.values():
        assert all(0 < t.p <= 1 for t in of.tests.values())
        assert all(0 < p.p <= p.p_holm <= 1 for t in of.tests.values() for p in t.pairs)


@pytest.mark.parametrize("case", CASES)
def test_a_seed_counted_twice_is_no_more_certain_than_once(case):
    one = make_seed_scores(CASES[case], 0.5)
    people = find_shared_people([one])
    alone, both = (measure_metrics(seeds, people, 40)[0] for seeds in ([one], [one, one]))
    for name, e in both.items():
        check(name, e)
        assert (e.lo, e.hi) == pytest.approx((alone[name].lo, alone[name].hi)), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", ["video.auc", "video.brier"])
def test_a_run_does_not_differ_from_itself_and_says_why_it_has_no_interval(case, metric):
    table = CASES[case]
    if case in ("one person", "two people who are swapped with each other"):
        with pytest.raises(BenchError, match=TOO_FEW):
            compare([table], [table], metric)
        return
    found = compare([table], [table], metric)
    assert (found.difference[:3], found.difference.note, found.p) == ((0, None, None), SAME, 1)
    check("a", found.a)
