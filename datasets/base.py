"""What the adapters share: finding a dataset's folder, its files and splits, and loading it by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..benchmark.core.collector import pause_collector
from ..benchmark.core.contracts import Dataset, make_contract_error
from ..benchmark.core.display import say_once
from ..benchmark.core.errors import BenchError, make_unknown_error
from ..benchmark.core.readers import parse_json, read_text, safe_relative_path, shorten
from ..benchmark.core.registry import Entry, datasets
from ..benchmark.core.types import FAKE, REAL, Video
from .demographics.tables import add_groups
from .spelling import VIDEO_SUFFIXES, make_stem_key
from .walk import list_files, name_in_utf8, name_some

DOWNLOAD_AGAIN = "Download it again"
HELD_OUT_SHARE = 0.1


class LoadedDataset(NamedTuple):
    """A requested dataset: its plugin, compression (empty if it has none), folder and videos."""

    entry: Entry
    compression: str
    home: Path
    videos: Sequence[Video]

    @property
    def name(self) -> str:
        """The dataset's name with its compression: `ff++:c23`, `dfdc`; see `label_dataset`."""
        return label_dataset(self.entry, self.compression)


@pause_collector()
def load_videos(name: str, root: Path) -> LoadedDataset:
    """List a dataset's videos: `ff++`, `ff++:c40`, `folder:pictures`, `my.py:MyDataset`; `root` holds its files.

    Raises:
        BenchError: the name or its compression is unknown, or the files aren't there.
    """
    entry, compression = parse_name(name)
    adapter = make_adapter(entry)
    home = adapter.home(Path(root))
    return LoadedDataset(entry, compression, home, adapter.videos(home, compression))


def make_adapter(entry: Entry) -> Dataset:
    """Make the adapter for a dataset's entry, with the options in its name (`folder:pictures`).

    Raises:
        BenchError: it lacks the method `home` or `videos`.
    """
    made = entry.load()(**entry.card.get("options", {}))
    if not isinstance(made, Dataset):
        raise make_contract_error(made, Dataset, entry.target, "every dataset")
    return made


def label_dataset(entry: Entry, compression: str) -> str:
    """Return a dataset's name in rows: `ff++:c23`, `dfdc`, or `ff++:c23:4m` for a part other than the usual one."""
    return ":".join(filter(None, (entry.name, compression, entry.card.get("mark", ""))))


def strip_part(label: str) -> str:
    """Return the name in rows of the whole dataset: `ff++:c23` for `ff++:c23:4m`."""
    name, _, mark = label.rpartition(":")
    marks = {mark for entry in datasets.entries() for mark in entry.card.get("parts", {}).values()}
    return name if name and mark in marks - {""} else label


def parse_name(name: str) -> tuple[Entry, str]:
    """Split `ff++:c40` into the plugin and its compression, by default its usual one.

    `ff++:c40:methods=4`, written `ff++:c40:4m` in rows, sets an option listed in the card's `parts`; the plugin's card
    then has it under `options`, and its mark under `mark`.

    Raises:
        BenchError: the dataset, compression or option is unknown; suggests the closest one.
    """
    head, *parts = name.split(":")
    known = {
        spelling.casefold() for e in datasets.entries() if "takes" not in e.card for spelling in (e.name, *e.aliases)
    }
    if head.casefold() not in known:
        entry = datasets.find(name)
        return entry, entry.card.get("default_compression", "")
    entry = datasets.find(head)
    marks = {mark: chosen for chosen, mark in entry.card.get("parts", {}).items() if mark}
    chosen = [marks.get(part, part) for part in parts if part in marks or "=" in part]
    others = [part for part in parts if part not in marks and "=" not in part]
    for compression in others:
        _check_compression(entry, compression, marks)
    parted = [_choose_part(entry, part) for part in chosen]
    for what, given in (("compressions", others), ("numbers of methods", chosen)):
        if len(given) > 1:
            raise BenchError(f"{name} names two {what}. Leave one out")
    return [entry, *parted][-1], [entry.card.get("default_compression", ""), *others][-1]


def _check_compression(entry: Entry, compression: str, marks: Iterable[str]) -> None:
    choices = entry.card.get("compressions", ())
    if compression not in choices:
        have = f"It has {', '.join(choices)}" if choices else f"It comes in one quality: write '{entry.name}'"
        problem = f"{entry.name} has no compression '{compression}'"
        raise make_unknown_error(problem, compression, [*choices, *marks], have)


