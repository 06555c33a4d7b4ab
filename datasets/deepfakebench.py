"""DeepfakeBench's preprocessed data: its JSON lists, with 256 px face crops in folders or an LMDB.

    preprocessing/dataset_json/<NAME>.json    also in dataset_json/ or in the root itself
    datasets/rgb/<Dataset>/.../frames/<video>/<NNN>.png, .../landmarks/<video>/<NNN>.npy    also in rgb/ or the root
    datasets/lmdb/<Dataset>_lmdb/    also in lmdb/ or the root

Crops without landmarks may show several people: then `masks/<video>/<NNN>.png`, next to frames/, shows who was forged.

Known errors in the lists are fixed. Celeb-DF's training list includes its test videos, and its validation list is the
test list: so videos in a test list are in no other. DFDC's validation list is a single record and is left out. If no
validation videos remain, about a tenth of the training videos is held out, by a hash of the first part of the name (the
target). Paths may be Windows paths, relative to several folders, or from another machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..benchmark.core.errors import BenchError, make_unknown_error
from ..benchmark.core.readers import read_json, safe_relative_path, shorten
from ..benchmark.core.registry import datasets
from ..benchmark.core.types import FAKE, Picture, Video
from .base import DOWNLOAD_AGAIN, describe_folder, finish_listing, hold_out, share_masks, to_label
from .faces.pictures import read_lmdb_value

URL = "https://github.com/SCLBD/DeepfakeBench"
LISTS = ("preprocessing/dataset_json", "dataset_json", ".")
PICTURES = ("datasets/rgb", "rgb", "datasets", ".")
LMDBS = ("datasets/lmdb", "lmdb", ".")
FOLDERS = r"FaceForensics\+\+|Celeb-DF-v[12]|DFDCP?|DeeperForensics-1\.0|UADFV"
# What may precede the dataset's own folder.
PATH_PREFIX = re.compile(rf"^(?:(?:.*/)?(?:rgb|datasets)/|.*?/(?=(?:{FOLDERS})/)|(?:\./|/)+)")
_FRAME_NAME = re.compile(r"[0-9]{1,15}\.[^.]{1,10}")
# What counts as a list by its name, even if its content isn't one.
LIST_NAME = re.compile(rf"(?:{FOLDERS}|DeepFakeDetection|FF-[A-Z0-9]+)(?:_c\d\d|_raw)?")
MAX_FRAMES_TRIED = 50
COMPRESSIONS = ("raw", "c23", "c40")
METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-SH": "FaceShifter",
    "FF-FH": "FaceShifter",
}
PUBLISHED = {"FaceForensics++": "A-FF++.csv", "Celeb-DF-v2": "A-Celeb-DF.csv"}
# Fakes' names, after the target's real video: FaceForensics++, Celeb-DF, DeepFakeDetection.
FROM_TARGET = (
    (re.compile(r"(\d{3})_(\d{3})"), r"\1"),
    (re.compile(r"(id\d+)_(id\d+)_(\d+)"), r"\1_\3"),
    (re.compile(r"(\d\d)_(\d\d)__(\w+)__\w{8}"), r"\1__\3"),
)

PEOPLE = re.compile(r"(\d{3}|id\d+|\d\d(?=_\d\d__|__))(?:_(\d{3}|id\d+|\d\d(?=__)))?(?:_\d+|__.*)?$")


@datasets.register(
    "deepfakebench",
    aliases=(),
    takes="name",
    title="DeepfakeBench's preprocessed crops and JSON lists",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://github.com/SCLBD/DeepfakeBench",
    license="CC BY-NC 4.0, and that of each dataset",
)
class DeepfakeBench:
    """`deepfakebench:Celeb-DF-v2`, `deepfakebench:FaceForensics++_c40`: named after its lists."""

    def __init__(self, name: str = ""):
        self.name = name

    def home(self, root: Path) -> Path:
        """Return `root` if it contains the list.

        Raises:
            BenchError: it doesn't; names the lists that it has.
        """
        if self._find_list(root) is None:
            known = self.names(root)
            looked = f"looked in it and its {' and '.join(LISTS[:-1])}"
            problem = f"no list {self.name or 'NAME'}.json of DeepfakeBench in {root}: {looked}"
            named = f". Name one: deepfakebench:{known[0]}" if known else ""
            there = (", ".join(known) or f"none ({describe_folder(root)})") + named
            raise make_unknown_error(problem, self.name, known, f"Lists there: {there}")
        return root

    def _find_list(self, root: Path) -> Path | None:
        names = (self.name, _split_name(self.name)[0])
        return next((path for n in names for f in LISTS if (path := root / f / f"{n}.json").is_file()), None)

    def names(self, root: Path) -> list[str]:
        """Return the available lists, except those of single methods if there is one for all of FaceForensics++."""
        found = sorted({path.stem for folder in LISTS for path in (root / folder).glob("*.json") if _is_list(path)})
        return [name for name in found if name not in METHODS or "FaceForensics++" not in found]

    def videos(self, home: Path, compression: str) -> list[Video]:
        """List the videos of the corrected JSON list, each with its pictures.

        Raises:
            BenchError: the list isn't DeepfakeBench's, calls a video both real and fake, or none of its pictures can be
                found.
        """
        file, wanted = self._find_list(home), _split_name(self.name)[1]
        assert file is not None
        content = read_json(file, dict, DOWNLOAD_AGAIN)
        records = {split: list(_parse_records(content, split, wanted, file)) for split in ("test", "val", "train")}
        if not any(records.values()):
            raise BenchError(f"{file} lists no videos, or none in {wanted}")
        by_folder, splits = _merge_splits(records, file)
        picture = _find_picture_maker(home, list(by_folder.values()))
        dataset = next(iter(by_folder)).partition("/")[0]
        videos = list(_make_videos(by_folder, _hold_out_val(splits, by_folder), picture))
        masks = {v.id: mask for v in videos if v.label == FAKE and (mask := _find_mask(v))}
        return finish_listing(share_masks(videos, masks), home, published=PUBLISHED.get(dataset))


class Record(NamedTuple):
    """A video in a list: its label's name, its compression, and its frames' paths from the dataset's folder on.

    `prefix` is what preceded them in the list.
    """

    label: str
    compression: str
    frames: list[str]
    prefix: str

    @property
    def folder(self) -> str:
        """The folder of the frames, unique to this video."""
        return str(PurePosixPath(self.frames[0]).parent)

    @property
    def name(self) -> str:
        """The video's own name."""
        return PurePosixPath(self.folder).name


