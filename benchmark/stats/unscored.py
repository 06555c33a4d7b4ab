"""Unscored videos count against a row: a test set's whole list of videos, and the AUC over all of them.

A video that can't be scored is a failure to process, which NIST's evaluations count as an error. Each pair with such a
video counts as a coin flip (`HALF`), wrong (`LOST`) or right (`WON`); the last two bound the possible AUC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.types import FAKE, REAL
from .metrics import Array
from .video_scores import VideoScores

LOST, HALF, WON = 0.0, 0.5, 1.0
"""The credit for a pair of a fake and a real if one of them has no score."""
MIN_COVERAGE = 0.98
"""The share of each class that a row must score to be marked and for its unscored videos to count HALF."""


class VideoList(NamedTuple):
    """All videos of a test set: the position, label and identity of each."""

    place: dict[str, int]
    label: NDArray[np.int64]
    identity: list[str]


class Bounds(NamedTuple):
    """The AUC over all videos of a test set: its smallest and largest possible value, and the one used for ranks."""

    worst: float
    counted: float
    best: float


def list_videos(tables: Iterable[VideoScores]) -> VideoList:
    """Return every video that one of the tables scored or dropped.

    Videos that all dropped and no table labels are assigned to the smaller class, where they cost most.
    """
    label: dict[str, int] = {}
    identity: dict[str, str] = {}
    dropped: dict[str, int | None] = {}
    previous: Sequence[str] = ()
    for table in tables:
        dropped |= {v: k for v, k in table.dropped.items() if dropped.get(v) is None}
        if table.ids != previous or not any(identity.values()):
            label |= zip(table.ids, table.label.tolist(), strict=True)
            identity |= {v: p for v, p in zip(table.ids, table.identity, strict=True) if p or v not in identity}
        previous = table.ids
    label |= {v: k for v, k in dropped.items() if k is not None and v not in label}
    for video in (v for v in dropped if v not in label):
        counts = np.bincount(list(label.values()), minlength=2)
        label[video] = int(np.argmin(counts))
    place = {v: i for i, v in enumerate(sorted(label))}
    return VideoList(place, np.array([label[v] for v in place], int), [identity.get(v, "") for v in place])


def align_scores(videos: VideoList, table: VideoScores) -> Array:
    """Return a table's scores in the list's order, (n,); NaN where it has none."""
    found = np.full(len(videos.place), np.nan)
    found[[videos.place[v] for v in table.ids]] = table.score
    return found


def measure_coverage(label: ArrayLike, score: Array) -> float:
    """Return the scored share of the class with the lower share; NaN without both classes."""
    known, y = np.isfinite(score), np.asarray(label)
    shares = [known[y == k].mean() if (y == k).any() else np.nan for k in (REAL, FAKE)]
    return float(np.min(shares))


def place_videos(label: ArrayLike, score: Array, credit: float) -> tuple[float, Array]:
    """Return the AUC over all videos, and each one's influence on it.

    The AUC is the mean over fakes of the share of reals below (DeLong et al. 1988: its placement), and also the mean
    over reals of the share of fakes above; a video's influence is its placement minus the AUC, divided by the size of
    its class.

    Args:
        label: (n,) 0 real, 1 fake; both must occur.
        score: (n,) NaN if a video has none.
        credit: what a pair with such a video counts.

    Returns:
        The AUC, and influences (n,) that sum to 0 in each class.
    """
    fake = np.asarray(label) == FAKE
    known = np.isfinite(score)
    placement = np.full(len(score), credit)
    for own, other, sign in ((fake, ~fake, 1), (~fake, fake, -1)):
        against = np.sort(sign * score[other & known])
        mine = sign * score[own & known]
        below = (np.searchsorted(against, mine, "left") + np.searchsorted(against, mine, "right")) / 2
        lacking = int((other & ~known).sum())
        placement[own & known] = (below + credit * lacking) / int(other.sum())
    auc = float(placement[fake].mean())
    size = np.where(fake, fake.sum(), (~fake).sum())
    return auc, (placement - auc) / size


def bound_auc(label: ArrayLike, score: Array, counted: float) -> Bounds:
    """Return the AUC over all videos that `place_videos` found, `counted`, and its bounds."""
    if np.isfinite(score).all():
        return Bounds(counted, counted, counted)
    worst, best = (place_videos(label, score, credit)[0] for credit in (LOST, WON))
    return Bounds(worst, counted, best)


def bound_by_coverage(auc: float, share: float) -> Bounds:
    """Return the same from an AUC on the scored videos, if only their `share` is known."""
    pairs = share**2
    return Bounds(*(pairs * auc + (1 - pairs) * credit for credit in (LOST, choose_credit(share), WON)))


def choose_credit(coverage: float) -> float:
    """Return what an unscored video's pairs count in a rank: HALF, or LOST below MIN_COVERAGE.

    HALF alone would reward a weak detector for skipping videos on which it is worse than a coin flip.
    """
    return HALF if coverage >= MIN_COVERAGE else LOST
