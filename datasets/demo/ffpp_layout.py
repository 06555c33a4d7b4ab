"""The layout of FaceForensics++, for the standard world and for the leak world.

The official layout has one real video per id, and fakes `target_source` for each listed pair of ids. Here an id is a
take of a person, since people also recur in the original; and not every method is applied to every pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from ...benchmark.core.types import SPLITS
from .layouts import FFPP, Layout, make_demographics_table, make_ffpp_fake
from .methods import FFPP_METHODS, LEAK_METHODS, choose_in_turn
from .people import GENDERS, RACES, Person
from .population import FfppPart, Filming, LeakSize, Size, make_clip, pair_off
from .shots import Shot

NEW_DONORS = f"new_donors/{FFPP}"
LEAK_TAKES = 2
# Old and new donors of the leak world have the same groups, so that only the people change.
DONOR_GROUPS = (("male", "white"), ("female", "others"), ("female", "white"))


class Role(NamedTuple):
    """A take of a person, under the video id `number`."""

    person: Person
    take: int
    number: int


Pairs = dict[str, list[tuple[Role, Role]]]  # by split: target (or first) and donor (or second)


def plan_ffpp(size: Size, seed: int) -> Layout:
    """Plan the standard world's FaceForensics++."""
    shots: list[Shot] = []
    listed: Pairs = {}
    numbers = count()
    for split in SPLITS:
        listed[split] = []
        for a, b, methods in _deal_pairs(size.ffpp[split], f"ffpp-{split}", seed):
            first, second = Role(*a, next(numbers)), Role(*b, next(numbers))
            listed[split].append((first, second))
            folders = {method: method for method in methods}
            shots += [
                _make_shot(FFPP, split, *roles, folders, size.filming) for roles in ((first, second), (second, first))
            ]
    return Layout(shots, _make_texts(FFPP, listed, shots))


def _deal_pairs(
    part: FfppPart, name: str, seed: int
) -> Iterator[tuple[tuple[Person, int], tuple[Person, int], list[str]]]:
    """Yield pairs of (person, take), and the methods applied to both.

    A person's methods are distributed over the takes, so that each is used once per person, however many takes there
    are. If a person gets fewer methods than exist, the next pair gets the following ones.
    """
    turn = 0
    for people, takes in _list_circles(part, name, seed):
        for take in range(takes):
            for k, (a, b) in enumerate(pair_off(people, take)):
                yield (a, take), (b, take), choose_in_turn(FFPP_METHODS, turn + k, part.methods)[take::takes]
        turn += len(people) // 2


def _list_circles(part: FfppPart, name: str, seed: int) -> Iterator[tuple[list[Person], int]]:
    """Yield groups of people for making pairs (same gender, same number of takes), with their number of takes."""
    takes = {race: part.majority_takes if race == "white" else part.minority_takes for race in RACES}
    everybody = part.population.people(name, seed)
    for most in sorted(set(takes.values()), reverse=True):
        for gender in GENDERS:
            if people := [p for p in everybody if p.gender == gender and takes[p.race] == most]:
                yield people, most


def plan_leak(size: LeakSize, seed: int) -> list[Layout]:
    """Plan the leak world: each fake has one of three donors, who appear only as donors.

    A second root has the same real test videos and methods, but fakes of three other donors. The donors' ids are in
    the lists, since the names of the fakes need them, but have no videos: a detector never sees a donor as real.
    """
    numbers = count()
    old: Pairs = {}
    for split in SPLITS:
        people = size.people[split].people(f"leak-{split}", seed)
        targets = [Role(person, take, next(numbers)) for person in people for take in range(LEAK_TAKES)]
        old[split] = _assign_donors(targets, "leak-donor", seed, numbers)
    new: Pairs = {"train": [], "val": []}
    new["test"] = _assign_donors([target for target, _ in old["test"]], "leak-new-donor", seed, numbers)
    return [_make_leak_layout(FFPP, old, size.filming), _make_leak_layout(NEW_DONORS, new, size.filming)]


def _assign_donors(targets: list[Role], name: str, seed: int, numbers: Iterator[int]) -> list[tuple[Role, Role]]:
    groups = enumerate(DONOR_GROUPS)
    donors = [Role(Person(f"{name}-{k}", gender, race, seed), 0, next(numbers)) for k, (gender, race) in groups]
    return [(target, donors[k % len(donors)]) for k, target in enumerate(targets)]


def _make_leak_layout(home: str, listed: Pairs, filming: Filming) -> Layout:
    rows = [(split, target, donor) for split in listed for target, donor in listed[split]]
    shots = [_make_shot(home, split, target, donor, LEAK_METHODS, filming) for split, target, donor in rows]
    return Layout(shots, _make_texts(home, listed, shots))


def _make_shot(home: str, split: str, target: Role, donor: Role, folders: dict[str, str], filming: Filming) -> Shot:
    """Film a target's real video, and the fakes with the donor; `folders` maps methods to their folders."""
    name = f"{target.number:03d}_{donor.number:03d}.mp4"
    clip, source = (make_clip(role.person, role.take, "ffpp", filming) for role in (target, donor))
    fakes = [make_ffpp_fake(home, folder, name, method, clip, source) for method, folder in folders.items()]
    real = f"{home}/original_sequences/youtube/c23/videos/{target.number:03d}.mp4"
    dataset = "ffpp" if home == FFPP else "ffpp-new-donors"
    return Shot(dataset, split, clip, real, tuple(fakes))


def _make_texts(home: str, listed: Pairs, shots: list[Shot]) -> dict[str, str]:
    """Return the split files, which list pairs of ids, and the table of groups."""
    texts = {}
    for split, roles in listed.items():
        ids = [[f"{a.number:03d}", f"{b.number:03d}"] for a, b in roles]
        texts[f"{home}/{split}.json"] = json.dumps(ids, indent=1) + "\n"
    return texts | {f"{home}/demographics.csv": make_demographics_table(home, shots)}
