"""The user's own data without any code: a tree with folders named real and fake, or a CSV.

A tree: everything below `real/` and `fake/` belongs to that class, the folder below `fake/` names the method, and
folders named `train`, `val`, `test` above or below are the splits, in any common spelling; without them all is test. A
file is a video; so is a picture directly in `real/`, `fake/` or a split. In a deeper folder, pictures named by a common
prefix and a number are a video's frames, and several prefixes are several videos; `pictures` takes each on its own.

A CSV (or parquet): `path` and `label` (0 or real, 1 or fake), and optional columns: `video` (rows with the same value
are one video's pictures), `frame`, `split`, `method`, `source`, `identity` (a+b). Every other column is a person's
attribute, such as `gender`. Paths are relative to the file's folder, or absolute, and stay inside the data's root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, REAL, Picture, Release, Video
from .base import describe_folder, finish_listing, hold_out
from .manifest import Manifest, read_manifest
from .spelling import VIDEO_SUFFIXES, get_suffix, make_stem_key
from .tree import Place, find_class_folders, read_places
from .walk import Skipped, name_some

TABLES = (".csv", ".tsv", ".parquet", ".pq")
DIGITS = "0123456789"
MOST_DIGITS = 15


@datasets.register(
    "folder",
    takes="name",
    title="your own: a tree with real/ and fake/, or a CSV",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="",
    license="your own",
)
class Folder:
    """`folder` is the root itself, `folder:NAME` a folder or a CSV in it."""

    pictures_alone: ClassVar[bool] = False

    def __init__(self, name: str = ""):
        self.name = name
        self.root = Path()

    def home(self, root: Path) -> Path:
        """Return the named tree or CSV.

        Raises:
            BenchError: it doesn't exist, or nothing in it is named real or fake.
        """
        home = root / self.name if self.name else root
        self.root = root
        if home.suffix.lower() in TABLES and home.is_file():
            return home
        if not home.is_dir():
            raise BenchError(
                f"no folder or CSV {home}: found {describe_folder(root)}. Example: --data ROOT --test folder:NAME"
            )
        if not find_class_folders(home):
            raise BenchError(
                f"no data in {home}: looked for folders named real and fake (or 0_real, original, nature; 1_fake, "
                f"manipulated, ai) in it and two levels below; found {describe_folder(home)}. Or name a CSV with the "
                "columns path,label: folder:NAME.csv"
            )
        return home

    def videos(self, home: Path, compression: str) -> list[Video] | Manifest:
        """List the videos of the tree or CSV.

        Raises:
            BenchError: the CSV is invalid (names the row), or a level of folders is only partly splits.
        """
        if home.is_file():
            return read_manifest(home, self.root)
        skipped = Skipped()
        found = list(self._list_tree(home, skipped))
        for line in [*skipped.describe(), *self._describe_frames(found), *_describe_doubles(found)]:
            say_once(f"{home}: {line}")
        train = [v for v in found if v.split == "train"]
        if train and not any(v.split == "val" for v in found):
            reals, fakes = ([_get_name(v) for v in train if v.label == label] for label in (REAL, FAKE))
            val = hold_out(reals, fakes, seed="folder")
            found = [replace(v, split="val") if v.split == "train" and _get_name(v) in val else v for v in found]
        return finish_listing(found, home)

    def release(self, home: Path, compression: str) -> Release:
        """Return what was skipped and which class folders are empty; there are no published counts."""
        if home.is_file():
            return Release({}, [])
        skipped = Skipped()
        found = list(self._list_tree(home, skipped))
        filled = {folder for v in found for folder in _list_parents(v.id)}
        empty = [f"no videos in {folder}/" for folder in find_class_folders(home) if folder not in filled]
        causes = [*skipped.describe(), *self._describe_frames(found), *_describe_doubles(found)]
        return Release({}, [], causes=causes, faults=empty, unnamed=skipped.unnamed)

    def _list_tree(self, home: Path, skipped: Skipped) -> Iterator[Video]:
        for place in read_places(home, skipped):
            yield from _list_place(home, place, self.pictures_alone)

    def _describe_frames(self, videos: list[Video]) -> list[str]:
        """Report folders whose pictures were treated as frames of one video, since that may be wrong."""
        folders = [f"{v.id} ({len(v.pictures)})" for v in videos if len(v.pictures) > 1]
        if not folders:
            return []
        own = f"pictures:{self.name}" if self.name else "pictures"
        return [
            f"numbered pictures count as frames of one video each: {name_some(folders)}. "
            f"If they are separate pictures, use {own} instead of folder"
        ]


@datasets.register(
    "pictures",
    takes="name",
    title="your own pictures: a tree as for folder, in which each picture is separate",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="",
    license="your own",
)
class Pictures(Folder):
    """Like `folder`, for pictures that aren't frames of a video: each is a video of one frame."""

    pictures_alone = True