def _split_name(name: str) -> tuple[str, str]:
    """Split `FaceForensics++_c40` into the list's name and the compression; without one, c23."""
    head, _, tail = name.rpartition("_")
    return (head, tail) if tail in COMPRESSIONS else (name, "c23")


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16).replace(b"\0", b"")  # NULs: UTF-16.
        return bool(LIST_NAME.fullmatch(path.stem)) or b'"frames"' in start
    except OSError:
        return False


def _parse_records(content: Mapping[str, object], split: str, wanted: str, file: Path) -> Iterator[Record]:
    """Yield one split's videos of a list."""
    for name, labels in content.items():
        for label, splits in _need_mapping(labels, name, file).items():
            of_split = _need_mapping(splits, label, file).get(split) or {}
            videos, compression = _need_mapping(of_split, f"{label}, {split}", file), ""
            if videos and not any(isinstance(v, Mapping) and "frames" in v for v in videos.values()):
                videos, compression = _need_mapping(videos.get(wanted) or {}, f"{label}, {wanted}", file), wanted
            for video, facts in videos.items():
                if frames := _need_mapping(facts, f"{label}, {video}", file).get("frames"):
                    yield _parse_record(label, compression, frames, file)


def _need_mapping(content: object, name: str, file: Path) -> Mapping[str, object]:
    if not isinstance(content, Mapping):
        form = '{dataset: {label: {split: {video: {"frames": [...]}}}}}'
        raise BenchError(f"{file}: {shorten(name)} holds {shorten(content)}; expected DeepfakeBench's {form}")
    return content


def _merge_splits(records: Mapping[str, list[Record]], file: Path) -> tuple[dict[str, Record], dict[str, str]]:
    """Return the videos and their splits by folder: test videos are in no other split, whatever their spelling."""
    by_folder: dict[str, Record] = {}
    splits: dict[str, str] = {}
    first: dict[str, Record] = {}
    for split, found in records.items():  # test first
        for record in found:
            known = first.setdefault(record.folder.casefold(), record)
            if _is_real(known.label) != _is_real(record.label):
                both = f"{shorten(known.label)} and {shorten(record.label)}"
                raise BenchError(f"{file}: {shorten(record.folder)} is listed as {both}. Remove one")
            if known is record:
                by_folder[record.folder], splits[record.folder] = record, split
    return by_folder, splits


def _parse_record(label: str, compression: str, paths: object, file: Path) -> Record:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BenchError(f"{file}: frames are {shorten(paths)}; expected a list of paths")
    frames = [PATH_PREFIX.sub("", path.replace("\\", "/")) for path in paths]
    if odd := [frame for frame in frames if not _FRAME_NAME.fullmatch(frame.rpartition("/")[2])]:
        raise BenchError(f"{file}: the frame {shorten(odd[0])} isn't named by its number, as 000.png is")
    prefix = paths[0].replace("\\", "/").removesuffix(frames[0])
    parts = [frame.rpartition("/") for frame in frames]
    folders = {folder: safe_relative_path(folder or ".", str(file)) for folder in {folder for folder, *_ in parts}}
    frames = [f"{folders[folder]}/{name}" for folder, _, name in parts]
    if len(set(frames)) < len(frames):
        twice = next(frame for i, frame in enumerate(frames) if frame in frames[:i])
        raise BenchError(f"{file}: the frame {shorten(twice)} is listed twice. Remove one")
    return Record(label, compression, sorted(frames, key=_parse_frame_number), prefix)


