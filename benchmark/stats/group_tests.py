"""Whether groups differ at all, which pairs differ, and which gap this many videos could have detected.

A gap and its interval say how much groups differ, but the smallest group limits their power. Tests don't have that
problem: there is one permutation test for all groups, and tests of pairs corrected by Holm. Permutations reassign
people to groups: all videos of a person in a group stay together, so that copies of a video add no certainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import combinations, permutations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.group_comparisons import AttributeTests, PairTest, RateTest
from ..core.types import FAKE, REAL
from .attributes import Grouping, cross_attributes
from .group_gaps import MIN_PER_CLASS
from .group_rates import Scored
from .influence import Measured, Samples, measure_mean
from .intervals import holm
from .metrics import Array
from .power import ALPHA, smallest_auc_gap, smallest_gap
from .rankings import measure_ranking

if TYPE_CHECKING:
    import pandas as pd

PERMUTATIONS = 1000
_MANY = 4000  # from this many people, the asymptotic distribution is used
_ENUMERATED = 5000  # up to this many ways to split people into two groups, all are tried
_WORTH_A_CELL = 50  # as long as a cell of a table is drawn, this many people are permuted
_BLOCK = 100  # permutations that are added up at once: few enough to stay in the processor's cache
_TRIED = 3  # people at a time who may join or leave a group
_EQUAL = 1e-9  # influences, which are about 1 / people, that differ by less than this share of it differ by rounding
_EXACT_OUTCOMES = 4000  # up to this many outcomes of two groups are enumerated for the smallest gap
WANTED_POWER = 0.8
Codes = NDArray[np.int64]


def compare_attributes(seeds: Sequence[Scored], known: Iterable[str]) -> dict[str, AttributeTests]:
    """Compare the large enough groups of every attribute and of every two crossed; see `compare_groups`."""
    table, found = seeds[0].table, {}
    label = table["label"].to_numpy(np.int64)
    for attribute, grouping in cross_attributes(table, known).items():
        count = len(grouping.names) + 1
        sizes = np.array([np.bincount(grouping.codes[label == k] + 1, minlength=count)[1:] for k in (REAL, FAKE)])
        kept = np.flatnonzero(sizes.min(axis=0) >= MIN_PER_CLASS["video"])
        if len(kept) > 1:
            found[attribute] = compare_groups(seeds, grouping, kept)
    return found


def compare_groups(seeds: Sequence[Scored], grouping: Grouping, kept: Codes) -> AttributeTests:
    """Test whether the groups of one attribute differ: in FPR, TPR, both (odds), share called fake, accuracy and AUC.

    Args:
        seeds: the videos as scored by each training seed; a person's influence is averaged over them, so that one
            permutation applies to all seeds.
        grouping: the groups of the videos.
        kept: which of them to compare, at least two, in ascending order.
    """
    import pandas as pd

    chosen = np.flatnonzero(np.isin(grouping.codes, kept))
    names, groups = [grouping.names[k] for k in kept], np.searchsorted(kept, grouping.codes[chosen])
    people = seeds[0].people.restrict(chosen)
    blocks = pd.factorize(people.first * len(kept) + groups)[0]
    of_block = np.zeros(blocks.max() + 1, dtype=np.int64)
    of_block[blocks] = groups
    found = [_measure_pooled(scored, chosen) for scored in seeds]
    sums = {name: np.mean([_add_up(f[name], blocks) for f in found], axis=0) for name in found[0]}
    inside = {name: _add_sizes(found[0][name], blocks) for name in found[0]}
    tests = {
        name: compare_rate(values[inside[name] > 0], of_block[inside[name] > 0], inside[name][inside[name] > 0], names)
        for name, values in sums.items()
    }
    odds = np.column_stack([sums["fpr"], sums["tpr"]])
    tests["odds"] = RateTest(p=float(_permute(odds[:, :, None], of_block)[0]), pairs=[])
    gap = _find_smallest_gap(seeds[0].table.iloc[chosen], groups, len(kept), found[0])
    return AttributeTests(groups=names, tests=tests, smallest_gap=gap)


def _measure_pooled(scored: Scored, chosen: Codes) -> dict[str, Measured]:
    """Measure the rates of all chosen videos together: permutations redistribute each video's influence."""
    part = scored.table.iloc[chosen]
    label, score = part["label"].to_numpy(np.int64), part["score"].to_numpy(float)
    samples = Samples(label, score, np.arange(len(part)), scored.people.restrict(chosen))
    called = score >= scored.threshold
    return {
        "fpr": measure_mean(samples, called, samples.rows(REAL)),
        "tpr": measure_mean(samples, called, samples.rows(FAKE)),
        "dp": measure_mean(samples, called),
        "acc": measure_mean(samples, called == (label == FAKE)),
        **measure_ranking(samples, ["auc"]),
    }


