"""DFDC, the full dataset of the Deepfake Detection Challenge, in its official layout.

    test/ or dfdc_test/: labels.csv (`filename,label`, 1 = fake) and the videos next to it or in videos/
    dfdc_train_part_<n>/ (also found under train/): metadata.json and the videos

The training parts have no official validation split: about a tenth of the originals is held out as `val`, chosen by a
hash of the original's name, each with all its fakes. People aren't named, so one person may occur on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import parse_label, read_csv_rows, read_json, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, Release, Video
from .base import (
    DOWNLOAD_AGAIN,
    ListedOnce,
    VideoFiles,
    check_listed_path,
    find_home,
    finish_listing,
    hold_out,
    need_file,
    to_label,
)
from .spelling import get_stem
from .walk import name_some

URL = "https://ai.meta.com/datasets/dfdc/"
TEST_FOLDERS = ("test", "dfdc_test")
PARTS_IN_ALL = 50
OFFICIAL = {("train", "real"): 19154, ("train", "fake"): 100000, ("test", "real"): 2500, ("test", "fake"): 2500}
PARTS = ("dfdc_train_part_*", "train/dfdc_train_part_*")


@datasets.register(
    "dfdc",
    title="DFDC",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://ai.meta.com/datasets/dfdc/",
    license="DFDC dataset agreement",
)
class Dfdc:
    """119,154 training videos in 50 parts and 5,000 test videos; parts that are missing entirely are left out."""

    def home(self, root: Path) -> Path:
        """Find the folder with the test folder or the training parts, in or under `root`."""
        tests = ("labels.csv", "*.mp4", "videos/*.mp4")
        markers = (*(f"{folder}/{name}" for folder in TEST_FOLDERS for name in tests), *PARTS)
        return find_home(root, "DFDC", ("DFDC", "dfdc"), markers, URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos in labels.csv and every metadata.json, even those missing on disk.

        Raises:
            BenchError: one of those files is missing, names a video twice, or has an invalid row.
        """
        test = list(_list_test(home))
        return finish_listing([*test, *_list_train(home, {_get_name(v.id) for v in test})], home)

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts, the missing training parts, and Kaggle's samples if present."""
        parts = _find_parts(home)
        numbers = {int(found.group()) for part in parts if (found := re.search(r"\d+$", part.name))}
        causes = [
            f"{home / name} is one of Kaggle's samples of 400, not of this release"
            for name in _find_kaggle_folders(home)
        ]
        if parts and (missing := sorted(set(range(PARTS_IN_ALL)) - numbers)):
            causes.append(f"no training parts {', '.join(map(str, missing))}")
        test = next((name for name in TEST_FOLDERS if (home / name).is_dir()), TEST_FOLDERS[0])
        folders = [f"{test}/videos" if (home / test / "videos").is_dir() else test]
        return Release(OFFICIAL, folders + [p.relative_to(home).as_posix() for p in parts], causes=causes)


def _find_parts(home: Path) -> list[Path]:
    return [part for pattern in PARTS for part in sorted(home.glob(pattern)) if part.is_dir()]


def _find_kaggle_folders(home: Path) -> list[str]:
    return [name for name in ("train_sample_videos", "test_videos") if (home / name).is_dir()]


class _Clip(NamedTuple):
    video: str
    fake: bool
    original: str

    @property
    def group(self) -> str:
        """The original's name alone: independent of where the parts are."""
        return self.original.rpartition("/")[2]


def _get_name(video: str) -> str:
    """Return a video's key: names are random letters, so the same name is the same video, wherever it is."""
    return get_stem(video).casefold()


def _list_test(home: Path) -> Iterator[Video]:
    folders = [home / name for name in TEST_FOLDERS if (home / name).is_dir()]
    files = VideoFiles(home)
    for folder in folders[:1]:
        how = f"It comes with the test videos: {URL}"
        labels = need_file([folder / "labels.csv"], "the labels of DFDC's test set", how)
        within = f"{folder.name}/videos" if (folder / "videos").is_dir() else folder.name
        for name, fake in _read_labels(labels):
            video = files.locate(f"{within}/{name}")
            yield Video(video, home / video, to_label(fake), "DFDC" if fake else "real", "test")


def _read_labels(path: Path) -> Iterator[tuple[str, bool]]:
    listed = ListedOnce()
    for number, row in read_csv_rows(path, ("filename", "label")):
        name, label = row["filename"], parse_label(row["label"])
        if not name or label is None:
            found = shorten(row)
            raise BenchError(f"{path}, row {number}: expected filename,label with label 0 or 1; found {found}")
        video = check_listed_path(name, f"{path}, row {number}")
        listed.add(video, f"row {number}", path)
        yield video, label == FAKE


def _list_train(home: Path, tested: set[str]) -> Iterator[Video]:
    clips = [clip for part in _find_parts(home) for clip in _read_part(home, part)]
    if held := [clip.video for clip in clips if _get_name(clip.video) in tested]:
        say_once(f"{home}: in the test set, so not trained on: {name_some(held)}")
        clips = [clip for clip in clips if _get_name(clip.video) not in tested]
    val = hold_out((c.group for c in clips if not c.fake), (c.group for c in clips if c.fake), seed="dfdc")
    files, listed = VideoFiles(home), {clip.video for clip in clips}
    for clip in clips:
        split = "val" if clip.group in val else "train"
        find = files.locate if clip.original in listed else files.find  # Where no file is visible, a key is the same.
        source = find(clip.original) if clip.fake else None
        method, video = "DFDC" if clip.fake else "real", files.locate(clip.video)
        yield Video(video, home / video, to_label(clip.fake), method, split, original=source)


def _read_part(home: Path, part: Path) -> Iterator[_Clip]:
    within = part.relative_to(home).as_posix()
    listing = need_file([part / "metadata.json"], "the labels of a DFDC training part", f"It comes with it: {URL}")
    listed, check = ListedOnce(), cache(partial(check_listed_path, where=str(listing)))  # Five fakes share an original.
    for key, facts in read_json(listing, dict, DOWNLOAD_AGAIN).items():
        name = check(key)
        label = facts.get("label") if isinstance(facts, dict) else None
        if label not in ("REAL", "FAKE"):
            raise BenchError(f"{listing}: {shorten(key)} has label {shorten(label)}; expected REAL or FAKE")
        original = (facts.get("original") if label == "FAKE" else None) or name
        if not isinstance(original, str):
            check_listed_path(original, str(listing))  # Raises; `check` can't cache every possible value.
        listed.add(name, key, listing)
        yield _Clip(f"{within}/{name}", label == "FAKE", f"{within}/{check(original)}")
