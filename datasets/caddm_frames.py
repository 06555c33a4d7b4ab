"""Frames and landmarks from CADDM's extractor: whole frames, and `ldm.json` with dlib's 81 points for each.

    <root>/{original_sequences,manipulated_sequences}/<name>/<compression>/frames/<video>/frame_<n>.png
    <root>/ldm.json: {"./<root>/original_sequences/.../frame_0": {"landmark": [[x, y] x 81], "source_path", "label"}}

`root` is one such folder, or contains `train_images/` and `test_images/`. The extractor gave all frames of a video the
landmarks of its last one, unless it took a single frame. So landmarks that are the same in all frames are used only for
the last one, and found again for the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import normalise_id, parse_label, read_json, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, Picture, Video
from .base import DOWNLOAD_AGAIN, check_listed_path, describe_folder, finish_listing, hold_out
from .folder import parse_frame_number
from .walk import name_some

LANDMARKS = "ldm.json"
FOLDERS = {"train_images": "train", "val_images": "val", "test_images": "test"}
TREES = ("original_sequences", "manipulated_sequences")


@datasets.register(
    "caddm-frames",
    takes="landmarks",
    title="CADDM's extracted frames with ldm.json",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://github.com/megvii-research/CADDM",
    license="that of the frames' dataset",
)
class CaddmFrames:
    """`caddm-frames` reads ldm.json in the root, `caddm-frames:FILE` another file, relative to the root or absolute."""

    def __init__(self, landmarks: str = ""):
        self.landmarks = landmarks

    def home(self, root: Path) -> Path:
        """Return `root` if it contains a file with landmarks.

        Raises:
            BenchError: there is none.
        """
        if not self._find_files(root):
            raise BenchError(
                f"no {self.landmarks or LANDMARKS} in {root} or in {', '.join(FOLDERS)} there: "
                f"found {describe_folder(root)}. "
                "If it is elsewhere: bench data import caddm-frames ROOT --landmarks FILE"
            )
        return root

    def _find_files(self, root: Path) -> dict[Path, str]:
        """Return the files with landmarks, and the splits of their entries."""
        places = {root / (self.landmarks or LANDMARKS): FOLDERS.get(root.name, "test")}
        if not self.landmarks:
            places |= {root / folder / LANDMARKS: split for folder, split in FOLDERS.items()}
        return {path: split for path, split in places.items() if path.is_file()}

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos whose frames are in the files, including those missing on disk.

        Raises:
            BenchError: a file isn't in the format of CADDM's extractor; names the entry.
        """
        files = self._find_files(home).items()
        videos = _drop_tested(
            home, [v for file, split in files for v in _list_videos(home, file, split, self.landmarks)]
        )
        if not any(v.split == "val" for v in videos):
            groups = {v.id: PurePosixPath(v.id).name.partition("_")[0] for v in videos if v.split == "train"}
            reals, fakes = ([groups[v.id] for v in videos if v.id in groups and v.label == n] for n in (0, FAKE))
            val = hold_out(reals, fakes, seed="caddm-frames")
            videos = [replace(v, split="val") if groups.get(v.id) in val else v for v in videos]
        return finish_listing(videos, home, published="A-FF++.csv")


def _drop_tested(home: Path, videos: list[Video]) -> list[Video]:
    """Leave out training videos that are also in the test folder: the same path below the tree, in any case."""
    tested = {_make_key(v.id) for v in videos if v.split == "test"}
    held = [v.id for v in videos if v.split != "test" and _make_key(v.id) in tested]
    if held:
        say_once(f"{home}: in the test set, so not trained on: {name_some(held)}")
    return [v for v in videos if v.split == "test" or _make_key(v.id) not in tested]


def _make_key(video: str) -> str:
    return str(_trim_to_tree(video)).casefold()


class LandmarkEntry(NamedTuple):
    """A frame of ldm.json: its path and its original's, from the tree on and without suffix; label; landmarks."""

    path: PurePosixPath
    source: PurePosixPath
    label: int
    landmarks: bytes


def _list_videos(home: Path, file: Path, split: str, given: str) -> Iterator[Video]:
    base = home if given else file.parent
    within = base.relative_to(home)
    by_video: dict[PurePosixPath, list[LandmarkEntry]] = defaultdict(list)
    for key, facts in read_json(file, dict, DOWNLOAD_AGAIN).items():
        entry = _parse_entry(file, key, facts)
        by_video[entry.path.parent].append(entry)
    _check_entries(file, by_video)
    for folder, entries in by_video.items():
        pictures = _make_pictures(base, entries)
        fake, video = entries[0].label == FAKE, str(within / folder)
        source = str(within / entries[0].source.parent) if fake and entries[0].source.parent in by_video else None
        method = folder.parts[1] if fake and len(folder.parts) > 1 else "fake" if fake else "real"
        people = tuple(folder.name.split("_"))
        path = Path(pictures[0].file)
        yield Video(
            video, path, entries[0].label, method, split, people, "", source, {}, pictures, "CADDM frames, ldm.json"
        )


def _make_pictures(base: Path, entries: list[LandmarkEntry]) -> tuple[Picture, ...]:
    numbered = sorted((parse_frame_number(e.path.name) or 0, e) for e in entries)
    if len(entries) > 1 and len({e.landmarks for e in entries}) == 1:
        numbered = [(n, e if e is numbered[-1][1] else e._replace(landmarks=b"")) for n, e in numbered]
    return tuple(Picture(n, f"{base / e.path}.png", "", e.landmarks) for n, e in numbered)


def _parse_entry(file: Path, key: str, facts: Any) -> LandmarkEntry:
    try:
        with np.errstate(over="ignore"):  # Values too large for float32 become infinite: a flaw of that frame.
            landmarks = np.array(facts["landmark"], "<f4")
        source, label = facts["source_path"], parse_label(facts["label"])
    except (KeyError, TypeError, ValueError, OverflowError):
        landmarks, source, label = np.empty(0), None, None
    if landmarks.shape != (81, 2) or label is None or not isinstance(source, str):
        form = '{"landmark": [[x, y] x 81], "source_path", "label"}'
        raise BenchError(f"{file}: the entry {shorten(key)} isn't in CADDM's format: {form}")
    path = check_listed_path(str(_trim_to_tree(key)), f"{file}, the entry {shorten(key)}")
    return LandmarkEntry(PurePosixPath(path), _trim_to_tree(source), label, landmarks.tobytes())


def _check_entries(file: Path, by_video: dict[PurePosixPath, list[LandmarkEntry]]) -> None:
    """Check that a video has one label and no duplicate frame in any spelling."""
    seen: set[str] = set()
    for folder, entries in by_video.items():
        if len({e.label for e in entries}) > 1:
            raise BenchError(f"{file}: {shorten(str(folder))} is real in one entry and fake in another. Fix one")
        for entry in entries:
            if (name := str(entry.path).casefold()) in seen:
                raise BenchError(f"{file}: the frame {shorten(str(entry.path))} is listed twice. Remove one")
            seen.add(name)


def _trim_to_tree(path: str) -> PurePosixPath:
    parts = PurePosixPath(normalise_id(path)).parts
    start = next((i for i, part in enumerate(parts) if part in TREES), 0)
    return PurePosixPath(*parts[start:])