def _add_up(found: Measured, blocks: Codes) -> Array:
    return np.bincount(blocks, found.influence).astype(float, copy=False)


def _add_sizes(found: Measured, blocks: Codes) -> Array:
    sizes = np.ones(len(blocks)) if found.sizes is None else found.sizes
    return np.bincount(blocks, sizes).astype(float, copy=False)


def compare_rate(values: Array, groups: Codes, sizes: Array, kept: Sequence[str]) -> RateTest:
    """Test all groups, and each pair, by people's influence on a rate, (people,), their groups and videos."""
    pairs = list(combinations(range(len(kept)), 2))
    inside = [np.flatnonzero(groups == g) for g in range(len(kept))]
    p = _test_pairs([values[rows] for rows in inside], [sizes[rows].max(initial=0) for rows in inside], pairs)
    return RateTest(
        p=float(_permute(values[:, None, None], groups)[0]),
        pairs=[
            PairTest(groups=(kept[a], kept[b]), p=one, p_holm=both)
            for (a, b), one, both in zip(pairs, p, holm(p).tolist(), strict=True)
        ],
    )


def _permute(values: Array, groups: Codes) -> Array:
    """Return the p-values of permutation tests that all groups have the same values, (people, rates, tests): (tests,).

    The statistic is the sum over rates of the sum over groups of (sum of values)^2 / people, over the values' variance:
    for one rate, Kruskal and Wallis's statistic, which for many people is chi-squared with one degree of freedom less
    than there are groups.
    """
    n = len(values)
    spread = values.var(axis=0, ddof=1) if n > 1 else np.zeros(values.shape[1:])
    spread = np.where(spread > (_EQUAL / max(n, 1)) ** 2, spread, 0)
    sizes = np.bincount(groups)
    sizes = sizes[sizes > 0]
    if not (spread > 0).any() or len(sizes) < 2:
        return np.ones(values.shape[2])
    scaled = np.where(spread > 0, (values - values.mean(0)) / np.sqrt(np.where(spread > 0, spread, 1)), 0)

    def measure(sums: Array) -> Array:
        return np.asarray((sums**2 / sizes[:, None, None]).sum((-3, -2)))

    observed = measure(np.add.reduceat(scaled[np.argsort(groups, kind="stable")], np.cumsum(sizes) - sizes))
    if n > _MANY:
        freedom = (len(sizes) - 1) * np.count_nonzero(spread, axis=0)
        return np.where(freedom > 0, scipy.special.chdtrc(np.maximum(freedom, 1), observed), 1.0)
    drawn = measure(_draw_sums(scaled.reshape(n, -1), sizes).reshape(PERMUTATIONS, len(sizes), *spread.shape))
    return np.asarray((1 + np.count_nonzero(drawn >= observed - 1e-9, axis=0)) / (1 + PERMUTATIONS))


