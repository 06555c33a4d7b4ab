"""Which rows are indistinguishable from the best, and each row's rank over all test sets: one set of draws for all.

Rows are compared by video AUC over a test set's whole list of videos (`unscored`), on the same people
(`joint_covariance`) and with their training seeds. Marks are a model confidence set (Hansen, Lunde and Nason 2011),
ranks follow Mogstad, Romano, Shaikh and Wilhelm (2024). docs/statistics.md reports their coverage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from zlib import crc32

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.types import FAKE, REAL, Estimate
from .intervals import widen_variance
from .joint_covariance import Spread, measure_spread
from .metrics import Array
from .people import People, find_people
from .shares import LEVEL
from .unscored import (
    MIN_COVERAGE,
    Bounds,
    align_scores,
    bound_auc,
    choose_credit,
    list_videos,
    measure_coverage,
    place_videos,
)
from .video_scores import VideoScores

DRAWS = 2000
_BLOCK = 64
"""The rows that are compared with another one at once."""
_TAIL = (1 - LEVEL) / 2
Seeds = Sequence[VideoScores]
"""The scores of one row's seeds on one test set; empty for a row that can't be compared there."""


@dataclass(frozen=True, eq=False)
class Column:
    """The rows that can be compared on one test set.

    `rows` (n,) are their indices, `value` their AUCs, `seeds` (n, seeds) each training seed's contribution to their
    errors, in standard errors of the mean, `seed_freedom` the number of seeds minus one, `spread` the people's
    contribution; `trials` counts the videos of the smaller class, `videos` all.
    """

    test: str
    rows: NDArray[np.int64]
    value: Array
    seeds: Array
    seed_freedom: Array
    spread: Spread
    coverage: Array
    bounds: list[Bounds]
    trials: int
    videos: int

    def hold_contest(self, rows: NDArray[np.int64], draws: int) -> Contest:
        """Compare rows on this test set; cached for the same rows."""
        asked = rows.tobytes(), draws
        if asked not in self._contests:
            self._contests[asked] = hold_contest([self], rows, draws)
        return self._contests[asked]

    @cached_property
    def _contests(self) -> dict[tuple[bytes, int], Contest]:
        return {}


class Standing(NamedTuple):
    """A row's standing over all test sets: mean AUC, its rank among `n` rows, and the share of duels that it wins.

    A duel is a comparison with another row on one test set. `best`: no row is significantly better; `coverage` is the
    lowest over all test sets. Rows that can't be compared have only the mean.
    """

    mean: Estimate
    rank: Estimate | None = None
    wins: Estimate | None = None
    best: bool = False
    coverage: float = 1.0


def measure_columns(tests: Mapping[str, Sequence[Seeds]]) -> dict[str, Column]:
    """Measure, by test set, all comparable rows: those with scores for at least two videos per class."""
    found = {test: _measure_column(test, rows) for test, rows in tests.items()}
    return {test: column for test, column in found.items() if column}


def _measure_column(test: str, rows: Sequence[Seeds]) -> Column | None:
    videos = list_videos(table for seeds in rows for table in seeds)
    classes = np.bincount(videos.label, minlength=2)
    if classes[REAL] < 2 or classes[FAKE] < 2:
        return None
    known = np.array([i for i, seeds in enumerate(rows) if seeds])
    scores = [[align_scores(videos, table) for table in rows[i]] for i in known]
    return make_column(test, known, videos.label, find_people(videos.identity), scores)


def make_column(
    test: str, rows: NDArray[np.int64], label: NDArray[np.int64], people: People, scores: Sequence[Sequence[Array]]
) -> Column:
    """Measure rows from the scores of their seeds, (videos,), NaN if a video has none."""
    coverage = [min(measure_coverage(label, s) for s in seeds) for seeds in scores]
    credits = [choose_credit(covered) for covered in coverage]
    placed = [[place_videos(label, s, c) for s in seeds] for seeds, c in zip(scores, credits, strict=True)]
    bounds = [
        [bound_auc(label, s, auc) for s, (auc, _) in zip(seeds, found, strict=True)]
        for seeds, found in zip(scores, placed, strict=True)
    ]
    values = [np.array([auc for auc, _ in seeds]) for seeds in placed]
    influence = np.stack([np.mean([psi for _, psi in seeds], axis=0) for seeds in placed])
    return Column(
        test,
        rows,
        np.array([v.mean() for v in values]),
        _scale_seeds(values),
        np.array([len(v) - 1.0 for v in values]),
        measure_spread(influence, people),
        np.array(coverage),
        [Bounds(*np.mean(b, axis=0).tolist()) for b in bounds],
        int(np.bincount(label, minlength=2).min()),
        len(label),
    )


def _scale_seeds(values: Sequence[Array]) -> Array:
    """Return seeds' deviations from their mean, scaled so that squares sum to its variance; (rows, most seeds)."""
    scaled = np.zeros((len(values), max(map(len, values))))
    for row, found in zip(scaled, values, strict=True):
        count = len(found)
        row[:count] = (found - found.mean()) / np.sqrt(max(count * (count - 1), 1))
    return scaled