def _choose_part(entry: Entry, chosen: str) -> Entry:
    """Return a plugin that reads part of its dataset: `methods=4`."""
    parts: Mapping[str, str] = entry.card.get("parts", {})
    option, _, value = chosen.partition("=")
    have = f"It has {', '.join(parts)}" if parts else "Leave it out"
    if option not in (names := {part.partition("=")[0] for part in parts}):
        raise make_unknown_error(f"{entry.name} has no option '{option}'", option, names, have)
    if chosen not in parts:
        raise make_unknown_error(f"{entry.name} has no {chosen}", chosen, parts, have)
    if not parts[chosen]:
        return entry
    return replace(entry, card={**entry.card, "options": {option: int(value)}, "mark": parts[chosen]})


def find_home(root: Path, title: str, names: Sequence[str], markers: Sequence[str], url: str) -> Path:
    """Return the first of `root` and `root/<name>` that contains one of the `markers` (paths or globs inside it).

    Raises:
        BenchError: none does. The message says what was searched for, what is there, and where to get it.
    """
    for folder in (root, *(root / name for name in names)):
        if _has_marker(folder, markers):
            return folder
    looked = f"looked for {' or '.join(markers)} in it and in {', '.join(f'{n}/' for n in names)}"
    near = next((folder for folder in _list_nearby_folders(root) if _has_marker(folder, markers)), None)
    advice = f"It is in {near}: use --data {near}" if near else f"Get it: {url}"
    raise BenchError(f"no {title} in {root}: {looked}; found {describe_folder(root)}. {advice}")


def _has_marker(folder: Path, markers: Sequence[str]) -> bool:
    return any(next(folder.glob(marker), None) for marker in markers)


def _list_nearby_folders(root: Path) -> Iterator[Path]:
    """Yield folders that the user may have meant: up to four levels above and two below."""
    yield from root.absolute().parents[:4]
    for pattern in ("*/", "*/*/"):
        yield from sorted(path for path in root.glob(pattern) if path.is_dir())


def describe_folder(folder: Path, most: int = 5) -> str:
    """Describe a folder's content, for error messages."""
    if not folder.is_dir():
        return "no such folder"
    names = sorted(map(name_in_utf8, os.listdir(folder)))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def need_file(candidates: Sequence[Path], what: str, how: str) -> Path:
    """Return the first of `candidates` that is a file.

    Raises:
        BenchError: none is; `what` describes the file, `how` says where to get it.
    """
    for path in candidates:
        if path.is_file():
            return path
    places = " or ".join(str(p) for p in candidates)
    raise BenchError(f"no {candidates[0].name}, {what}: expected at {places}. {how}")


def read_json(path: Path) -> Any:
    """Read a JSON file that came with a dataset, a list or an object.

    Raises:
        BenchError: it isn't JSON (for example after an interrupted download), or is only a number or string.
    """
    text = read_text(path)
    return parse_json(text, list if text.lstrip().startswith("[") else dict, str(path), DOWNLOAD_AGAIN)


def list_video_files(folder: Path) -> list[str]:
    """Return the sorted names of the video files in a folder; empty if it doesn't exist."""
    return list_files(folder, VIDEO_SUFFIXES)


def check_listed_path(path: object, where: str) -> str:
    """Check a path from a list, and return it in its normal spelling.

    Args:
        path: the entry in the list.
        where: the place to name in errors, such as "dataset.json" or "labels.csv, row 3".

    Raises:
        BenchError: it isn't text, is empty, leads out of the dataset's folder, or is too long for a file name.
    """
    if not isinstance(path, str):
        raise BenchError(f"{where}: expected the path of a video, found {shorten(path)}")
    return safe_relative_path(path, where)