def _draw_sums(values: Array, sizes: Codes) -> Array:
    """Draw the sums of groups of these sizes if people are assigned to them at random, (permutations, groups, rates).

    All three ways draw from the same distribution. Where many people have the same values, it is enough to draw how
    many of each kind a group gets, and for two groups who is in the smaller one.
    """
    kinds, counts = _find_kinds(values)
    if len(kinds) * len(sizes) * _WORTH_A_CELL < len(values):
        return np.asarray(_draw_tables(counts, sizes) @ kinds)
    if len(sizes) == 2:
        inside = draw_halves(len(values), int(sizes.min()))
        sums = np.concatenate([inside[k : k + _BLOCK] @ values for k in range(0, PERMUTATIONS, _BLOCK)])
        both = [sums, values.sum(0) - sums]
        return np.stack(both if sizes[0] <= sizes[1] else both[::-1], axis=1)
    ends = np.cumsum(sizes) - sizes
    return np.asarray(np.add.reduceat(values[_draw_orders(len(values))], ends, axis=1))


def _find_kinds(values: Array) -> tuple[Array, Codes]:
    """Return the different rows of values, (kinds, rates), but for rounding, and how many people have each."""
    kind = np.zeros(len(values), dtype=np.int64)
    for column in values.T:
        found, code = np.unique(column.round(9), return_inverse=True)
        kind = np.unique(kind * len(found) + code, return_inverse=True)[1]
    _, first, counts = np.unique(kind, return_index=True, return_counts=True)
    return values[first], counts


def _draw_tables(counts: Codes, sizes: Codes) -> Codes:
    """Draw how many people of each kind each group gets, given all margins: (permutations, groups, kinds)."""
    rng, left = np.random.default_rng(0), np.tile(counts, (PERMUTATIONS, 1))
    tables = np.empty((PERMUTATIONS, len(sizes), len(counts)), dtype=np.int64)
    for group, size in enumerate(sizes[:-1]):
        room = np.full(PERMUTATIONS, size)
        for kind in range(len(counts) - 1):
            got = rng.hypergeometric(left[:, kind], left[:, kind + 1 :].sum(1), room)
            tables[:, group, kind] = got
            room -= got
        tables[:, group, -1] = room
        left -= tables[:, group]
    tables[:, -1] = left
    return tables


@lru_cache(maxsize=8)
def draw_halves(n: int, size: int) -> NDArray[np.bool_]:
    """Draw who of this many people is in a group of this size, (permutations, people), the same each time.

    Everybody joins with nearly the right chance, and then one at a time joins or leaves, each with the same chance,
    until the size is right: a third of the time of shuffling them.
    """
    rng = np.random.default_rng(0)
    inside = rng.integers(0, 256, (PERMUTATIONS, n), dtype=np.uint8) < 256 * size // n
    excess = np.count_nonzero(inside, axis=1) - size
    while len(rows := np.flatnonzero(excess)):
        tried = rng.integers(n, size=(len(rows), _TRIED))
        movable = inside[rows[:, None], tried] == (excess[rows] > 0)[:, None]
        found = movable.any(1)
        rows, who = rows[found], tried[found, movable[found].argmax(1)]
        inside[rows, who] ^= True
        excess[rows] -= np.sign(excess[rows])
    return inside


@lru_cache(maxsize=2)
def _draw_orders(n: int) -> NDArray[np.int32]:
    """Draw permutations of this many people, (permutations, people), the same each time."""
    return np.random.default_rng(0).permuted(np.tile(np.arange(n, dtype=np.int32), (PERMUTATIONS, 1)), axis=1)


def _test_pairs(parts: Sequence[Array], videos: Sequence[float], pairs: Sequence[tuple[int, int]]) -> list[float]:
    """Return the p-values of tests that two groups are equal, given each group's values and most videos of a person.

    Pairs of groups of the same sizes are permuted together.
    """
    kinds = [np.unique(part.round(12)) for part in parts]
    found: dict[tuple[int, int], float | None] = {
        (a, b): _test_exactly(parts[a], parts[b], np.union1d(kinds[a], kinds[b]), max(videos[a], videos[b]))
        for a, b in pairs
    }
    alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in (pair for pair, p in found.items() if p is None):
        small, large = sorted((a, b), key=lambda g: len(parts[g]))
        alike.setdefault((len(parts[small]), len(parts[large])), []).append((small, large))
    for of_both, same in alike.items():
        values = np.stack([np.concatenate([parts[small], parts[large]]) for small, large in same], axis=1)
        p = _permute(values[:, None], np.repeat([0, 1], of_both)).tolist()
        found |= {(min(pair), max(pair)): one for pair, one in zip(same, p, strict=True)}
    return [float(p) for p in found.values() if p is not None]


