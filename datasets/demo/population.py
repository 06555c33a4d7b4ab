"""The number of people in each dataset, by group, and who is paired with whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .face_grid import make_rng
from .people import RACES, Person
from .shots import Clip

Counts = tuple[int, int, int, int]  # people by race, in the order of RACES
NOBODY: Counts = (0, 0, 0, 0)
# Sometimes filmed with others; Celeb-DF's are interviews.
IN_COMPANY = ("ffpp", "dfd", "dfdc")


@dataclass(frozen=True)
class Population:
    """The number of people of each race among the men and the women."""

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
        return [Person(f"{name}-{k:03d}", gender, race, seed, k) for k, (gender, race) in enumerate(groups)]


@dataclass(frozen=True)
class Filming:
    """How takes are filmed: the least and most `frames` of a video, which has every `stride`-th frame of a scene.

    In datasets with companions, every `company`-th take shows a second person; 0 means none.
    """

    frames: tuple[int, int]
    stride: int
    company: int


@dataclass(frozen=True)
class FfppPart:
    """A split of FaceForensics++.

    White people appear in `majority_takes` real videos, the others in `minority_takes`, while each person has fakes by
    `methods` methods in all. If the takes differ, so do the groups' ratios of real to fake videos.
    """

    population: Population
    majority_takes: int
    minority_takes: int
    methods: int = 5


@dataclass(frozen=True)
class CelebPart:
    """Celeb-DF: a test video of each celebrity with `donors` fakes, and one of each of `youtube` without fakes.

    Some celebrities are donors much more often than others. The training set has another video, with one fake, of as
    many celebrities as in `rest`.
    """

    celebrities: Population
    youtube: Population
    rest: Population
    donors: int


@dataclass(frozen=True)
class DfdPart:
    """DeepFakeDetection: `scenes` videos of each actor, each with `donors` fakes; donors differ between scenes."""

    actors: Population
    scenes: int
    donors: int


@dataclass(frozen=True)
class DfdcPart:
    """DFDC: a test video of each person and `methods` fakes of it; in training one real and one fake of each."""

    test: Population
    train: Population
    methods: int


@dataclass(frozen=True)
class Size:
    """All numbers of a standard world."""

    filming: Filming
    ffpp: dict[str, FfppPart]
    celeb: CelebPart
    dfd: DfdPart
    dfdc: DfdcPart


@dataclass(frozen=True)
class LeakSize:
    """All numbers of a leak world: the people filmed in each split."""

    filming: Filming
    people: dict[str, Population]


def _spread(count: int) -> Population:
    """Return a population with this many people of each gender and race."""
    return Population((count,) * 4, (count,) * 4)


def _make_default_size(factor: int) -> Size:
    """At least five real and five fake videos of each gender and race in each test set, times `factor`."""
    train = Population((10, 2, 1, 1), (14, 1, 2, 1)).scale(factor)
    return Size(
        filming=Filming(frames=(6, 8), stride=5, company=8),
        ffpp={
            "train": FfppPart(train, majority_takes=4, minority_takes=1),
            "val": FfppPart(_spread(5 * factor), majority_takes=1, minority_takes=1, methods=2),
            "test": FfppPart(_spread(5 * factor), majority_takes=1, minority_takes=1, methods=3),
        },
        celeb=CelebPart(_spread(3 * factor), youtube=_spread(2 * factor), rest=_spread(factor), donors=3),
        dfd=DfdPart(_spread(2 * factor), scenes=3, donors=1),
        dfdc=DfdcPart(_spread(5 * factor), train=_spread(factor), methods=2),
    )


def _make_fair_size() -> Size:
    """The default size, with 40 people of each gender and race in the test sets of FaceForensics++ and the DFDC."""
    size = _make_default_size(1)
    test = FfppPart(_spread(40), majority_takes=1, minority_takes=1, methods=1)
    return replace(size, ffpp=size.ffpp | {"test": test}, dfdc=replace(size.dfdc, test=_spread(40), methods=1))


TINY_FILMING = Filming(frames=(6, 8), stride=3, company=0)
TINY_PEOPLE = Population(male=(2, 0, 0, 0), female=(0, 0, 1, 1))


def _make_tiny_size() -> Size:
    both = TINY_PEOPLE
    men, women = Population(male=both.male), Population(female=both.female)
    return Size(
        filming=TINY_FILMING,
        ffpp={
            "train": FfppPart(both, majority_takes=2, minority_takes=1, methods=3),
            "val": FfppPart(men, majority_takes=1, minority_takes=1, methods=1),
            "test": FfppPart(both, majority_takes=1, minority_takes=1, methods=2),
        },
        celeb=CelebPart(women, youtube=Population(male=(1, 0, 0, 0)), rest=Population(female=(0, 0, 0, 1)), donors=1),
        dfd=DfdPart(men, scenes=1, donors=1),
        dfdc=DfdcPart(women, train=Population(male=(0, 2, 0, 0)), methods=1),
    )


SIZES = {
    "tiny": _make_tiny_size(),
    "default": _make_default_size(1),
    "large": _make_default_size(4),
    "fair": _make_fair_size(),
}


def _make_leak_size(factor: int) -> LeakSize:
    people = {
        "train": Population((10, 2, 1, 1), (14, 1, 2, 1)),
        "val": Population((2, 1, 0, 1), (2, 0, 1, 1)),
        "test": Population((4, 3, 2, 3), (4, 2, 3, 3)),
    }
    scaled = {split: population.scale(factor) for split, population in people.items()}
    return LeakSize(Filming(frames=(10, 14), stride=3, company=0), scaled)


LEAK_SIZES = {
    "tiny": LeakSize(TINY_FILMING, {"train": TINY_PEOPLE, "val": Population(TINY_PEOPLE.male), "test": TINY_PEOPLE}),
    "default": _make_leak_size(1),
    "large": _make_leak_size(4),
}


def make_clip(person: Person, take: int, camera: str, filming: Filming) -> Clip:
    """Return a take of a person; its length is drawn for the take, so that real and fake videos share it.

    A companion has the person's gender and race, so that a table of groups is right for both.
    """
    least, most = filming.frames
    frames = int(make_rng(person.seed, "length", person.name, take).integers(least, most + 1))
    clip, turn = Clip(person, take, camera, frames, filming.stride), person.number + 3 * take
    if camera not in IN_COMPANY or not filming.company or turn % filming.company != filming.company // 2:
        return clip
    companion = replace(person, name=f"{person.name}-companion-{take}")
    return replace(clip, companion=companion, is_main=turn // filming.company % 2 == 0)


def pair_off(people: list[Person], round_: int) -> list[tuple[Person, Person]]:
    """Pair off an even number of people, first with their neighbours; other rounds give other pairs.

    This is the circle method for tournaments: one stays, the others move on by one place each round.
    """
    *others, last = people[::2] + people[::-2]
    start = round_ % len(others)
    first, *rest = others[start:] + others[:start]
    return [(last, first)] + [(rest[k], rest[-1 - k]) for k in range(len(rest) // 2)]


def choose_donors(people: list[Person], person: Person, count: int, skip: int = 0) -> list[Person]:
    """Return `count` people of the same gender, in a ring, after the next `skip`."""
    ring = [other for other in people if other.gender == person.gender]
    at = ring.index(person) + skip
    return [ring[(at + 1 + k) % len(ring)] for k in range(count)]


def draw_donors(people: list[Person], person: Person, count: int) -> list[Person]:
    """Draw `count` others of the same gender; over all targets, some are drawn much more often than others.

    As in Celeb-DF v2's test list, where one donor is in 14 targets' videos and ten are in only one.
    """
    ring = [other for other in people if other.gender == person.gender]
    rank = make_rng(person.seed, "popularity", ring[0].name).permutation(len(ring))
    odds = np.where([other is person for other in ring], 0, 1 / np.sqrt(1 + rank))
    drawn = make_rng(person.seed, "donors", person.name).choice(len(ring), count, replace=False, p=odds / odds.sum())
    return [ring[k] for k in drawn]
