"""The layout of FaceForensics++, for the standard world and for the leak world.

The official layout has one real video an id, and fakes `target_source` of each of the listed pairs of ids. Here an id is
a take of a person, as people recur in the original, too; and not every method is applied to every pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from .cast import FfppPart, Size, clip_of, pairs
from .film import Fake, Shot
from .layouts import FFPP, Layout, demographics
from .people import Person
from .recipes import FFPP_METHODS, LEAK_METHODS

NEW_DONORS = f"new_donors/{FFPP}"
# Old and new donors of the leak world are of the same groups, so that only the people change.
DONOR_GROUPS = (("male", "white"), ("female", "others"), ("female", "white"))
SPLITS = ("train", "val", "test")


class Role(NamedTuple):
    """A take of a person as a target or donor, under its video id."""

    person: Person
    take: int
    number: int


def ffpp(size: Size, seed: int) -> Layout:
    """Plan the standard world's FaceForensics++."""
    shots: list[Shot] = []
    listed: dict[str, list[tuple[Role, Role]]] = {}
    number = 0
    for split in SPLITS:
        listed[split] = []
        for a, b, methods in _dealt_pairs(size.ffpp[split], f"ffpp-{split}", seed):
            first, second = Role(*a, number), Role(*b, number + 1)
            number += 2
            listed[split].append((first, second))
            recipes = {method: method for method in methods}
            shots += [_shot(split, x, y, recipes, size) for x, y in ((first, second), (second, first))]
    return Layout(shots, _texts(FFPP, listed, shots))


def leak(size: Size, seed: int) -> list[Layout]:
    """Plan the leak world: every fake has one of three donors, who are only ever donors.

    A second root has the same real test videos and recipes, and fakes of three other donors. The donors' own ids are
    in the lists, since the names of fakes need them, but without videos: a detector never sees a donor as real.
    """
    old, new = _leak_donors("leak-donor", seed), _leak_donors("leak-new-donor", seed)
    number, shots, listed = 0, [], {}
    for split in SPLITS:
        part = size.ffpp[split]
        takes = [(p, t) for p in part.crowd.people(f"leak-{split}", seed) for t in range(part.minority_takes_of_leak)]
    return []


def _dealt_pairs(
    part: FfppPart, name: str, seed: int
) -> Iterator[tuple[tuple[Person, int], tuple[Person, int], list[str]]]:
    """Yield pairs of (person, take) with the methods applied to both.

    Pairs are made within a gender, and within the majority or the minorities. A person's methods are dealt out over
    the takes, so that each is used once a person, however many the takes are.
    """
    everybody = part.crowd.people(name, seed)
    for white, takes in ((True, part.majority_takes), (False, part.minority_takes)):
        start = 0 if white else part.methods  # a world with fewer methods than five spreads them over both
        methods = [FFPP_METHODS[(start + k) % len(FFPP_METHODS)] for k in range(part.methods)]
        for gender in ("male", "female"):
            people = [p for p in everybody if p.gender == gender and (p.race == "white") == white]
            for take in range(takes if people else 0):
                for a, b in pairs(people, take):
                    yield (a, take), (b, take), methods[take::takes]
