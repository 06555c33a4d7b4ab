"""Which people appear in which videos, and the resulting variance against sums over all pairs of videos."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stats.people import find_people, number_apart
from hypothesis import given
from hypothesis import strategies as st


def first(*identities: str) -> list[int]:
    codes: dict[int, int] = {}
    return [codes.setdefault(code, len(codes)) for code in find_people(identities).first.tolist()]


def test_two_people_swapped_only_with_each_other_count_as_one():
    found = find_people(["000", "003", "000+003", "003+000", "010", "010+011", "010+011"])
    assert found.first[0] != found.first[4]
    assert [len(set(part)) for part in (found.first[:4].tolist(), found.first[4:].tolist())] == [1, 1]
    assert not found.crossed


def test_people_whose_faces_go_to_many_count_separately():
    assert first("id0", "id0+id1", "id0+id2", "id1+id0", "id2") == [0, 0, 0, 1, 2]
    found = find_people(["28", "28+03", "03+28", "01+28", ""])
    assert found.crossed
    assert found.person.toarray().sum(1).tolist() == [1, 2, 2, 2, 1]
    assert found.pair.toarray().sum(0).tolist() == [2, 1]  # 28 with 03 twice, with 01 once


def test_a_stray_fake_splits_only_its_own_people():
    pairs = [f"{a}{x}" for a in range(5) for x in "pq"]
    swaps = [f"{a}{x}+{a}{y}" for a in range(5) for x, y in ("pq", "qp")]
    assert find_people([*pairs, *swaps]).count() == 5
    stray = find_people([*pairs, *swaps, "0p+z"])
    assert stray.count() == 6  # 0p and 0q are two now, the others pairs as before
    assert np.unique(stray.first[2:10]).size == 4


def test_a_video_of_an_unknown_person_counts_as_another_person():
    assert first("", "a", "", "a") == [0, 1, 2, 1]
    assert first("+a", "a", "+", "") == [0, 0, 1, 2]


PEOPLE = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdef"])), min_size=2, max_size=30)


@given(PEOPLE, st.integers(0, 99))
def test_the_variance_is_that_of_all_pairs_of_videos_that_share_a_person(rows, seed):
    identity = ["+".join(dict.fromkeys(p for p in row if p)) for row in rows]
    people = find_people(identity)
    psi = np.random.default_rng(seed).normal(size=len(rows))
    member = people.person.toarray()
    share = (member @ member.T > 0).astype(float)
    alike = people.first[:, None] == people.first
    everybody, shown = int((member.sum(0) > 0).sum()), people.count()
    dyadic = psi @ share @ psi * everybody / max(everybody - 1, 1)
    clustered = psi @ alike @ psi * shown / max(shown - 1, 1)
    assert people.measure_spread(psi).variance == pytest.approx(max(dyadic, clustered) if people.crossed else clustered)
    matrix = people.measure_covariance(np.column_stack([psi, psi]))
    assert matrix[0, 1] >= psi @ alike @ psi - 1e-9
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_people_of_equal_weight_count_in_full():
    apart = number_apart(np.arange(12))
    assert apart.measure_spread(np.tile([1.0, -1.0], 6))[:3] == pytest.approx((12 * 12 / 11, 12, 12))
    assert apart.measure_spread(np.eye(12)[0]).effective == pytest.approx(1)
    assert number_apart([0, 0, 1, 1]).measure_spread(np.array([1.0, -1.0, 1.0, -1.0])).variance == 0


def test_a_value_over_videos_with_two_people_each_is_slightly_less_certain():
    alike = 7**2 / (3**2 + 4)  # One of the five people is in three videos.
    crossed = find_people(["b+a", "c+a", "d+a", "e"]).measure_spread(np.ones(4))
    assert (crossed.variance, crossed.of_level) == pytest.approx((10 * 5 / 4, 10 * alike / (alike - 2)))
    alone = number_apart(np.arange(5)).measure_spread(np.ones(5))
    assert alone.of_level == alone.variance


def test_a_part_keeps_its_people():
    whole = find_people(["a", "a+b", "c", "c+a", "d"])
    part = whole.restrict(np.array([1, 3]))
    assert (part.count(), part.person.toarray().sum()) == (2, 4)
    assert part.measure_spread(np.ones(2)).variance == pytest.approx(4 * 3 / 2)  # a is in both: three people
    assert part.measure_spread(np.ones(2), np.array([True, False])).people == 2
