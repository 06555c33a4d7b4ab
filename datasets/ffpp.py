"""FaceForensics++: the real YouTube videos and their fakes, in the official layout and with the official split.

    original_sequences/youtube/<compression>/videos/<id>.mp4
    manipulated_sequences/<method>/<compression>/videos/<target>_<source>.mp4
    train.json, val.json, test.json    (also found under splits/): lists of pairs of ids

A pair [a, b] stands for the real videos a and b and the fakes a_b and b_a: 720, 140 and 140 of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, REAL, SPLITS, Video
from .base import (
    Release,
    describe_folder,
    find_home,
    finish_listing,
    list_video_files,
    make_existence_check,
    need_file,
    read_json,
)

URL = "https://github.com/ondyari/FaceForensics"
HOMES = ("FaceForensics++", "FF++", "ff++", "FaceForensics", "ffpp")
OFFICIAL = {"train": 720, "val": 140, "test": 140}
COMPRESSIONS = ("raw", "c23", "c40")
REALS = "original_sequences/youtube"
FAKES = "manipulated_sequences"
Pairs = dict[tuple[str, str], str]


@datasets.register(
    "ff++",
    aliases=("ffpp", "faceforensics++"),
    title="FaceForensics++",
    compressions=("raw", "c23", "c40"),
    default_compression="c23",
    splits=("train", "val", "test"),
    url="https://github.com/ondyari/FaceForensics",
    license="FaceForensics terms of use: non-commercial research, on request",
)
class FaceForensics:
    """All reals of the split, and those of its fakes that are on disk: the paper's four methods and FaceShifter."""

    methods: ClassVar[tuple[str, ...]] = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")

    def home(self, root: Path) -> Path:
        """Find the folder that holds original_sequences/youtube, or fakes, in or under `root`."""
        return find_home(root, "FaceForensics++", HOMES, (REALS, *(f"{FAKES}/{m}" for m in self.methods)), URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos of the three official splits; a real one that is missing on disk is listed all the same.

        Raises:
            BenchError: a split file is missing, or there is nothing in this compression.
        """
        check_compression("ff++", home / REALS, compression)
        pairs = read_pairs(home)
        return finish_listing(
            [*_list_reals(home, compression, pairs), *_list_fakes(home, compression, pairs, self.methods)],
            home,
            published="A-FF++.csv",
        )

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts and the names of all fakes; FaceShifter's only where that was downloaded."""
        there = [m for m in self.methods if m != "FaceShifter" or (home / FAKES / m / compression).is_dir()]
        folders = [f"{FAKES}/{m}/{compression}/videos" for m in there]
        return Release(
            {(split, kind): count for split, count in OFFICIAL.items() for kind in ("real", *there)},
            [f"{REALS}/{compression}/videos", *folders],
            {f"{folder}/{a}_{b}.mp4": split for folder in folders for (a, b), split in read_pairs(home).items()},
        )


def read_pairs(home: Path) -> Pairs:
    """Read the official split: {(target, source): split}, both orders of each pair.

    Raises:
        BenchError: a file is missing or holds no pairs.
    """
    pairs: Pairs = {}
    for split in SPLITS:
        file = need_file(
            [home / f"{split}.json", home / "splits" / f"{split}.json"],
            "the split file of FaceForensics++",
            f"It is in the folder dataset/splits of {URL}",
        )
        for pair in read_json(file):
            if not (isinstance(pair, list) and len(pair) == 2):
                raise BenchError(f'{file}: expected pairs of ids such as ["071", "054"], found {pair!r}')
            a, b = map(str, pair)
            pairs[a, b] = pairs[b, a] = split
    return pairs


def check_compression(name: str, folder: Path, compression: str) -> None:
    """Refuse a compression of which not even the real videos' folder is there, naming those that are."""
    if not (folder / compression / "videos").is_dir():
        there = [f"{name}:{c}" for c in COMPRESSIONS if (folder / c / "videos").is_dir()]
        instead = f"Name what is there ({', '.join(there)}), or get" if there else "Get"
        raise BenchError(
            f"no {compression} videos in {folder}: looked for {compression}/videos; found {describe_folder(folder)}. "
            f"{instead} it with the download script's option -c {compression} ({URL})"
        )


def _make_real_id(clip: str, compression: str) -> str:
    return f"{REALS}/{compression}/videos/{clip}.mp4"


def _list_reals(home: Path, compression: str, pairs: Pairs) -> Iterator[Video]:
    for clip, split in {clip: split for pair, split in pairs.items() for clip in pair}.items():
        video = _make_real_id(clip, compression)
        yield Video(video, home / video, REAL, "real", split, (clip,), compression)


def _list_fakes(home: Path, compression: str, pairs: Pairs, methods: tuple[str, ...]) -> Iterator[Video]:
    exists = make_existence_check(home)
    for method in methods:
        folder = f"{FAKES}/{method}/{compression}/videos"
        for name in list_video_files(home / folder):
            target, _, donor = Path(name).stem.partition("_")
            if split := pairs.get((target, donor)):
                source = exists(_make_real_id(target, compression))
                people = (target, donor)
                yield Video(f"{folder}/{name}", home / folder / name, FAKE, method, split, people, compression, source)
