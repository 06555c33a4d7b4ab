"""FaceForensics++: the real YouTube videos and their fakes, in the official layout and with the official split.

    original_sequences/youtube/<compression>/videos/<id>.mp4
    manipulated_sequences/<method>/<compression>/videos/<target>_<source>.mp4
    train.json, val.json, test.json    (also found under splits/): lists of pairs of ids

A pair [a, b] stands for the real videos a and b and the fakes a_b and b_a: 720, 140 and 140 of each.

ff++:<compression>:methods=4 is without FaceShifter, as in most papers; in rows it is ff++:c23:4m.

Kaggle's copies (FaceForensics++_C23) are flat, and lack the lists of pairs: original/<id>.mp4, <method>/<a>_<b>.mp4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import read_json, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, REAL, SPLITS, Release, Video
from .base import DOWNLOAD_AGAIN, VideoFiles, add_masks, describe_folder, find_home, finish_listing, need_file
from .spelling import get_stem

URL = "https://github.com/ondyari/FaceForensics"
HOMES = ("FaceForensics++", "FF++", "ff++", "FaceForensics", "ffpp")
OFFICIAL = {"train": 720, "val": 140, "test": 140}
COMPRESSIONS = ("raw", "c23", "c40")
REALS = "original_sequences/youtube"
FAKES = "manipulated_sequences"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")  # The paper's four, and a later one.
KAGGLE_REALS = "original"
# What distinguishes Kaggle's folder from others with a folder named `original`.
KAGGLE_MARKERS = (f"{KAGGLE_REALS}/[0-9][0-9][0-9].*", "Deepfakes/[0-9][0-9][0-9]_[0-9][0-9][0-9].*")
KAGGLE_HOMES = tuple(f"FaceForensics++_{c}" for c in ("C23", "C40", "c23", "c40"))
ID = re.compile(r"\w{1,100}")
Pairs = dict[tuple[str, str], str]


@datasets.register(
    "ff++",
    aliases=("ffpp", "faceforensics++"),
    title="FaceForensics++",
    compressions=("raw", "c23", "c40"),
    default_compression="c23",
    splits=("train", "val", "test"),
    parts={"methods=5": "", "methods=4": "4m"},
    url="https://github.com/ondyari/FaceForensics",
    license="FaceForensics terms of use: non-commercial research, on request",
)
class FaceForensics:
    """All reals of the split, and its fakes on disk: the paper's four methods and FaceShifter.

    With `methods=4`, only the paper's four, all of which must exist.
    """

    def __init__(self, methods: int = len(METHODS)) -> None:
        self.methods = METHODS[:methods]

    def home(self, root: Path) -> Path:
        """Find the folder with original_sequences/youtube, fakes, or Kaggle's copy, in or under `root`."""
        markers = (REALS, *(f"{FAKES}/{m}" for m in METHODS), *KAGGLE_MARKERS)
        return find_home(root, "FaceForensics++", (*HOMES, *KAGGLE_HOMES), markers, URL)

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos of the three official splits, including reals that are missing on disk.

        Raises:
            BenchError: a split file is missing, there is nothing in this compression, or one of the four methods is
                missing.
        """
        layout = find_layout(home, compression)
        pairs, files = read_pairs(home), VideoFiles(home)
        videos = [*_list_reals(files, layout, pairs), *_list_fakes(files, layout, pairs, self.methods)]
        if self.methods != METHODS:
            self._require_methods(videos, home, compression)
        return finish_listing(add_masks(videos, files), home, published="A-FF++.csv")

    def _require_methods(self, videos: list[Video], home: Path, compression: str) -> None:
        """Reject a four-method set that has fewer."""
        found = {v.method for v in videos}
        if missing := [m for m in self.methods if m not in found]:
            raise BenchError(
                f"ff++:{compression}:4m has four methods, and {home} has no videos of {', '.join(missing)}. "
                f"Get them with the download script ({URL}), or use ff++:{compression}, which uses what is there"
            )

    def release(self, home: Path, compression: str) -> Release:
        """Return the official counts and the names of all fakes; FaceShifter's only if it was downloaded."""
        layout = find_layout(home, compression)
        folders = {m: layout.fakes.format(method=m) for m in self.methods}
        there = {m: f for m, f in folders.items() if m != "FaceShifter" or (home / f).is_dir()}
        return Release(
            {(split, kind): count for split, count in OFFICIAL.items() for kind in ("real", *there)},
            [layout.reals, *there.values()],
            {f"{f}/{a}_{b}.mp4": split for f in there.values() for (a, b), split in read_pairs(home).items()},
        )