@dataclass(frozen=True)
class Contest:
    """Rows against each other, on one test set or on the mean of several.

    `value` (rows,) are AUCs; `z` (rows, rows) by how many standard errors a row is above another, on the scale of many
    people and seeds; `errors` (rows, draws) are joint errors, and `scale` (rows, rows) the standard deviations of their
    differences.
    """

    value: Array
    z: Array
    errors: Array
    scale: Array

    @cached_property
    def largest(self) -> Array:
        """The largest standardised difference between each row and any other in each draw, (rows, draws)."""
        found, weight = np.zeros_like(self.errors), 1 / self.scale
        for first in range(0, len(found), _BLOCK):
            errors, most = self.errors[first : first + _BLOCK], found[first : first + _BLOCK]
            room = np.empty_like(errors)  # Of a size that stays in the processor's cache.
            for k in range(first + 1, len(found)):
                among = slice(min(k - first, _BLOCK))
                apart = np.abs(np.subtract(errors[among], self.errors[k], out=room[among]), out=room[among])
                apart *= weight[first:k, k, None][among]
                np.maximum(most[among], apart, out=most[among])
                np.maximum(found[k], apart.max(0), out=found[k])
        return found

    def draw_largest(self, chosen: NDArray[np.bool_]) -> Array:
        """Return in each draw the largest standardised difference of two chosen rows, (draws,).

        No row of them is further from another than from one of all rows. So the row that is furthest from any is
        compared with the chosen ones, then the next, until none of the others can be further apart.
        """
        rows = np.flatnonzero(chosen)
        bound, errors, weight = self.largest[rows], self.errors[rows], 1 / self.scale[np.ix_(rows, rows)]
        found, draws = np.zeros_like(self.errors[0]), np.arange(self.errors.shape[1])
        while len(rows) and len(draws):
            top = bound[:, draws].argmax(0)
            open_ = bound[top, draws] > found[draws]
            draws, top = draws[open_], top[open_]
            apart = np.abs(errors[:, draws] - errors[top, draws]) * weight[:, top]
            found[draws] = np.maximum(found[draws], apart.max(0, initial=0))
            bound[top, draws] = 0
        return np.asarray(found)


def hold_contest(columns: Sequence[Column], rows: NDArray[np.int64], draws: int = DRAWS) -> Contest:
    """Compare rows by their mean AUC over some columns that all of them have."""
    count = len(columns)
    places = [np.searchsorted(column.rows, rows) for column in columns]
    value = np.mean([c.value[p] for c, p in zip(columns, places, strict=True)], axis=0)
    seeds = _average_seeds(columns, places)
    of_seeds = (seeds**2).sum(1)
    people = [c.spread.select(p) for c, p in zip(columns, places, strict=True)]
    parts = [s.difference_variance() / count**2 for s in people]
    freedom = np.min([c.seed_freedom[p] for c, p in zip(columns, places, strict=True)], axis=0)
    variance = sum(parts) + of_seeds[:, None] + of_seeds
    below = sum(v**2 / s.difference_freedom() for v, s in zip(parts, people, strict=True))
    seed_part = of_seeds**2 / np.maximum(freedom, 1)
    z = _standardise(value, variance, below + seed_part[:, None] + seed_part, min(c.trials for c in columns))
    errors = sum(_draw_people(c, s, draws) for c, s in zip(columns, people, strict=True)) / count
    errors = errors + _draw_seeds(rows, seeds, draws)
    shared = sum(s.persons @ s.persons.T for s in people) / count**2 + np.diag(of_seeds)
    own = np.diag(shared)
    scale = np.sqrt(np.maximum(own[:, None] + own - 2 * shared, 0))
    scale[scale <= 1e-12] = np.inf  # Rows that are equal in all draws never differ.
    return Contest(value, z, errors.astype(np.float32), scale.astype(np.float32))


