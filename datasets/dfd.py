"""DeepFakeDetection (DFD, by Google and Jigsaw): actors, kept in the FaceForensics++ tree.

    original_sequences/actors/<compression>/videos/<actor>__<scene>.mp4
    manipulated_sequences/DeepFakeDetection/<compression>/videos/<target>_<source>__<scene>__<8 characters>.mp4

There is no official split and no official list: all files with such names are test (363 real and 3,068 fake videos if
complete).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, REAL, Release, Video
from .base import VideoFiles, add_masks, find_home, finish_listing
from .ffpp import HOMES, URL, check_compression
from .spelling import get_stem

REALS = "original_sequences/actors"
FAKES = "manipulated_sequences/DeepFakeDetection"
REAL_NAME = re.compile(r"\d+__[a-z_]+", re.IGNORECASE)
FAKE_NAME = re.compile(r"\d+_\d+__[a-z_]+__\w+", re.IGNORECASE)


@datasets.register(
    "dfd",
    aliases=("deepfakedetection",),
    title="DeepFakeDetection",
    compressions=("raw", "c23", "c40"),
    default_compression="c23",
    splits=("test",),
    url="https://github.com/ondyari/FaceForensics",
    license="FaceForensics terms of use: non-commercial research, on request",
)
class DeepFakeDetection:
    """28 actors in 16 scenes, who appear in real videos and in fakes, as targets and as sources."""

    def home(self, root: Path) -> Path:
        """Find the folder with original_sequences/actors or the fakes, in or under `root`."""
        return find_home(root, "DeepFakeDetection", (*HOMES, "DFD", "DeepFakeDetection"), (REALS, FAKES), URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos on disk, all of them as test; groups come from demographics_dfd.csv.

        Raises:
            BenchError: there is nothing in this compression.
        """
        check_compression("dfd", home / REALS, compression)
        files = VideoFiles(home)
        videos = [*_list_reals(files, compression), *_list_fakes(files, compression)]
        return finish_listing(add_masks(videos, files), home, "demographics_dfd.csv")

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts: there is no list of names."""
        counts = {("test", "real"): 363, ("test", "fake"): 3068}
        return Release(counts, [f"{folder}/{compression}/videos" for folder in (REALS, FAKES)])


def _list_reals(files: VideoFiles, compression: str) -> Iterator[Video]:
    folder = f"{REALS}/{compression}/videos"
    for name in _list_matching(files, folder, REAL_NAME):
        actor, _ = _parse_name(name)
        yield Video(f"{folder}/{name}", files.home / folder / name, REAL, "real", "test", (actor,), compression)


def _list_fakes(files: VideoFiles, compression: str) -> Iterator[Video]:
    folder = f"{FAKES}/{compression}/videos"
    for name in _list_matching(files, folder, FAKE_NAME):
        actors, scene = _parse_name(name)
        target, donor = actors.split("_")
        source = files.find(f"{REALS}/{compression}/videos/{target}__{scene}.mp4")
        people, path = (target, donor), files.home / folder / name
        yield Video(f"{folder}/{name}", path, FAKE, "DeepFakeDetection", "test", people, compression, source)


def _list_matching(files: VideoFiles, folder: str, form: re.Pattern[str]) -> list[str]:
    """Return DFD's files in a folder: the tree that it shares with FaceForensics++ may contain others."""
    return [name for name in files.names(folder) if form.fullmatch(get_stem(name))]


def _parse_name(name: str) -> tuple[str, str]:
    """Return the actors and the scene."""
    actors, scene, *_ = get_stem(name).split("__")
    return actors, scene
