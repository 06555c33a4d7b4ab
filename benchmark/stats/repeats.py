"""Whether a repeated row is the same: on the same videos, within the noise of rounding and training seeds.

A small number of videos doesn't matter here, since both times they are the same. What remains is noise in the scores
(another machine, other kernels) and, if the detector is trained, the effect of another seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from ..core.types import FAKE
from .metrics import Array
from .metrics import auc as measure_auc
from .video_scores import VideoScores

IDENTICAL: Final = "identical"
SAME: Final = "same within noise"
DIFFERENT: Final = "different"
Verdict = Literal["identical", "same within noise", "different"]
ALPHA = 0.01
"""The probability that a row with only the observed noise is called different, over all its test sets."""
SWAPS = 1000
_AT_ONCE = 100
_ROUNDING = 1e-9

Pair = tuple[NDArray[np.int64], Array, Array]


class Repeat(NamedTuple):
    """A repeated row's AUC: the difference, the noise tolerance, how many videos' scores differ, and why."""

    verdict: Verdict
    difference: float
    tolerance: float
    changed: int
    note: str = ""


def compare_repeats(
    recorded: Sequence[VideoScores], again: Sequence[VideoScores], trained: bool, tests: int = 1
) -> Repeat:
    """Compare a row's seeds with the same seeds repeated.

    Args:
        recorded: what each seed scored.
        again: what each scored when repeated.
        trained: whether the seeds were trained; given weights have no seed noise.
        tests: number of test sets on which the row is compared; the level is divided by it.
    """
    level = ALPHA / tests
    if any(set(a.ids) != set(b.ids) for a, b in zip(recorded, again, strict=True)):
        lost = sum(len(set(a.ids) ^ set(b.ids)) for a, b in zip(recorded, again, strict=True))
        value = _average(again) - _average(recorded)
        return Repeat(DIFFERENT, value, 0.0, lost, f"{lost} videos were scored only once")
    pairs = [_align(a, b) for a, b in zip(recorded, again, strict=True)]
    changed = sum(int((a != b).sum()) for _, a, b in pairs)
    aucs = np.array([[float(measure_auc(label, s)) for s in scores] for label, *scores in pairs])
    difference = float((aucs[:, 1] - aucs[:, 0]).mean())
    if not changed:
        return Repeat(IDENTICAL, difference, 0.0, 0)
    numerical = find_score_noise(pairs, level)
    seeds = find_seed_noise(aucs[:, 0], level) if trained else 0.0
    tolerance = float(np.hypot(numerical, seeds))
    alone = trained and len(pairs) == 1
    verdict: Verdict = SAME if abs(difference) <= tolerance + _ROUNDING else DIFFERENT
    return Repeat(verdict, difference, tolerance, changed, "one seed: what others give isn't known" if alone else "")


def _average(tables: Sequence[VideoScores]) -> float:
    return float(np.mean([measure_auc(t.label, t.score) for t in tables]))


def _align(a: VideoScores, b: VideoScores) -> Pair:
    """Return labels and both scores of the same videos in the same order."""
    place = {video: i for i, video in enumerate(b.ids)}
    return a.label, a.score, b.score[[place[video] for video in a.ids]]


def find_score_noise(pairs: Sequence[Pair], level: float) -> float:
    """Return the difference in AUC that noise as seen in the scores exceeds with probability `level`.

    If the two differ only by noise, their order is random: so they are swapped at random, video by video.

    Args:
        pairs: for each seed the labels and both scores, (n,) each.
        level: the probability.
    """
    rng = np.random.default_rng(0)
    totals = np.zeros(SWAPS)
    for label, a, b in pairs:
        fake = label == FAKE
        for start in range(0, SWAPS, _AT_ONCE):
            swapped = rng.random((_AT_ONCE, len(a))) < 0.5
            first, second = np.where(swapped, b, a), np.where(swapped, a, b)
            totals[start : start + _AT_ONCE] += _measure_many(fake, second) - _measure_many(fake, first)
    return float(np.quantile(np.abs(totals / len(pairs)), 1 - level, method="higher"))


def _measure_many(fake: NDArray[np.bool_], scores: Array) -> Array:
    """Return the AUC of each row of (k, n) scores; 0 without both classes, where there is nothing to compare."""
    fakes, reals = int(fake.sum()), int((~fake).sum())
    ranks = scipy.stats.rankdata(scores, axis=1)[:, fake].sum(1)
    return np.asarray((ranks - fakes * (fakes + 1) / 2) / max(fakes * reals, 1))


def find_seed_noise(values: Array, level: float) -> float:
    """Return how much means of as many other seeds would differ with probability `level`; 0 for a single seed."""
    count = len(values)
    if count < 2:
        return 0.0
    return float(scipy.special.stdtrit(count - 1, 1 - level / 2) * np.std(values, ddof=1) * np.sqrt(2 / count))