def _average_seeds(columns: Sequence[Column], places: Sequence[NDArray[np.int64]]) -> Array:
    """Average seeds' contributions to errors: a seed is one training, whatever it is tested on."""
    most = max(c.seeds.shape[1] for c in columns)
    padded = [np.pad(c.seeds, [(0, 0), (0, most - c.seeds.shape[1])])[p] for c, p in zip(columns, places, strict=True)]
    return np.asarray(np.mean(padded, axis=0))


def _standardise(value: Array, variance: Array, below: Array, trials: int) -> Array:
    """Return how far each row is above each other, as the normal deviate of Student's p (Welch and Satterthwaite)."""
    pairs = np.triu_indices(len(value), 1)  # The others are these with the other sign.
    apart, variance, below = (value[:, None] - value)[pairs], variance[pairs], below[pairs]
    freedom = np.divide(variance**2, below, out=np.ones_like(variance), where=below > 0)
    t = np.divide(np.abs(apart), np.sqrt(variance), out=np.zeros_like(apart), where=variance > 0)
    p = scipy.special.stdtr(np.maximum(freedom, 1), -t)
    p = np.where((variance <= 0) & (apart != 0), 0.5**trials, p)  # The least that a sign test can give.
    z = np.zeros((len(value), len(value)))
    z[pairs] = np.sign(apart) * -scipy.special.ndtri(np.maximum(p, 1e-300))
    return z - z.T


def _draw_people(column: Column, spread: Spread, draws: int) -> Array:
    rng = np.random.default_rng([0, crc32(column.test.encode())])
    return np.asarray(spread.persons @ rng.normal(size=(spread.persons.shape[1], draws)))


def _draw_seeds(rows: NDArray[np.int64], seeds: Array, draws: int) -> Array:
    normal = np.random.default_rng(1).normal(size=(int(rows.max()) + 1, seeds.shape[1], draws))
    return np.asarray(np.einsum("rs,rsd->rd", seeds, normal[rows]))


def mark_best(columns: Sequence[Column], draws: int = DRAWS) -> set[tuple[int, str]]:
    """Return (row, test set) of all rows indistinguishable from a test set's best, if two or more are compared.

    An unmarked row is worse than another one, with a 5 % risk that any unmarked row in any column isn't; or it scored
    less than MIN_COVERAGE of a class.
    """
    held = [c for c in columns if len(c.rows) > 1]
    kept = _find_confidence_sets([c.hold_contest(c.rows, draws) for c in held])
    return {
        (int(row), column.test)
        for column, among in zip(held, kept, strict=True)
        for row in column.rows[among & (column.coverage >= MIN_COVERAGE)]
    }


def _find_confidence_sets(contests: Sequence[Contest]) -> list[NDArray[np.bool_]]:
    """Remove rows that are worse than another until no more are found; the remaining rows set the critical value."""
    among = [np.ones(len(c.value), bool) for c in contests]
    while contests:
        largest = np.max([c.draw_largest(kept) for c, kept in zip(contests, among, strict=True)], axis=0)
        enough = np.quantile(largest, LEVEL)
        beaten = [kept & (c.z[kept] > enough).any(0) for c, kept in zip(contests, among, strict=True)]
        if not any(b.any() for b in beaten):
            break
        among = [kept & ~b for kept, b in zip(among, beaten, strict=True)]
    return among


def find_standings(columns: Sequence[Column], rows: Sequence[int], draws: int = DRAWS) -> dict[int, Standing]:
    """Return each row's standing among those of `rows` that all columns have, by mean AUC.

    A rank's lower end is 1 plus the number of significantly better rows, its upper end the last rank minus the number
    of significantly worse ones, with 95 % confidence for each row; likewise for the duels (another row on one test set)
    that it wins.
    """
    shared = [r for r in rows if all(r in c.rows for c in columns)]
    if not columns or not shared:
        return {}
    chosen = np.array(sorted(shared))
    whole = hold_contest(columns, chosen, draws)
    single = [c.hold_contest(chosen, draws) for c in columns] if len(columns) > 1 else [whole]
    coverage = np.min([c.coverage[np.searchsorted(c.rows, chosen)] for c in columns], axis=0)
    (kept,) = _find_confidence_sets([whole])
    best = kept & (coverage >= MIN_COVERAGE) & (len(chosen) > 1)
    means = _estimate_means(columns, chosen)
    return {
        int(row): Standing(means[i], _find_rank(whole, i), _count_wins(single, i), bool(best[i]), float(coverage[i]))
        for i, row in enumerate(chosen)
    }