def _get_stem(frame: str) -> str:  # Plain text: pathlib would take seconds for the 160,000 frames of FaceForensics++.
    return frame.rpartition("/")[2].rpartition(".")[0]


def _parse_frame_number(frame: str) -> int:
    return int(_get_stem(frame))


def _find_picture_maker(home: Path, records: list[Record]) -> Callable[[str], Picture]:
    """Return a function from a frame's path to a picture, in the folder or LMDB where the first frames are found."""
    tried = [record.frames[0] for record in records[:: 1 + len(records) // MAX_FRAMES_TRIED]]
    for folder in _list_picture_folders(home, records[0].prefix):
        if any((folder / frame).is_file() for frame in tried):
            return partial(_make_file_picture, str(folder))
    for folder in (home / name for name in LMDBS):
        database = folder / f"{PurePosixPath(tried[0]).parts[0]}_lmdb"
        if (database / "data.mdb").is_file():
            if not any(read_lmdb_value(str(database), frame) for frame in tried):
                raise BenchError(f"{database} has none of the list's first keys, such as {tried[0]}")
            has_landmarks = any(read_lmdb_value(str(database), _make_landmarks_path(frame)) for frame in tried)
            return partial(_make_lmdb_picture, database, has_landmarks)
    raise BenchError(
        f"no pictures in {home}: looked for {tried[0]} in {', '.join(PICTURES)} and for an LMDB in "
        f"{', '.join(LMDBS)}; found {describe_folder(home)}. Name the folder that holds datasets/rgb or datasets/lmdb, "
        "or link it there"
    )


def _list_picture_folders(home: Path, prefix: str) -> list[Path]:
    """Return where pictures may be: the usual folders, and the list's own path prefix if it is in `home`."""
    given, inside = Path(os.path.normpath(home.absolute() / prefix)), home.absolute()
    return [*(home / name for name in PICTURES), *([given] if given.is_relative_to(inside) else [])]


def _make_file_picture(folder: str, frame: str) -> Picture:
    points = f"{folder}/{_make_landmarks_path(frame)}"
    parent, _, name = points.rpartition("/")
    return Picture(_parse_frame_number(frame), f"{folder}/{frame}", "", points if name in _list_folder(parent) else "")


def _make_lmdb_picture(database: Path, has_landmarks: bool, frame: str) -> Picture:
    return Picture(
        _parse_frame_number(frame), str(database), frame, _make_landmarks_path(frame) if has_landmarks else ""
    )


@cache
def _list_folder(folder: str) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()


def _make_landmarks_path(frame: str) -> str:
    return frame.replace("/frames/", "/landmarks/").rpartition(".")[0] + ".npy"


def _hold_out_val(splits: dict[str, str], records: dict[str, Record]) -> dict[str, str]:
    """Hold out a tenth of the training targets if the corrected list has no validation videos."""
    if "val" in splits.values():
        return splits
    train = {folder: records[folder].name.partition("_")[0] for folder, split in splits.items() if split == "train"}
    reals, fakes = (
        [group for f, group in train.items() if _is_real(records[f].label) == real] for real in (True, False)
    )
    val = hold_out(reals, fakes, seed="deepfakebench")
    return splits | {folder: "val" for folder, group in train.items() if group in val}


def _is_real(label: str) -> bool:
    return "real" in label.lower()


def _make_videos(
    records: dict[str, Record], splits: dict[str, str], picture: Callable[[str], Picture]
) -> Iterator[Video]:
    reals = {record.name: folder for folder, record in records.items() if _is_real(record.label)}
    for folder, record in records.items():
        pictures = tuple(map(picture, record.frames))
        file = Path(pictures[0].file)
        fake = not _is_real(record.label)
        target = next((m.expand(form) for named, form in FROM_TARGET if (m := named.fullmatch(record.name))), "")
        yield Video(
            folder,
            file / "data.mdb" if pictures[0].key else file,
            to_label(fake),
            METHODS.get(record.label, record.label) if fake else "real",
            splits[folder],
            _parse_people(record.name),
            record.compression,
            reals.get(target) if fake else None,
            pictures=pictures,
            origin=f"DeepfakeBench {'LMDB' if pictures[0].key else 'crops'}",
        )


def _find_mask(video: Video) -> Path | None:
    """Return the folder of a video's masks, unless the faces in its pictures are already known."""
    first = video.pictures[0]
    folder = Path(first.file.replace("/frames/", "/masks/")).parent
    known = first.key or all(picture.landmarks for picture in video.pictures)
    return folder if not known and folder != video.path.parent and folder.is_dir() else None


def _parse_people(name: str) -> tuple[str, ...]:
    """Return the people shown, target first, if the name gives them."""
    match = PEOPLE.match(name)
    return tuple(filter(None, match.groups())) if match else ()