class ListedOnce:
    """Rejects a video that is listed twice, even in another spelling."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, str]] = {}

    def add(self, video: str, place: str, file: Path) -> None:
        """Note that `video` is listed at `place` ("row 3", or any key) of `file`.

        Raises:
            BenchError: it was listed before.
        """
        first = self._places.setdefault(make_stem_key(video), (place, video))
        if first != (place, video):
            where = shorten(first[0]) if first[1] == video else f"{shorten(first[0])} as {first[1]}"
            raise BenchError(f"{file}, {shorten(place)}: {video} is listed twice (also in {where}). Remove one")


class _Folder(NamedTuple):
    """The videos of a folder: all names, and the names per stem, the one to read first."""

    names: frozenset[str]
    by_stem: dict[str, list[str]]


class VideoFiles:
    """The video files of a dataset, found by folder and stem, whatever their suffix and case."""

    def __init__(self, home: Path):
        self.home = home
        self._folders: dict[str, _Folder] = {}

    def names(self, folder: str) -> list[str]:
        """Return the names of the videos in a folder, one per stem."""
        return sorted(names[0] for names in self._index(folder).by_stem.values())

    def find(self, video: str) -> str | None:
        """Return a listed video's path as spelled on disk; None if it is missing."""
        folder, _, name = video.rpartition("/")
        index = self._index(folder)
        if name in index.names:
            return video
        names = index.by_stem.get(make_stem_key(name), [])
        return f"{folder}/{names[0]}" if names else None

    def locate(self, video: str) -> str:
        """Return a listed video's path as spelled on disk, or as in the list if it is missing."""
        return self.find(video) or video

    def _index(self, folder: str) -> _Folder:
        if folder not in self._folders:
            names, index = list_video_files(self.home / folder), dict[str, list[str]]()
            for name in sorted(names, key=lambda n: (not n.endswith(".mp4"), n)):
                index.setdefault(make_stem_key(name), []).append(name)
            self._folders[folder] = _Folder(frozenset(names), index)
            self._say_doubles(folder, [names for names in index.values() if len(names) > 1])
        return self._folders[folder]

    def _say_doubles(self, folder: str, doubles: list[list[str]]) -> None:
        if doubles:
            named = name_some([" = ".join(names) for names in doubles])
            say_once(f"{self.home / folder}: files of the same name count as one video; the first is read: {named}")


def add_masks(videos: Iterable[Video], files: VideoFiles) -> list[Video]:
    """Name the masks of FaceForensics++'s tree: `<method>/masks/videos/<name>` beside `<method>/<compression>/videos`.

    A real video, and a fake without a mask of its own, gets the mask of the original's first fake that has one, so that
    both show the same person: the choice of face must not depend on the label.
    """
    videos = list(videos)
    return share_masks(videos, {v.id: mask for v in videos if v.label == FAKE and (mask := _find_mask(v.id, files))})


def share_masks(videos: Iterable[Video], masks: Mapping[str, Path]) -> list[Video]:
    """Give fakes their `masks`, by id, and other videos the mask of the first fake of the same original."""
    videos = sorted(videos, key=lambda v: v.id)
    shared: dict[str, Path] = {}
    for video in videos:
        if video.original and video.id in masks:
            shared.setdefault(video.original, masks[video.id])
    return [replace(v, mask=masks.get(v.id) or shared.get(v.original or v.id)) for v in videos]


def _find_mask(video: str, files: VideoFiles) -> Path | None:
    method, _, name = video.rpartition("/videos/")
    mask = files.find(f"{method.rpartition('/')[0]}/masks/videos/{name}") if name else None
    return files.home / mask if mask else None


def finish_listing(
    videos: Iterable[Video], home: Path, table: str = "demographics.csv", published: str | None = None
) -> list[Video]:
    """Sort by id, and add demographics if `home` has a table of them, ours or a `published` one."""
    return add_groups(sorted(videos, key=lambda v: v.id), home / table, home / published if published else None)


def hold_out(real: Iterable[str], fake: Iterable[str], seed: str) -> set[str]:
    """Choose about a tenth of a training set's people (or originals) for selecting checkpoints.

    `real` and `fake` are the groups of the real and fake videos. Whether a group is held out depends only on a hash of
    its name, so a missing file moves no other group. If chance picks no group with both real and fake videos, the next
    such group is taken.
    """
    reals, fakes = set(real), set(fake)
    chosen = {g for g in reals | fakes if _hash_to_unit(seed, g) < HELD_OUT_SHARE}
    both = reals & fakes
    if len(both) > 1 and not chosen & both:
        chosen.add(min(both, key=lambda g: _hash_to_unit(seed, g)))
    return chosen


def _hash_to_unit(seed: str, name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6]) / 2**48


def to_label(fake: bool) -> int:
    """Return the label: 1 for fake, 0 for real."""
    return FAKE if fake else REAL
