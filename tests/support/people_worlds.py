"""Test sets with the structure of real ones, and scores of detectors with a known AUC on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from crossfake.benchmark.stats.people import People, find_people
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]
SOURCE = "source"
EFFECTS = {
    "nobody": ((0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    "target": ((0.3, 0.2), (0.25, 0.0, 0.0, 0.25)),
    SOURCE: ((0.3, 0.2), (0.15, 0.2, 0.1, 0.15)),
}
"""Parts of the scores' variance: of reals by person and clip; of fakes by target, source, pair and clip."""
REALS_TARGETS_SOURCES = (
    "5 9 21,5 0 0,4 16 16,4 4 6,3 16 17,3 15 5,3 12 20,3 12 7,3 11 26,3 5 9,3 4 4,3 4 3,3 3 7,3 3 2,3 3 2,3 2 2,3 2 1,"
    "2 17 1,2 13 14,2 11 16,2 11 5,2 9 3,2 8 2,2 6 1,2 4 0,2 3 8,2 3 3,2 3 2,2 3 2,2 3 0,2 2 5,2 2 3,2 1 4,2 0 2,"
    "1 18 7,1 17 6,1 15 9,1 10 14,1 8 19,1 8 14,1 7 2,1 5 14,1 5 2,1 4 8,1 4 5,1 4 1,1 3 0,1 2 3,1 2 2,1 1 3,1 1 1,"
    "0 4 3,0 1 3,0 1 1,0 0 3,0 0 1"
)
"""How often each person of Celeb-DF v2's official test list is filmed, is given another face, and gives it."""


class Structure(NamedTuple):
    """The videos of a test set: their labels, who is shown, whose face is used (-1 for nobody's), and the clip."""

    label: NDArray[np.int64]
    target: NDArray[np.int64]
    source: NDArray[np.int64]
    clip: NDArray[np.int64]
    known: bool = True

    @property
    def people(self) -> People:
        """The people in the videos; unknown where `known` is false."""
        names = [f"{t}+{s}" if s >= 0 else f"{t}" for t, s in zip(self.target, self.source, strict=True)]
        return find_people(names if self.known else [""] * len(names))

    def draw_scores(self, rng: np.random.Generator, worlds: int, effects: str = SOURCE) -> Array:
        """Draw scores with an AUC of one half, (worlds, videos)."""
        (of_person, of_clip), (of_target, of_source, of_pair, of_fakes_clip) = EFFECTS[effects]
        pairs = np.unique(self.target * 10_000 + self.source, return_inverse=True)[1]
        person, giver = rng.normal(size=(2, worlds, max(self.target.max(), self.source.max()) + 1))
        clip, pair = (rng.normal(size=(worlds, codes.max() + 1))[:, codes] for codes in (self.clip, pairs))
        own = rng.normal(size=(worlds, len(self.label)))
        person, giver = person[:, self.target], giver[:, self.source]
        real = of_person**0.5 * person + of_clip**0.5 * clip + (1 - of_person - of_clip) ** 0.5 * own
        rest = 1 - of_target - of_source - of_pair - of_fakes_clip
        fake = of_target**0.5 * person + of_source**0.5 * giver + of_pair**0.5 * pair
        fake += of_fakes_clip**0.5 * clip + rest**0.5 * own
        return np.where(self.label == 1, fake, real)


def shift_of(auc: float) -> float:
    """Return how much higher fakes must score than reals for this AUC; both have variance 1."""
    return float(norm.ppf(auc) * np.sqrt(2))


def _structure(rows: list[tuple[int, int, int, int]], known: bool = True) -> Structure:
    label, target, source, clip = np.array(rows, dtype=np.int64).T
    return Structure(label, target, source, np.unique(clip, return_inverse=True)[1], known)


def make_ffpp(pairs: int = 70, methods: int = 5) -> Structure:
    """FaceForensics++'s official test split: pairs of people who are swapped in both directions by every method."""
    rows = []
    for a in range(2 * pairs):
        rows += [(0, a, -1, a), *[(1, a, a ^ 1, a)] * methods]
    return _structure(rows)


def make_celebdf() -> Structure:
    """Celeb-DF v2's official test list: 56 people whose faces are swapped among them, and 70 videos of others."""
    rng = np.random.default_rng(0)
    counts = np.array([[int(n) for n in person.split()] for person in REALS_TARGETS_SOURCES.split(",")])
    targets, sources = (np.repeat(np.arange(len(counts)), counts[:, k]) for k in (1, 2))
    rng.shuffle(sources)
    while len(same := np.flatnonzero(targets == sources)):
        other = rng.integers(len(sources), size=len(same))
        sources[same], sources[other] = sources[other], sources[same]
    rows = [(0, p, -1, 100 * p + k) for p, (reals, *_) in enumerate(counts) for k in range(reals)]
    rows += [(0, 1000 + k, -1, 100_000 + k) for k in range(70)]
    rows += [
        (1, t, s, 100 * t + c) for t, s, c in zip(targets, sources, rng.integers(8, size=len(targets)), strict=True)
    ]
    return _structure(rows)


def make_dfd() -> Structure:
    """DeepFakeDetection: 28 actors in 13 scenes, each with the faces of nine others."""
    rng = np.random.default_rng(5)
    scenes = range(13)
    rows = [(0, a, -1, 100 * a + k) for a in range(28) for k in scenes][:363]
    others = {a: rng.choice([b for b in range(28) if b != a], 9, replace=False) for a in range(28)}
    fakes = [(1, a, int(b), 100 * a + k) for a in range(28) for b in others[a] for k in scenes]
    return _structure(rows + [fakes[i] for i in rng.choice(len(fakes), 3068, replace=False)])


def make_dfdc(people: int = 300, faces: int = 30) -> Structure:
    """DFDC: unnamed people, filmed five times each; the fakes use the faces of a few."""
    rng = np.random.default_rng(3)
    rows = [(0, p, -1, 100 * p + k) for p in range(people) for k in range(5)]
    rows += [(1, p, int(rng.integers(people - faces, people)), 100 * p + k) for p in range(people) for k in range(5)]
    return _structure(rows, known=False)


STRUCTURES = {"FF++": make_ffpp, "Celeb-DF": make_celebdf, "DFD": make_dfd, "DFDC": make_dfdc}
