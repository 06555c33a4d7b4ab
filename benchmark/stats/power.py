"""What a test set can show about fairness before running any detector: interval widths, detectable gaps, from counts.

Rates are assumed binomial (videos independent), AUCs those of two normal distributions of equal variance.
Sources: Clopper & Pearson 1934 (exact interval of a share); Boschloo 1970 (exact test of two shares that is never less
powerful than Fisher's); Bamber 1975 (variance of the AUC). docs/fairness_power.md lists the assumptions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import BenchError
from ..core.types import FAKE, REAL
from .attributes import UNDEFINED

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
MIN_SAMPLES = 5  # of each class, for an AUC: with fewer its distribution is far from normal
MAX_OUTCOMES = 250_000  # up to this many outcomes of two groups are enumerated
GROUPS_TRIED = 8  # groups with most reals, of which all pairs are tried: exact tests jump, and can favour fewer videos
_NUISANCE = np.linspace(0.0025, 0.9975, 200)


def compute_expected_interval(n: int, rate: float) -> tuple[float, float]:
    """Return the mean lower and upper end of the exact 95 % interval of a share of `n` videos with true rate `rate`."""
    from scipy.special import betaincinv

    k = np.arange(n + 1)
    lo = np.where(k == 0, 0, betaincinv(np.maximum(k, 1), n - k + 1, ALPHA / 2))
    hi = np.where(k == n, 1, betaincinv(k + 1, np.maximum(n - k, 1), 1 - ALPHA / 2))
    weight = _compute_binomial(n, rate)
    return float(weight @ lo), float(weight @ hi)


def _compute_binomial(n: int, rate: float) -> NDArray[np.float64]:
    """Return the probabilities of 0 to n hits in n trials, (n + 1,); scipy.stats takes 0.4 s to import."""
    from scipy.special import betaln, xlog1py, xlogy

    k = np.arange(n + 1)
    ways = -betaln(n - k + 1, k + 1) - np.log(n + 1)
    return np.asarray(np.exp(ways + xlogy(k, rate) + xlog1py(n - k, -rate)))


@cache
def find_rejections(n0: int, n1: int, alpha: float = ALPHA) -> NDArray[np.bool_]:
    """Return which outcomes (k0 of n0, k1 of n1) Boschloo's test calls different, shape (n0 + 1, n1 + 1).

    Its statistic is Fisher's two-sided p; its critical value is the largest with a rejection probability of at most
    `alpha` for any common rate (200 rates are tried).
    """
    if n0 > n1:
        return find_rejections(n1, n0, alpha).T
    p = _fisher(n0, n1)
    order = np.argsort(p, axis=None, kind="stable")
    worst = np.zeros(p.size)
    for rate in _NUISANCE:
        chance = np.outer(_compute_binomial(n0, rate), _compute_binomial(n1, rate))
        np.maximum(worst, np.cumsum(chance.ravel()[order]), out=worst)
    values = p.ravel()[order]
    last_of_tie = np.append(values[1:] > values[:-1] * (1 + 1e-9), True)
    within = values[last_of_tie & (worst <= alpha)]
    return p <= (within[-1] * (1 + 1e-9) if len(within) else -1.0)


@cache
def _fisher(n0: int, n1: int) -> NDArray[np.float64]:
    """Return Fisher's two-sided p of every outcome: the total probability of tables that are no likelier."""
    from scipy.special import betaln

    p = np.empty((n0 + 1, n1 + 1))
    for total in range(n0 + n1 + 1):
        k1 = np.arange(max(0, total - n0), min(n1, total) + 1)
        ways = betaln(k1 + 1, n1 - k1 + 1) + betaln(total - k1 + 1, n0 - total + k1 + 1)
        chance = np.exp(betaln(total + 1, n0 + n1 - total + 1) - ways) * (n0 + n1 + 1) / ((n0 + 1) * (n1 + 1))
        rank = np.argsort(chance, kind="stable")
        summed = np.cumsum(chance[rank])
        same = np.searchsorted(chance[rank], chance * (1 + 1e-7), side="right") - 1
        p[total - k1, k1] = np.minimum(summed[same], 1)
    return p