def _describe_doubles(videos: list[Video]) -> list[str]:
    """Report files in one folder that differ only in suffix or case: a transcoded copy would count twice."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for video in videos:
        by_key[make_stem_key(video.id)].append(video.id)
    doubles = [" = ".join(same) for same in by_key.values() if len(same) > 1]
    return [f"files with the same name count as separate videos: {name_some(doubles)}"] if doubles else []


def _get_name(video: Video) -> str:
    return PurePosixPath(video.id).stem


def _list_parents(video: str) -> Iterator[str]:
    parts = video.split("/")
    return ("/".join(parts[:i]) for i in range(1, len(parts) + 1))


def _list_place(home: Path, place: Place, alone: bool) -> Iterator[Video]:
    """List a folder's videos, and its pictures as separate items if requested or directly in a class or split."""
    method = place.below[0] if place.below and place.label == FAKE else "fake" if place.label == FAKE else "real"
    films = [name for name in place.names if get_suffix(name) in VIDEO_SUFFIXES]
    pictures = [name for name in place.names if get_suffix(name) not in VIDEO_SUFFIXES]
    groups = {} if alone or not place.below else group_frames(pictures)
    grouped = {name for names in groups.values() for name in names}
    for name in [*films, *(name for name in pictures if name not in grouped)]:
        yield Video(f"{place.inside}/{name}", home / place.inside / name, place.label, method, place.split)
    for prefix, names in groups.items():
        video = f"{place.inside}/{prefix}*" if len(groups) > 1 or len(grouped) < len(pictures) else place.inside
        numbered = number_pictures(home / place.inside, names)
        path = Path(numbered[0].file)
        yield Video(video, path, place.label, method, place.split, pictures=numbered, origin="pictures")


def group_frames(names: list[str]) -> dict[str, list[str]]:
    """Group pictures that are frames of one video: those named by a common prefix and a number.

    A picture alone in its folder is a video's only frame. Otherwise names without a number, or with a unique prefix,
    belong to no group.

    >>> group_frames(["a_1.png", "a_2.png", "b_1.png", "b_2.png", "me.png"])
    {'a_': ['a_1.png', 'a_2.png'], 'b_': ['b_1.png', 'b_2.png']}
    """
    if len(names) == 1:
        return {"": names}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if parse_frame_number(name) is not None:
            groups[_cut_suffix(name).rstrip(DIGITS)].append(name)
    return {prefix: found for prefix, found in groups.items() if len(found) > 1}


def number_pictures(folder: Path, names: list[str]) -> tuple[Picture, ...]:
    """Return a video's pictures by number: `frame_12.png` is frame 12; without numbers they are 0, 1, ..."""
    numbers = [n for name in names if (n := parse_frame_number(name)) is not None]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    return tuple(Picture(n, str(folder / name)) for n, name in sorted(zip(numbers, names, strict=True)))


def parse_frame_number(name: str) -> int | None:
    """Return the number at the end of a picture's name without suffix: 12 for `frame_012.png`; None without one."""
    stem = _cut_suffix(name)
    digits = stem[len(stem.rstrip(DIGITS)) :]
    return int(digits) if digits and len(digits) <= MOST_DIGITS else None


def _cut_suffix(name: str) -> str:
    return name.rpartition(".")[0] or name
