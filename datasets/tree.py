"""Infers class, split and method of files from the names of their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..benchmark.core.errors import BenchError
from .spelling import SPLIT_WORDS, FolderName, parse_folder_name
from .walk import Skipped, list_folders, name_in_utf8, name_some, walk_folders

LEVELS = 3


class Place(NamedTuple):
    """A folder with files: label and split from its path, and the folders `below` the class that aren't splits."""

    inside: str
    label: int
    split: str
    below: list[str]
    names: list[str]


def find_class_folders(home: Path) -> list[str]:
    """Return the folders in a tree, up to two levels below, that name a class; none inside another."""
    found: list[str] = []
    level = [""]
    for _ in range(LEVELS):
        below = [f"{folder}/{name}".lstrip("/") for folder in level for name in list_folders(home / folder)]
        classes = {folder for folder in below if parse_folder_name(folder.rpartition("/")[2]).label is not None}
        found += sorted(classes)
        level = [folder for folder in below if folder not in classes]
    return [name_in_utf8(folder) for folder in found]


def read_places(home: Path, skipped: Skipped) -> Iterator[Place]:
    """Yield the folders of a tree that name a class and contain files, in order.

    Raises:
        BenchError: a path has two classes or two splits, or folders on one level are only partly splits.
    """
    places, elsewhere = [], []
    for inside, names in walk_folders(home, skipped):
        place = _read_place(inside, names) if names else None
        places += [place] if place else []
        elsewhere += [inside or "."] if names and place is None else []
    _check_levels(places)
    skipped.classless += elsewhere
    yield from places


def _read_place(inside: str, names: list[str]) -> Place | None:
    parts = inside.split("/")
    read = [parse_folder_name(part) for part in parts]
    at = _find_class(inside, read)
    if at is None:
        return None
    splits = {name.split for name in read if name.split}
    if len(splits) > 1:
        raise BenchError(f"the folder {inside} is {' and '.join(sorted(splits))} by its name. Rename or move it")
    below = [part for part, name in zip(parts[at + 1 :], read[at + 1 :], strict=True) if not name.split]
    label = read[at].label
    assert label is not None
    return Place(inside, label, next(iter(splits), "test"), below, names)


def _find_class(inside: str, read: list[FolderName]) -> int | None:
    """Return which part of the path names the class: a clear name such as `real` or `fake`, else the first possible."""
    certain = [i for i, name in enumerate(read) if name.certain]
    if len({read[i].label for i in certain}) > 1:
        raise BenchError(f"the folder {inside} is both real and fake by its name. Rename or move it")
    return next(iter([*certain, *(i for i, name in enumerate(read) if name.label is not None)]), None)


def _check_levels(places: list[Place]) -> None:
    """Reject a folder with both splits and other files: those would silently become test."""
    levels: dict[str, dict[str, bool]] = defaultdict(dict)
    for place in places:
        parts = place.inside.split("/")
        for depth, part in enumerate(parts):
            levels["/".join(parts[:depth])][f"{part}/"] = parse_folder_name(part).split is not None
        levels[place.inside]["files"] = False
    for folder, kinds in levels.items():
        odd = sorted(name for name, is_split in kinds.items() if not is_split)
        if odd and any(kinds.values()):
            named = name_some(sorted(name for name, is_split in kinds.items() if is_split))
            raise BenchError(
                f"{folder or 'the tree'} holds the splits {named} and also {name_some(odd)}, which isn't a split. "
                f"Rename or move it; known splits: {', '.join(SPLIT_WORDS)}"
            )
