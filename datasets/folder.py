"""Data of one's own without any code: a tree with folders named real and fake, or a CSV.

A tree: below `real/` and `fake/` everything is of that class, a folder below `fake/` names the method, and folders
named `train`, `val`, `test` above or below are the splits; without them all is test. A file is a video; so is a picture
directly in `real/`, `fake/` or a split; a deeper folder of pictures is one video, frame by frame.

A CSV (or parquet): `path` and `label` (0 or real, 1 or fake), and what else is known: `video` (rows with the same are
one video's pictures), `frame`, `split`, `method`, `source`, `identity` (a+b). Every other column is an attribute of who
is seen, such as `gender`. Paths are relative to the file's folder, or absolute.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, Picture, Video
from .base import PICTURE_SUFFIXES, VIDEO_SUFFIXES, describe_folder, finish_listing, hold_out, to_label
from .manifest import SPLITS, Manifest, read_manifest

CLASSES = {"real": False, "fake": True}
TABLES = (".csv", ".parquet")


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

    def __init__(self, name: str = ""):
        self.name = name

    def home(self, root: Path) -> Path:
        """Return the tree or the CSV that was named.

        Raises:
            BenchError: there is none, or nothing in it is named real or fake.
        """
        home = root / self.name if self.name else root
        if home.suffix.lower() in TABLES and home.is_file():
            return home
        if not home.is_dir():
            raise BenchError(
                f"no folder or CSV {home}: found {describe_folder(root)}. Example: --data ROOT --test folder:NAME"
            )
        if not any(True for pattern in ("*", "*/*") for p in home.glob(pattern) if p.name.lower() in CLASSES):
            raise BenchError(
                f"no data in {home}: looked for folders named real and fake in it and one level below; found "
                f"{describe_folder(home)}. Or name a CSV with the columns path,label: folder:NAME.csv"
            )
        return home

    def videos(self, home: Path, compression: str) -> list[Video] | Manifest:
        """List what the tree holds, or the CSV says.

        Raises:
            BenchError: the CSV can't be understood; tells which row.
        """
        if home.is_file():
            return read_manifest(home)
        found = list(_walk_tree(home))
        train = [v for v in found if v.split == "train"]
        if train and not any(v.split == "val" for v in found):
            reals, fakes = ([_get_name(v) for v in train if v.label == label] for label in (to_label(False), FAKE))
            val = hold_out(reals, fakes, seed="folder")
            found = [replace(v, split="val") if v.split == "train" and _get_name(v) in val else v for v in found]
        return finish_listing(found, home)


def _get_name(video: Video) -> str:
    return PurePosixPath(video.id).stem


def _walk_tree(home: Path) -> Iterator[Video]:
    for folder, folders, names in os.walk(home, followlinks=True):
        folders.sort()
        inside = PurePosixPath(Path(folder).relative_to(home).as_posix())
        parts = [part.lower() for part in inside.parts]
        label = next((part for part in parts if part in CLASSES), None)
        if label is not None:
            yield from _list_folder(home, inside, parts, label, sorted(n for n in names if not n.startswith(".")))


def _list_folder(home: Path, inside: PurePosixPath, parts: list[str], label: str, names: list[str]) -> Iterator[Video]:
    split = next((part for part in parts if part in SPLITS), "test")
    below = [p for p in inside.parts[parts.index(label) + 1 :] if p.lower() not in SPLITS]
    by_kind = defaultdict(list)
    for name in names:
        by_kind[PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES].append(name)
    pictures = [n for n in by_kind[False] if PurePosixPath(n).suffix.lower() in PICTURE_SUFFIXES]
    frames = bool(below) and pictures  # Not directly in real/ or fake/: then they are one video's.
    for name in by_kind[True] + ([] if frames else pictures):
        method = below[0] if below and label == "fake" else label
        yield Video(f"{inside}/{name}", home / inside / name, to_label(CLASSES[label]), method, split)
    if frames:
        method = below[0] if len(below) > 1 and label == "fake" else label
        numbered = number_pictures(home / inside, pictures)
        path = Path(numbered[0].file)
        yield Video(str(inside), path, to_label(CLASSES[label]), method, split, pictures=numbered, origin="pictures")


def number_pictures(folder: Path, names: list[str]) -> tuple[Picture, ...]:
    """Return a video's pictures by their numbers: `frame_12.png` is frame 12; without numbers they are 0, 1, ..."""
    numbers = [n for name in names if (n := parse_frame_number(name)) is not None]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    return tuple(Picture(n, str(folder / name)) for n, name in sorted(zip(numbers, names, strict=True)))


def parse_frame_number(name: str) -> int | None:
    """Return the number at the end of a picture's name without suffix: `frame_012.png` gives 12."""
    stem = PurePosixPath(name).stem
    digits = stem[len(stem.rstrip("0123456789")) :]
    return int(digits) if digits else None
