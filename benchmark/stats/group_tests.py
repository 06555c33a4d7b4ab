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
from .attributes import cross_attributes
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
_EXACT_OUTCOMES = 4000  # up to this many outcomes of two groups are enumerated for the smallest gap
WANTED_POWER = 0.8
Codes = NDArray[np.int64]


def compare_attributes(seeds: Sequence[Scored], known: Iterable[str]) -> dict[str, AttributeTests]:
    """Compare the large enough groups of every attribute and of every two crossed; see `compare_groups`."""
    table, found = seeds[0].table, {}
    label = table["label"].to_numpy(np.int64)
    for attribute, column in cross_attributes(table, known).items():
        names = column.to_numpy()
        groups, codes = np.unique(names.astype(str), return_inverse=True)
        sizes = np.array([np.bincount(codes[label == k], minlength=len(groups)) for k in (REAL, FAKE)])
        large = sizes.min(axis=0) >= MIN_PER_CLASS["video"]
        kept = [str(g) for g, enough in zip(groups, large, strict=True) if g and enough]
        if len(kept) > 1:
            found[attribute] = compare_groups(seeds, names, kept)
    return found


def compare_groups(seeds: Sequence[Scored], names: NDArray[np.object_], kept: Sequence[str]) -> AttributeTests:
    """Test whether the groups of one attribute differ: in FPR, TPR, both (odds), share called fake, accuracy and AUC.

    Args:
        seeds: the videos as scored by each training seed; a person's influence is averaged over them, so that one
            permutation applies to all seeds.
        names: the group of each video, (videos,).
        kept: the groups to compare, at least two.
    """
    import pandas as pd

    chosen = np.flatnonzero(np.isin(names, list(kept)))
    groups = pd.Categorical(names[chosen], categories=list(kept)).codes.astype(np.int64)
    people = seeds[0].people.restrict(chosen)
    blocks = pd.factorize(people.first * len(kept) + groups)[0]
    of_block = np.zeros(blocks.max() + 1, dtype=np.int64)
    of_block[blocks] = groups
    found = [_measure_pooled(scored, chosen) for scored in seeds]
    sums = {name: np.mean([_add_up(f[name], blocks) for f in found], axis=0) for name in found[0]}
    inside = {name: _add_sizes(found[0][name], blocks) for name in found[0]}
    tests = {
        name: compare_rate(values[inside[name] > 0], of_block[inside[name] > 0], inside[name][inside[name] > 0], kept)
        for name, values in sums.items()
    }
    odds = np.column_stack([sums["fpr"], sums["tpr"]])
    tests["odds"] = RateTest(p=_permute(odds, of_block, len(kept)), pairs=[])
    gap = _find_smallest_gap(seeds[0].table.iloc[chosen], groups, len(kept), found[0])
    return AttributeTests(groups=list(kept), tests=tests, smallest_gap=gap)


def _measure_pooled(scored: Scored, chosen: Codes) -> dict[str, Measured]:
    """Measure the rates of all chosen videos together: permutations redistribute each video's influence."""
    part = scored.table.iloc[chosen]
    label, score = part["label"].to_numpy(np.int64), part["score"].to_numpy(float)
    samples = Samples(label, score, np.arange(len(part)), scored.people.restrict(chosen))
    called = score >= scored.threshold
    return {
        "fpr": measure_mean(samples, called, label == REAL),
        "tpr": measure_mean(samples, called, label == FAKE),
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
    p = [_test_pair(*(values[groups == g] for g in pair), *(sizes[groups == g] for g in pair)) for pair in pairs]
    adjusted = holm(p).tolist()
    return RateTest(
        p=_permute(values[:, None], groups, len(kept)),
        pairs=[
            PairTest(groups=(kept[a], kept[b]), p=float(one), p_holm=float(both))
            for (a, b), one, both in zip(pairs, p, adjusted, strict=True)
        ],
    )


def _permute(values: Array, groups: Codes, count: int) -> float:
    """Return the p-value of a permutation test that all groups have the same values, (people, rates).

    The statistic is the sum over rates of the sum over groups of (sum of values)^2 / people, over the values' variance:
    for one rate, Kruskal and Wallis's statistic, which for many people is chi-squared with `count` - 1 degrees of
    freedom.
    """
    n, sizes = len(values), np.bincount(groups, minlength=count)
    spread = values.var(axis=0, ddof=1) if n > 1 else np.zeros(values.shape[1])
    if not (spread > 0).any() or np.count_nonzero(sizes) < 2:
        return 1.0
    scaled = np.where(spread > 0, (values - values.mean(0)) / np.sqrt(np.where(spread > 0, spread, 1)), 0)
    ends = np.concatenate([[0], np.cumsum(sizes[sizes > 0])[:-1]])

    def measure(orders: NDArray[np.integer]) -> Array:
        sums = np.add.reduceat(scaled[orders], ends, axis=1)
        return np.asarray((sums**2 / sizes[sizes > 0][:, None]).sum((1, 2)))

    observed = float(measure(np.argsort(groups, kind="stable")[None])[0])
    if n > _MANY:
        return float(scipy.special.chdtrc((np.count_nonzero(sizes) - 1) * np.count_nonzero(spread), observed))
    orders = _draw_orders(n)
    return float((1 + np.count_nonzero(measure(orders) >= observed - 1e-9)) / (1 + len(orders)))


@lru_cache(maxsize=2)
def _draw_orders(n: int) -> NDArray[np.int32]:
    """Draw permutations of this many people, (permutations, people), the same each time."""
    return np.random.default_rng(0).permuted(np.tile(np.arange(n, dtype=np.int32), (PERMUTATIONS, 1)), axis=1)


def _test_pair(a: Array, b: Array, sizes_a: Array, sizes_b: Array) -> float:
    """Return the p-value of a test that two groups are equal: exact for small groups and for one video per person.

    The latter is Fisher's; otherwise all ways to split the people are tried if there are few, else a sample of them.
    """
    if not len(a) or not len(b):
        return 1.0
    values = np.concatenate([a, b])
    kinds = np.unique(values.round(12))
    if len(kinds) <= 2 and max(sizes_a.max(), sizes_b.max()) <= 1:
        top = kinds[-1]
        hits = [int(np.isclose(of, top, atol=1e-11).sum()) for of in (a, b)]
        return fisher_p(hits[0], len(a), hits[1], len(b))
    if comb(len(values), len(a)) <= _ENUMERATED:
        sums = np.array([values[list(chosen)].sum() for chosen in combinations(range(len(values)), len(a))])
        off = np.abs(sums - len(a) * values.mean())
        return float(np.mean(off >= abs(a.sum() - len(a) * values.mean()) - 1e-12))
    return _permute(values[:, None], np.repeat([0, 1], [len(a), len(b)]), 2)


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