def power(
    n0: int, rate0: float, n1: int, rate1: float, alpha: float = ALPHA, most_outcomes: int = MAX_OUTCOMES
) -> float:
    """Return the probability that rates of `n0` and `n1` videos are found to differ.

    Boschloo's test by enumeration; with more than `most_outcomes` outcomes, the z-test of pooled rates in the normal
    limit.
    """
    from scipy.special import ndtr, ndtri

    if n0 * n1 > most_outcomes:
        pooled = (n0 * rate0 + n1 * rate1) / (n0 + n1)
        critical = ndtri(1 - alpha / 2) * np.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
        deviation = np.sqrt(rate0 * (1 - rate0) / n0 + rate1 * (1 - rate1) / n1)
        return float(ndtr((abs(rate1 - rate0) - critical) / deviation))
    one, other = (_compute_binomial(n, rate) for n, rate in ((n0, rate0), (n1, rate1)))
    return float(one @ find_rejections(n0, n1, alpha) @ other)


def smallest_gap(
    n0: int, rate0: float, n1: int, wanted: float, alpha: float = ALPHA, most_outcomes: int = MAX_OUTCOMES
) -> float | None:
    """Return how far the rate of `n1` videos must exceed `rate0` to be detected with power `wanted`; None: never."""
    return _search_smallest(lambda gap: power(n0, rate0, n1, rate0 + gap, alpha, most_outcomes) >= wanted, 1 - rate0)


def auc_deviation(auc: float, n_real: int, n_fake: int) -> float:
    """Return the standard deviation of an AUC measured on this many videos."""
    from scipy.special import ndtri, owens_t

    # Two fakes above one real: two normal variables with correlation 1/2 are both below the shift (Owen 1956).
    both = auc - 2 * float(owens_t(ndtri(auc), 3**-0.5))
    pairs = n_real * n_fake
    return float(np.sqrt((auc * (1 - auc) + (n_real + n_fake - 2) * (both - auc**2)) / pairs))


def smallest_auc_gap(
    auc0: float, sizes0: tuple[int, int], sizes1: tuple[int, int], wanted: float, alpha: float = ALPHA
) -> float | None:
    """Return by how much the AUC of videos `sizes1` (real, fake) must fall below `auc0` to be detected; None: never."""
    from scipy.special import ndtri

    reach = float(ndtri(1 - alpha / 2) + ndtri(wanted))
    known = auc_deviation(auc0, *sizes0) ** 2
    return _search_smallest(
        lambda gap: gap >= reach * np.sqrt(known + auc_deviation(auc0 - gap, *sizes1) ** 2), auc0 - 0.5
    )


def _search_smallest(shown: Callable[[float], bool], most: float) -> float | None:
    """Return the smallest detectable gap, to 0.001."""
    steps = np.arange(1, int(most * 1000) + 1) / 1000
    if not len(steps) or not shown(steps[-1]):
        return None
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(steps[middle]) else (middle + 1, high)
    return float(steps[low])


def simulate_chance_gaps(reals: ArrayLike, fpr: float, draws: int = 20_000) -> dict[str, tuple[float, float]]:
    """Simulate a perfectly fair detector's gaps: mean and 95 % quantile of f_fpr_range and f_fpr_sum.

    Args:
        reals: (groups,) real videos.
        fpr: the FPR of every group.
        draws: number of repetitions.
    """
    n = np.asarray(reals)
    alarms = np.random.default_rng(0).binomial(n, fpr, (draws, len(n)))
    rates, overall = alarms / n, alarms.sum(1, keepdims=True) / n.sum()
    found = {"f_fpr_range": np.ptp(rates, axis=1), "f_fpr_sum": np.abs(rates - overall).sum(1)}
    return {name: (float(v.mean()), float(np.quantile(v, 0.95))) for name, v in found.items()}


