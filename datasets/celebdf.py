"""Celeb-DF v2 and v1, in the official layout and with the official test lists.

    Celeb-real/id<A>_<NNNN>.mp4    YouTube-real/<NNNNN>.mp4    Celeb-synthesis/id<A>_id<B>_<NNNN>.mp4
    List_of_testing_videos.txt: lines such as `1 Celeb-real/id1_0005.mp4`, where 1 is REAL and 0 is fake

A listed video is identified by its folder and name, whatever its suffix and case. All others are the training set.
There is no official validation split: about a tenth of the people (of the videos in YouTube-real, whose people aren't
named) is held out as `val`, chosen by a hash of the name; fakes go with the person whose video was altered. The test
list is by video, not by person, so people occur on both sides of it, and a held-out person's face may appear in
training fakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import read_text, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import Release, Video
from .base import (
    ListedOnce,
    VideoFiles,
    check_listed_path,
    find_home,
    finish_listing,
    hold_out,
    need_file,
    to_label,
)
from .spelling import get_stem, make_stem_key

URL = "https://github.com/yuezunli/celeb-deepfakeforensics"
LIST = "List_of_testing_videos.txt"
FAKES = "Celeb-synthesis"
# The folders and the names of the videos in them; other files there aren't part of the dataset.
FOLDERS = {"Celeb-real": r"id\d+_\d+", "YouTube-real": r"\d+", FAKES: r"id\d+_id\d+_\d+"}
NAME = re.compile(r"(id\d+)(?:_(id\d+))?_(\d+)$")


@datasets.register(
    "celebdf",
    aliases=("celeb-df", "celebdf-v2", "celeb-df-v2"),
    title="Celeb-DF v2",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://github.com/yuezunli/celeb-deepfakeforensics",
    license="Celeb-DF terms of use: non-commercial research, on request",
)
class CelebDF:
    """590 + 300 real videos and 5,639 fakes; 178 + 340 of them are in the official test list."""

    homes: ClassVar[tuple[str, ...]] = ("Celeb-DF-v2", "Celeb-DF", "CelebDF", "celebdf")
    published: ClassVar[str | None] = "A-Celeb-DF.csv"
    official: ClassVar[dict[tuple[str, str], int]] = {
        ("train", "real"): 712,
        ("train", "fake"): 5299,
        ("test", "real"): 178,
        ("test", "fake"): 340,
    }

    def home(self, root: Path) -> Path:
        """Find the folder with Celeb-synthesis, Celeb-real or the test list, in or under `root`."""
        return find_home(root, "Celeb-DF", self.homes, (FAKES, "Celeb-real", LIST), URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the official test videos (even those missing on disk), and all others on disk as train or val.

        Raises:
            BenchError: the test list is missing, names a video twice, or has a line that isn't `0 or 1, path`.
        """
        folders = {path.name.casefold(): path.name for path in home.iterdir()}
        files = VideoFiles(home)
        test = {files.locate(_spell_as_on_disk(video, folders)): fake for video, fake in _read_test_list(home)}
        tested = {make_stem_key(video) for video in test}
        on_disk = _list_all_on_disk(files, folders)
        train = {video: fake for video, fake in on_disk if make_stem_key(video) not in tested}
        reals, fakes = ([_get_group(v) for v, fake in train.items() if fake == wanted] for wanted in (False, True))
        val = hold_out(reals, fakes, seed="celebdf")
        split = {v: "val" if _get_group(v) in val else "train" for v in train} | dict.fromkeys(test, "test")
        return finish_listing(_make_videos(files, train | test, split), home, published=self.published)

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts, and whether the test list belongs to the other version."""
        folders = {path.name.casefold(): path.name for path in home.iterdir()}
        lines, own = (
            len(list(_read_test_list(home))),
            sum(n for (split, _), n in self.official.items() if split == "test"),
        )
        other = {518: "v2", 100: "v1"}.get(lines)
        causes = []
        if other and lines != own:
            causes.append(f"{LIST} has {lines} lines, like that of Celeb-DF {other}; this version's has {own}")
        if "Youtube-real" in folders.values():
            causes.append("Youtube-real is officially spelt YouTube-real: some mirrors differ; it is read anyway")
        return Release(self.official, [folders.get(f.casefold(), f) for f in FOLDERS], causes=causes)


@datasets.register(
    "celebdf-v1",
    aliases=("celeb-df-v1",),
    title="Celeb-DF v1",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://github.com/yuezunli/celeb-deepfakeforensics",
    license="Celeb-DF terms of use: non-commercial research, on request",
)
class CelebDFv1(CelebDF):
    """158 + 250 real videos and 795 fakes; 38 + 62 of them are in the official test list."""

    homes = ("Celeb-DF-v1", "Celeb-DF", "CelebDF", "celebdf")
    published = None
    official: ClassVar[dict[tuple[str, str], int]] = {
        ("train", "real"): 370,
        ("train", "fake"): 733,
        ("test", "real"): 38,
        ("test", "fake"): 62,
    }


def _make_videos(files: VideoFiles, fakes: dict[str, bool], split: dict[str, str]) -> Iterator[Video]:
    for video, fake in fakes.items():
        people, number = _parse_people(video)
        source = files.find(f"Celeb-real/{people[0]}_{number}.mp4") if fake and people else None
        method = FAKES if fake else "real"
        yield Video(video, files.home / video, to_label(fake), method, split[video], people, "", source)


def _read_test_list(home: Path) -> Iterator[tuple[str, bool]]:
    path = need_file([home / LIST], "the test list of Celeb-DF", f"It comes with the videos: {URL}")
    listed = ListedOnce()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            real, *rest = line.split(maxsplit=1)
            video = check_listed_path(rest[0], f"{path}, line {number}") if rest else ""
            folder = video.partition("/")[0].casefold()
            if folder not in (f.casefold() for f in FOLDERS) or real != ("0" if folder == FAKES.casefold() else "1"):
                raise BenchError(
                    f"{path}, line {number}: expected '1 Celeb-real/id1_0005.mp4' or '0 {FAKES}/id0_id1_0000.mp4' "
                    f"(1 is real, 0 fake); found '{shorten(line)}'"
                )
            listed.add(video, f"line {number}", path)
            yield video, real == "0"


def _list_all_on_disk(files: VideoFiles, folders: dict[str, str]) -> Iterator[tuple[str, bool]]:
    for official, form in FOLDERS.items():
        folder = folders.get(official.casefold(), official)
        for name in files.names(folder):
            if re.fullmatch(form, get_stem(name), re.IGNORECASE):
                yield f"{folder}/{name}", official == FAKES


def _spell_as_on_disk(video: str, folders: dict[str, str]) -> str:
    """Some copies spell a folder Youtube-real: use the spelling on disk."""
    folder, _, name = video.partition("/")
    return f"{folders.get(folder.casefold(), folder)}/{name}"


def _parse_people(video: str) -> tuple[tuple[str, ...], str]:
    """Return the people, target first, and the clip's number: (id0, id1) and 0002 for `id0_id1_0002`."""
    match = NAME.match(get_stem(video).casefold())
    if not match:
        return (), ""
    target, donor, number = match.groups()
    return ((target, donor) if donor else (target,)), number


def _get_group(video: str) -> str:
    people, _ = _parse_people(video)
    return people[0] if people else get_stem(video)
