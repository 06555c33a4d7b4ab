"""How many of whom: the people of each dataset, by group, and who is paired with whom."""

from __future__ import annotations

from dataclasses import dataclass

from .face_grid import make_rng
from .people import RACES, Person
from .shots import Clip

Counts = tuple[int, int, int, int]  # people by race, in the order of RACES
NOBODY: Counts = (0, 0, 0, 0)


@dataclass(frozen=True)
class Population:
    """How many people of each race there are among the men and the women."""

    male: Counts = NOBODY
    female: Counts = NOBODY

    def scale(self, factor: int) -> Population:
        """Return a population of `factor` times as many people in each group."""

        def scale_counts(counts: Counts) -> Counts:
            return counts[0] * factor, counts[1] * factor, counts[2] * factor, counts[3] * factor

        return Population(scale_counts(self.male), scale_counts(self.female))

    def people(self, name: str, seed: int) -> list[Person]:
        """Invent the people: men first, each gender in the order of RACES; `name` begins their names."""
        groups = [
            (gender, race)
            for gender, counts in (("male", self.male), ("female", self.female))
            for race, count in zip(RACES, counts, strict=True)
            for _ in range(count)
        ]
        return [Person(f"{name}-{k:03d}", gender, race, seed) for k, (gender, race) in enumerate(groups)]


@dataclass(frozen=True)
class FfppPart:
    """A split of FaceForensics++.

    White people appear in `majority_takes` real videos, the others in `minority_takes`, while of each person `methods`
    fakes are made in all. Where the takes differ, so does the groups' ratio of real to fake videos.
    """

    population: Population
    majority_takes: int
    minority_takes: int
    methods: int = 5


@dataclass(frozen=True)
class CelebPart:
    """Celeb-DF: one test video of each celebrity with `donors` fakes, and one of each of `youtube` without fakes.

    The training rest is another video, with one fake, of as many celebrities as `rest` has.
    """

    celebrities: Population
    youtube: Population
    rest: Population
    donors: int


@dataclass(frozen=True)
class DfdPart:
    """DeepFakeDetection: `scenes` videos of each actor, with `donors` fakes of each."""

    actors: Population
    scenes: int
    donors: int


@dataclass(frozen=True)
class DfdcPart:
    """DFDC: `takes` test videos of each person and `methods` fakes in all; in training one real and fake of each."""

    test: Population
    train: Population
    takes: int
    methods: int


@dataclass(frozen=True)
class Size:
    """All numbers of a world; `frames` are the least and the most of a video."""

    frames: tuple[int, int]
    ffpp: dict[str, FfppPart]
    celeb: CelebPart
    dfd: DfdPart
    dfdc: DfdcPart


def _make_default_size(factor: int) -> Size:
    train, val = (
        Population((10, 2, 1, 1), (14, 1, 2, 1)).scale(factor),
        Population((2, 1, 0, 1), (2, 0, 1, 1)).scale(factor),
    )
    many, few = (
        Population((4, 3, 2, 3), (4, 2, 3, 3)).scale(factor),
        Population((1, 1, 1, 1), (1, 1, 1, 1)).scale(factor),
    )
    celebrities, youtube = (
        Population((4, 2, 2, 2), (4, 2, 2, 2)).scale(factor),
        Population((2, 1, 1, 1), (2, 1, 1, 1)).scale(factor),
    )
    return Size(
        frames=(10, 14),
        ffpp={
            "train": FfppPart(train, majority_takes=4, minority_takes=1),
            "val": FfppPart(val, majority_takes=2, minority_takes=2),
            "test": FfppPart(many, majority_takes=2, minority_takes=2),
        },
        celeb=CelebPart(celebrities, youtube, rest=few, donors=2),
        dfd=DfdPart(Population((3, 1, 1, 1), (3, 1, 1, 1)).scale(factor), scenes=2, donors=2),
        dfdc=DfdcPart(many, few, takes=2, methods=3),
    )


def _make_tiny_size() -> Size:
    both = Population(male=(2, 0, 0, 0), female=(0, 0, 1, 1))
    men, women = Population(male=both.male), Population(female=both.female)
    return Size(
        frames=(6, 8),
        ffpp={
            "train": FfppPart(both, majority_takes=2, minority_takes=1, methods=3),
            "val": FfppPart(men, majority_takes=1, minority_takes=1, methods=1),
            "test": FfppPart(both, majority_takes=1, minority_takes=1, methods=2),
        },
        celeb=CelebPart(women, youtube=Population(male=(1, 0, 0, 0)), rest=Population(female=(0, 0, 0, 1)), donors=1),
        dfd=DfdPart(men, scenes=1, donors=1),
        dfdc=DfdcPart(women, train=Population(male=(0, 2, 0, 0)), takes=1, methods=1),
    )


SIZES = {"tiny": _make_tiny_size(), "default": _make_default_size(1), "large": _make_default_size(4)}


def make_clip(person: Person, take: int, camera: str, size: Size) -> Clip:
    """Return a take of a person; its length is drawn for the take, so that real and fake videos share it."""
    least, most = size.frames
    frames = int(make_rng(person.seed, "length", person.name, take).integers(least, most + 1))
    return Clip(person, take, camera, frames)


def pair_off(people: list[Person], round_: int) -> list[tuple[Person, Person]]:
    """Pair off an even number of people; other rounds give other pairs (the circle method of tournaments)."""
    *others, last = people
    start = round_ % len(others)
    first, *rest = others[start:] + others[:start]
    return [(last, first)] + [(rest[k], rest[-1 - k]) for k in range(len(rest) // 2)]


def choose_donors(people: list[Person], person: Person, count: int) -> list[Person]:
    """Return the next `count` people of the same gender, in a ring."""
    ring = [other for other in people if other.gender == person.gender]
    at = ring.index(person)
    return [ring[(at + 1 + k) % len(ring)] for k in range(count)]