def count_groups(videos: pd.DataFrame) -> pd.DataFrame:
    """Count the videos of each group.

    Args:
        videos: one row per video with `label`, `group`, and `clip`, which fakes of the same clip by several methods
            share.

    Returns:
        One row per group, largest first: `real`, `fake`, `clips` (different clips among the fakes).
    """
    import pandas as pd

    fakes = videos[videos["label"] == FAKE].groupby("group")
    found = {"real": videos[videos["label"] == REAL].groupby("group").size(), "fake": fakes.size()}
    table = pd.DataFrame({**found, "clips": fakes["clip"].nunique()}).fillna(0).astype(int)
    return (
        table.rename_axis("group").sort_values(["real", "fake", "group"], ascending=[False, False, True]).reset_index()
    )


def select_comparable(sizes: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `count_groups` between which gaps can be measured: known groups with real videos."""
    return sizes[~sizes["group"].str.contains(UNDEFINED) & (sizes["real"] > 0)]


class SmallestGaps(TypedDict):
    """The smallest detectable gaps, None if there is none; `auc_gap_at_best` assumes independent fakes."""

    fpr_gap: float | None
    auc_gap: float | None
    auc_gap_at_best: float | None


class GroupSize(TypedDict):
    """A group's number of real and fake videos, and of clips behind the fakes."""

    group: str
    real: int
    fake: int
    clips: int


class GroupPower(GroupSize, total=False):
    """What a group can show: the interval of its FPR, the width of its AUC's, and gaps to the largest group."""

    fpr_interval: tuple[float, float]
    auc_width: float | None
    fpr_gap: float | None
    auc_gap: float | None
    auc_gap_at_best: float | None


class AttributePower(TypedDict):
    """What the groups of one attribute can show."""

    groups: list[GroupSize]
    not_compared: list[GroupSize]
    pairs: int
    best: dict[str, SmallestGaps]


class GroupsPower(TypedDict):
    """What groups can show; `best` for `one pair` and `any pair`; `chance`: mean and 95 % quantile of gaps."""

    fpr: float
    auc: float
    power: float
    pairs: int
    groups: list[GroupPower]
    best: dict[str, SmallestGaps]
    chance: dict[str, tuple[float, float]]


class PowerReport(GroupsPower):
    """What a set of videos can show about fairness."""

    attributes: dict[str, AttributePower]
    not_compared: list[GroupSize]


def report_power(videos: pd.DataFrame, attributes: Sequence[str], fpr: float, auc: float, wanted: float) -> PowerReport:
    """Say what a set of videos can show about fairness.

    Args:
        videos: one row per video with `label`, `group`, `clip` and each attribute; see `count_groups`.
        attributes: the columns that hold groups.
        fpr: the false positive rate of the better group.
        auc: the AUC of the better group.
        wanted: the power, such as 0.8.

    Returns:
        The result of `report` for the groups that can be compared, `attributes`, and the groups `not_compared`.

    Raises:
        BenchError: fewer than two groups have real videos.
    """
    sizes = count_groups(videos)
    table = select_comparable(sizes)
    if len(table) < 2:
        raise BenchError(f"fewer than two groups have real videos ({', '.join(sizes['group'])}): nothing to compare")
    return {
        **report(table, fpr, auc, wanted),
        "attributes": report_by_attribute(videos, attributes, fpr, auc, wanted),
        "not_compared": _list_sizes(sizes.drop(table.index)),
    }


def can_show_any_gap(report: PowerReport) -> bool:
    """Return whether any gap between two groups, or two groups of one attribute, is detectable at all."""
    bests = [report["best"], *(attribute["best"] for attribute in report["attributes"].values())]
    return any(gap is not None for best in bests for gaps in best.values() for gap in gaps.values())


def report(table: pd.DataFrame, fpr: float, auc: float, wanted: float) -> GroupsPower:
    """Say what groups of these sizes can show: each, if worse, against the one with the most reals; and the `best`.

    Args:
        table: two or more rows of `count_groups`: the groups to compare, all with real videos.
        fpr: the false positive rate of the better group.
        auc: the AUC of the better group.
        wanted: the power, such as 0.8.
    """
    rows = [_report_group(cell, table.iloc[0], fpr, auc, wanted) for _, cell in table.iterrows()]
    entering = table.loc[table["fake"] > 0, "real"]
    chance = simulate_chance_gaps(entering, fpr) if len(entering) > 1 else {}
    return {
        "fpr": fpr,
        "auc": auc,
        "power": wanted,
        "pairs": _count_pairs(table),
        "groups": rows,
        "best": find_smallest_gaps(table, fpr, auc, wanted),
        "chance": chance,
    }


def find_smallest_gaps(table: pd.DataFrame, fpr: float, auc: float, wanted: float) -> dict[str, SmallestGaps]:
    """Return the smallest detectable gaps between two of the groups, with either as the worse one.

    Args:
        table: rows of `count_groups`; the first GROUPS_TRIED are tried.
        fpr: the false positive rate of the better group.
        auc: the AUC of the better group.
        wanted: the power.

    Returns:
        `one pair`, tested at 5 %, and, if there are several, `any pair`, tested at 5 % divided by their number.
    """
    import pandas as pd

    pairs = _count_pairs(table)
    tests = ({"one pair": ALPHA} if pairs else {}) | ({"any pair": ALPHA / pairs} if pairs > 1 else {})
    both = list(permutations([cell for _, cell in table.head(GROUPS_TRIED).iterrows()], 2))
    found: dict[str, SmallestGaps] = {}
    for name, alpha in tests.items():
        gaps = pd.DataFrame(
            [_smallest_gaps(worse, better, fpr, auc, wanted, alpha) for worse, better in both], dtype=float
        )
        least = {str(gap): None if np.isnan(value) else float(value) for gap, value in gaps.min().items()}
        found[name] = cast(SmallestGaps, least)
    return found


def report_by_attribute(
    videos: pd.DataFrame, attributes: Sequence[str], fpr: float, auc: float, wanted: float
) -> dict[str, AttributePower]:
    """For each attribute alone, return its groups (as `count_groups` does) and what the best pair can show.

    Args:
        videos: as for `count_groups`, with a column of values for each of the `attributes`.
        attributes: such as gender and race.
        fpr: the false positive rate of the better group.
        auc: the AUC of the better group.
        wanted: the power.

    Returns:
        {attribute: `groups` (those compared), `not_compared`, `pairs` and `best`}.
    """
    found: dict[str, AttributePower] = {}
    for attribute in attributes:
        sizes = count_groups(videos.assign(group=videos[attribute]))
        table = select_comparable(sizes)
        found[attribute] = {
            "groups": _list_sizes(table),
            "not_compared": _list_sizes(sizes.drop(table.index)),
            "pairs": _count_pairs(table),
            "best": find_smallest_gaps(table, fpr, auc, wanted),
        }
    return found


def _list_sizes(table: pd.DataFrame) -> list[GroupSize]:
    return cast(list[GroupSize], table.to_dict("records"))


def _count_pairs(table: pd.DataFrame) -> int:
    return len(table) * (len(table) - 1) // 2


def _report_group(cell: pd.Series, largest: pd.Series, fpr: float, auc: float, wanted: float) -> GroupPower:
    real, fake, clips = (int(cell[k]) for k in ("real", "fake", "clips"))
    row: GroupPower = {
        "group": cell["group"],
        "real": real,
        "fake": fake,
        "clips": clips,
        "fpr_interval": compute_expected_interval(real, fpr),
        "auc_width": 2 * 1.96 * auc_deviation(auc, real, clips) if min(real, clips) >= MIN_SAMPLES else None,
    }
    if cell["group"] == largest["group"]:
        return row
    return {**row, **_smallest_gaps(cell, largest, fpr, auc, wanted, ALPHA)}


def _smallest_gaps(
    worse: pd.Series, better: pd.Series, fpr: float, auc: float, wanted: float, alpha: float
) -> SmallestGaps:
    mine, theirs = ((int(c["real"]), int(c["clips"])) for c in (worse, better))
    mine_all, theirs_all = ((int(c["real"]), int(c["fake"])) for c in (worse, better))
    enough = min(*mine, *theirs) >= MIN_SAMPLES
    return {
        "fpr_gap": smallest_gap(theirs[0], fpr, mine[0], wanted, alpha),
        "auc_gap": smallest_auc_gap(auc, theirs, mine, wanted, alpha) if enough else None,
        "auc_gap_at_best": smallest_auc_gap(auc, theirs_all, mine_all, wanted, alpha) if enough else None,
    }