class Layout(NamedTuple):
    """A compression's folders inside the home: for the reals, and for the fakes of a `{method}`."""

    reals: str
    fakes: str
    compression: str


def find_layout(home: Path, compression: str) -> Layout:
    """Return the official layout, or that of Kaggle's copies, whose folder names their compression (or c23).

    Raises:
        BenchError: there is nothing in this compression.
    """
    if (home / REALS).is_dir() or (home / FAKES).is_dir() or not (home / KAGGLE_REALS).is_dir():
        check_compression("ff++", home / REALS, compression)
        return Layout(f"{REALS}/{compression}/videos", f"{FAKES}/{{method}}/{compression}/videos", compression)
    tail = home.name.rpartition("_")[2].lower()
    has = tail if tail in COMPRESSIONS else "c23"
    if compression != has:
        raise BenchError(f"no {compression} videos in {home}: a flat copy such as Kaggle's is {has}. Use ff++:{has}")
    return Layout(KAGGLE_REALS, "{method}", compression)


def read_pairs(home: Path) -> Pairs:
    """Read the official split: {(target, source): split}, both orders of each pair.

    Raises:
        BenchError: a file is missing, none holds a pair, a pair appears twice, or an id in two splits.
    """
    pairs: Pairs = {}
    split_of: dict[str, str] = {}
    for split in SPLITS:
        file = need_file(
            [home / f"{split}.json", home / "splits" / f"{split}.json"],
            "the split file of FaceForensics++",
            f"It is in the folder dataset/splits of {URL}",
        )
        for pair in read_json(file, list, DOWNLOAD_AGAIN):
            a, b = _check_pair(pair, file)
            if other := next((s for clip in (a, b) if (s := split_of.setdefault(clip, split)) != split), None):
                raise BenchError(f"{file}: an id of {[a, b]} is also in {other}.json. Each id may be in one split only")
            if (a, b) in pairs:
                raise BenchError(f"{file}: the pair {[a, b]} is listed twice. Remove one")
            pairs[a, b] = pairs[b, a] = split
    if not pairs:  # One may be empty: the leak world's new donors have only a test split.
        raise BenchError(f"{file} and the other split files list no pairs of ids. {DOWNLOAD_AGAIN}")
    return pairs


def _check_pair(pair: object, file: Path) -> tuple[str, str]:
    fits = isinstance(pair, list) and len(pair) == 2 and all(isinstance(i, str) and ID.fullmatch(i) for i in pair)
    if not (isinstance(pair, list) and fits):
        raise BenchError(f'{file}: expected pairs of ids such as ["071", "054"], found {shorten(pair)}')
    return pair[0], pair[1]


def check_compression(name: str, folder: Path, compression: str) -> None:
    """Reject a compression without even a folder of real videos, naming those that exist."""
    if not (folder / compression / "videos").is_dir():
        there = [f"{name}:{c}" for c in COMPRESSIONS if (folder / c / "videos").is_dir()]
        instead = f"Name what is there ({', '.join(there)}), or get" if there else "Get"
        raise BenchError(
            f"no {compression} videos in {folder}: looked for {compression}/videos; found {describe_folder(folder)}. "
            f"{instead} it with the download script's option -c {compression} ({URL})"
        )


def _list_reals(files: VideoFiles, layout: Layout, pairs: Pairs) -> Iterator[Video]:
    for clip, split in {clip: split for pair, split in pairs.items() for clip in pair}.items():
        video = files.locate(f"{layout.reals}/{clip}.mp4")
        yield Video(video, files.home / video, REAL, "real", split, (clip,), layout.compression)


def _list_fakes(files: VideoFiles, layout: Layout, pairs: Pairs, methods: tuple[str, ...]) -> Iterator[Video]:
    for method in methods:
        folder = layout.fakes.format(method=method)
        for name in files.names(folder):
            target, _, donor = get_stem(name).partition("_")
            if split := pairs.get((target, donor)):
                source = files.find(f"{layout.reals}/{target}.mp4")
                people, video = (target, donor), f"{folder}/{name}"
                yield Video(video, files.home / video, FAKE, method, split, people, layout.compression, source)