def _test_exactly(a: Array, b: Array, kinds: Array, videos: float) -> float | None:
    """Return the p-value of a test that two groups are equal, for small groups and for one video per person; else None.

    The latter is Fisher's; otherwise all ways to split the people are tried if there are few.
    """
    if not len(a) or not len(b) or kinds[-1] - kinds[0] < _EQUAL / (len(a) + len(b)):
        return 1.0
    if len(kinds) <= 2 and videos <= 1:
        hits = [int(np.count_nonzero(of > kinds.mean())) for of in (a, b)]
        return fisher_p(hits[0], len(a), hits[1], len(b))
    if comb(len(a) + len(b), len(a)) > _ENUMERATED:
        return None
    values = np.concatenate([a, b])
    sums = np.array([values[list(chosen)].sum() for chosen in combinations(range(len(values)), len(a))])
    off = np.abs(sums - len(a) * values.mean())
    return float(np.mean(off >= abs(a.sum() - len(a) * values.mean()) - 1e-12))


def fisher_p(k0: int, n0: int, k1: int, n1: int) -> float:
    """Return Fisher's exact two-sided p: the total probability of tables with these margins that are no likelier."""
    total = k0 + k1
    k = np.arange(max(0, total - n1), min(n0, total) + 1)

    def log_ways(n: int, of: NDArray[np.int64]) -> Array:
        return np.asarray(
            scipy.special.gammaln(n + 1) - scipy.special.gammaln(of + 1) - scipy.special.gammaln(n - of + 1)
        )

    chance = np.exp(log_ways(n0, k) + log_ways(n1, total - k) - log_ways(n0 + n1, np.array([total])))
    return float(min(chance[chance <= chance[k == k0] * (1 + 1e-7)].sum(), 1.0))


def _find_smallest_gap(
    part: pd.DataFrame, groups: Codes, count: int, pooled: Mapping[str, Measured]
) -> dict[str, float | None]:
    """Return the smallest gaps in FPR and AUC between any two groups that a test detects with a power of 80 %.

    They are searched among the three groups with most reals. Fakes of the same people are made from the same videos,
    and count once.
    """
    import pandas as pd

    label, clips = part["label"].to_numpy(np.int64), np.arange(len(part))
    if "identity" in part:
        clips = np.where(part["identity"] == "", clips, len(part) + pd.factorize(part["identity"])[0])
    reals = np.bincount(groups[label == REAL], minlength=count)
    fakes = [len(np.unique(clips[(label == FAKE) & (groups == g)])) for g in range(count)]
    largest = sorted(range(count), key=lambda g: -reals[g])[:3]
    sizes = [((int(reals[a]), fakes[a]), (int(reals[b]), fakes[b])) for a, b in permutations(largest, 2)]
    alpha = ALPHA / comb(count, 2)
    fpr = round(min(max(pooled["fpr"].value, 0.01), 0.5), 2)
    auc = round(min(max(float(np.nan_to_num(pooled["auc"].value, nan=0.9)), 0.55), 0.99), 2)
    of_fpr = [find_gap_in_rates(better[0], fpr, worse[0], alpha) for better, worse in sizes]
    of_auc = [
        smallest_auc_gap(auc, better, worse, WANTED_POWER, alpha) for better, worse in sizes if min(*better, *worse) > 1
    ]
    return {
        name: min((gap for gap in found if gap is not None), default=None)
        for name, found in (("fpr", of_fpr), ("auc", of_auc))
    }


@cache
def find_gap_in_rates(better: int, rate: float, worse: int, alpha: float) -> float | None:
    """Return the smallest gap in a rate that is detected with the wanted power; see `power.smallest_gap`."""
    return smallest_gap(better, rate, worse, WANTED_POWER, alpha, _EXACT_OUTCOMES)