def average_counted(bounds: Sequence[Bounds], reason: str) -> Standing:
    """Return the mean of a row that can't be compared with others, and why it has no interval."""
    mean = sum(b.counted for b in bounds) / len(bounds)
    return Standing(Estimate(mean, None, None, len(bounds), f"no interval: {reason}"))


def _find_rank(contest: Contest, row: int) -> Estimate:
    count = len(contest.value)
    rank = 1 + int((contest.value > contest.value[row]).sum())
    if count < 2:
        return Estimate(rank, None, None, count, "no other row to compare with")
    enough = np.quantile(contest.largest[row], LEVEL)
    lo, hi = 1 + int((contest.z[:, row] > enough).sum()), count - int((contest.z[row] > enough).sum())
    return Estimate(rank, min(lo, rank), max(hi, rank), count)


def _count_wins(contests: Sequence[Contest], row: int) -> Estimate:
    duels = len(contests) * (len(contests[0].value) - 1)
    if not duels:
        return Estimate(None, None, None, 0, "no other row to compare with")
    won = sum((c.value < c.value[row]).sum() + ((c.value == c.value[row]).sum() - 1) / 2 for c in contests)
    enough = np.quantile(np.max([c.largest[row] for c in contests], axis=0), LEVEL)
    sure, lost = (sum(int((z > enough).sum()) for z in found) for found in _split(contests, row))
    return Estimate(float(won / duels), sure / duels, 1 - lost / duels, duels)


def _split(contests: Sequence[Contest], row: int) -> tuple[list[Array], list[Array]]:
    return [c.z[row] for c in contests], [c.z[:, row] for c in contests]


def _estimate_means(columns: Sequence[Column], rows: NDArray[np.int64]) -> list[Estimate]:
    """Return each row's mean AUC with its interval, on the logit scale, no wider than a share's exact interval."""
    count = len(columns)
    places = [np.searchsorted(c.rows, rows) for c in columns]
    value = np.mean([c.value[p] for c, p in zip(columns, places, strict=True)], axis=0)
    parts = [_floor_variance(c)[p] / count**2 for c, p in zip(columns, places, strict=True)]
    of_seeds = (_average_seeds(columns, places) ** 2).sum(1)
    seed_freedom = np.min([c.seed_freedom[p] for c, p in zip(columns, places, strict=True)], axis=0)
    of_people = sum(parts)
    below = sum(v**2 / c.spread.freedom()[p] for v, c, p in zip(parts, columns, places, strict=True))
    freedom = np.maximum(np.divide(of_people**2, below, out=np.ones_like(below), where=below > 0), 1)
    variance = widen_variance(of_people, freedom, of_seeds, np.maximum(seed_freedom, 1), _TAIL)
    smallest, n = sum(c.trials for c in columns), sum(c.videos for c in columns)
    return [
        _estimate_share(*found, smallest, n)
        for found in zip(value.tolist(), variance.tolist(), freedom.tolist(), strict=True)
    ]


def _floor_variance(column: Column) -> Array:
    """Return the rows' variances; for an AUC of 0 or 1, where all videos agree, that of `trials`."""
    variance, edge = column.spread.variance(), np.isin(column.value, (0, 1))
    open_end = 1 - _TAIL ** (1 / column.trials)
    return np.where(edge, np.maximum(variance, (open_end / scipy.special.ndtri(1 - _TAIL)) ** 2), variance)


def _estimate_share(value: float, variance: float, freedom: float, trials: int, n: int) -> Estimate:
    if variance <= 0:
        return Estimate(value, None, None, n, "no interval: every video says the same")
    reach = float(scipy.special.stdtrit(freedom, 1 - _TAIL)) * variance**0.5
    if not 0 < value < 1:
        return Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0), n)
    middle, wide = scipy.special.logit(value), reach / (value * (1 - value))
    lo, hi = float(scipy.special.expit(middle - wide)), float(scipy.special.expit(middle + wide))
    sample = min(value * (1 - value) / variance, trials)
    exact_lo = float(scipy.special.betaincinv(value * sample, (1 - value) * sample + 1, _TAIL))
    exact_hi = float(scipy.special.betaincinv(value * sample + 1, (1 - value) * sample, 1 - _TAIL))
    return Estimate(value, min(max(lo, exact_lo), value), max(min(hi, exact_hi), value), n)
