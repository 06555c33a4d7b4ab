"""Compares a dataset on disk with what its publishers say it should contain: `bench data check`."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from ..benchmark.core.contracts import Dataset, KnowsRelease
from ..benchmark.core.errors import BenchError
from ..benchmark.core.progress import Reporter
from ..benchmark.core.readers import read_parquet
from ..benchmark.core.registry import Entry
from ..benchmark.core.types import FAKE, SPLITS, Release, Video
from ..benchmark.core.workers import IN_PROCESS, WorkerPool
from .base import describe_folder, make_adapter, parse_name
from .demo.world import GROUND_TRUTH, MARKER
from .faces.sampling import VideoFile
from .spelling import VIDEO_SUFFIXES, get_stem, make_stem_key
from .walk import Skipped, name_some, walk_folders

COMPLETE, INCOMPLETE, NOTHING = "complete", "incomplete", "nothing"
EXIT = {COMPLETE: 0, INCOMPLETE: 1, NOTHING: 2}
# The naming schemes of each dataset's videos, to guess where a foreign one belongs.
NAME_PATTERNS = {
    "FaceForensics++": r"\d{3}(_\d{3})?",
    "DeepFakeDetection": r"\d\d(_\d\d)?__\w+",
    "Celeb-DF": r"id\d+(_id\d+)?_\d{4}",
    "Celeb-DF's YouTube-real": r"\d{5}",
    "DFDC": r"[a-z]{10}",
    "the DFDC preview": r"\d{4,}_[A-Z](_\d+)?",
}
Tick = Callable[[int, int], None]


@dataclass
class Count:
    """Videos of one compression, split and kind (`real`, `fake` or a method): found, and official if known."""

    compression: str
    split: str
    kind: str
    found: int
    official: int | None


@dataclass
class Report:
    """The result of a check. `missing` and `foreign` files and the rest are paths within `home`.

    `faults` are lines on problems that would make a score wrong, `causes` on other irregularities.
    """

    dataset: str
    root: str
    home: str = ""
    status: str = COMPLETE
    looked_for: list[str] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    duplicates: list[list[str]] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)

    def set_status(self) -> Report:
        """Set the status according to the findings."""
        short = any(c.official is not None and c.found < c.official for c in self.counts)
        if self.status == COMPLETE and not any(c.found for c in self.counts):
            self.status = NOTHING
        elif short or self.missing or self.unreadable or self.faults:
            self.status = INCOMPLETE
        return self


def check(
    name: str,
    root: Path,
    splits: Collection[str],
    deep: bool = False,
    pool: WorkerPool = IN_PROCESS,
    tick: Tick = lambda d, t: None,
) -> Report:
    """Check a dataset: `ff++:c23`, or `ff++` for all compressions on disk.

    `deep` also decodes every video, in the pool's processes. Problems with the data are in the report.

    Raises:
        BenchError: the name or its compression is unknown.
    """
    entry, compression = parse_name(name)
    adapter = make_adapter(entry)
    report = Report(name, str(root))
    try:
        home = adapter.home(root)
    except BenchError as error:
        report.status, report.causes = NOTHING, [str(error)]
        return report
    report.home = str(home)
    asked = ":" in name or not compression
    others = [] if asked else [c for c in entry.card["compressions"] if c != compression]
    found = _compare(entry, adapter, home, [compression, *others], splits, report)
    report.unreadable |= dict(_find_unreadable_files(found, deep, pool, tick))
    same = [videos for videos in _find_duplicates(found, deep) if videos[0].id not in report.unreadable]
    report.duplicates = [[v.id for v in videos] for videos in same]
    report.faults += _describe_leaks(same)
    return report.set_status()


def check_all(
    names: Iterable[str], root: Path, splits: Collection[str], deep: bool, pool: WorkerPool, reporter: Reporter
) -> list[Report]:
    """Check several datasets; see `check`."""
    reports = []
    for name in names:
        if deep:
            with reporter.task(f"decoding {name}") as tick:
                reports.append(check(name, root, splits, True, pool, tick))
        else:
            reports.append(check(name, root, splits))
    return reports


def _compare(
    entry: Entry, adapter: Dataset, home: Path, compressions: Sequence[str], splits: Collection[str], report: Report
) -> list[Video]:
    """Add each compression's content to the report; a missing compression counts only if there is no other."""
    found: list[Video] = []
    errors = []
    for compression in compressions:
        try:
            videos = list(adapter.videos(home, compression))
            release = _get_release(entry, adapter, home, compression)
        except BenchError as error:
            errors.append(str(error))
            continue
        found += _compare_lists(home, compression, videos, release, splits, report)
    if len(errors) == len(compressions):
        report.status, report.causes = INCOMPLETE, errors[:1]
    return found


def _get_release(entry: Entry, adapter: Dataset, home: Path, compression: str) -> Release:
    """Return the expected content: in the demo world what was rendered, else what the adapter knows, if anything."""
    for root in (home, *home.parents[:2]):
        if (root / MARKER).is_file():
            rendered = _list_rendered(entry.name, root, home)
            if entry.card.get("mark") and isinstance(adapter, KnowsRelease):  # A part of it, in its own folders.
                part = adapter.release(home, compression).folders
                rendered = {v: what for v, what in rendered.items() if str(PurePosixPath(v).parent) in part}
            folders = sorted({str(PurePosixPath(video).parent) for video in rendered})
            return Release(dict(Counter(rendered.values())), folders, {v: split for v, (split, _) in rendered.items()})
    return adapter.release(home, compression) if isinstance(adapter, KnowsRelease) else Release({}, [])


def _list_rendered(name: str, root: Path, home: Path) -> dict[str, tuple[str, str]]:
    """Return the split and the kind of a rendered dataset's videos, by id."""
    within = "" if home == root else f"{home.relative_to(root).as_posix()}/"
    rows = read_parquet(root / GROUND_TRUTH, columns=["video", "dataset", "split", "label"])
    return {
        row["video"].removeprefix(within): (row["split"], "fake" if row["label"] == FAKE else "real")
        for row in rows.group_by(rows.column_names).aggregate([]).to_pylist()
        if row["video"].startswith(within) and row["dataset"].partition("-")[0] == name.replace("+", "p")
    }


def _compare_lists(
    home: Path, compression: str, videos: list[Video], release: Release, splits: Collection[str], report: Report
) -> list[Video]:
    official = {split for split, _ in release.counts} or set(SPLITS)
    # If there is no official validation split, ours is part of the training set.
    split_of = {v.id: v.split if v.split in official else "train" for v in videos}
    listed = {**release.listed, **split_of}
    chosen = [v for v in videos if split_of[v.id] in splits]
    found = [v for v in chosen if v.path.is_file()]
    there, skipped = {v.id for v in found} | set(release.unnamed), Skipped()
    known = {make_stem_key(video) for video in split_of}  # The adapter's own use the spelling on disk.
    report.looked_for += release.folders
    report.missing += sorted(
        video
        for video, split in listed.items()
        if split in splits and video not in there and (video in split_of or make_stem_key(video) not in known)
    )
    report.unreadable |= dict.fromkeys(release.unnamed, "its name isn't UTF-8: rename it")
    report.foreign |= dict(_find_foreign_files(home, release.folders, listed, skipped))
    report.causes += [*release.causes, *_find_absent_folders(home, release.folders), *skipped.describe()]
    report.faults += [*release.faults, *([] if release.counts else _find_lone_classes(found))]
    rows = [(split_of[v.id], v) for v in found]
    for split, kind in release.counts or sorted({(split, v.method) for split, v in rows}):
        if split in splits:
            here = sum(s == split and _is_of_kind(v, kind) for s, v in rows)
            report.counts.append(Count(compression, split, kind, here, release.counts.get((split, kind))))
    return found


def _find_absent_folders(home: Path, folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        if not (home / folder).is_dir():
            above = next(path for path in (home / folder).parents if path.is_dir())
            yield f"no folder {folder}: videos are looked for there; found {describe_folder(above)} in {above}"


def _is_of_kind(video: Video, kind: str) -> bool:
    return video.method == kind or (kind == "fake" and video.label == FAKE)


def _find_foreign_files(
    home: Path, folders: Iterable[str], listed: Collection[str], skipped: Skipped
) -> Iterator[tuple[str, str]]:
    """Yield video files in the dataset's folders that aren't part of it, and what they may be."""
    by_key = {make_stem_key(video): video for video in listed}
    for folder in (f for f in folders if (home / f).is_dir()):
        for inside, names in walk_folders(home / folder, skipped, VIDEO_SUFFIXES):
            for video in (f"{folder}/{inside}/{name}".replace("//", "/") for name in names):
                if video not in listed and (same := by_key.get(make_stem_key(video))) != video:
                    yield video, f"by its name the same video as {same}" if same else _guess_dataset(video)


def _guess_dataset(video: str) -> str:
    stem = get_stem(video)
    dataset = next((title for title, form in NAME_PATTERNS.items() if re.fullmatch(form, stem)), None)
    return "not in any list" + (f"; named like videos of {dataset}" if dataset else "")


def _find_lone_classes(videos: Sequence[Video]) -> Iterator[str]:
    """Yield a line for each split whose videos are all real or all fake."""
    labels: dict[str, set[int]] = defaultdict(set)
    for video in videos:
        labels[video.split].add(video.label)
    for split in (s for s in SPLITS if len(labels[s]) == 1):
        only, other = ("fake", "real") if FAKE in labels[split] else ("real", "fake")
        yield f"all videos of {split} are {only}: there must also be {other} ones"


def _describe_leaks(groups: Iterable[Sequence[Video]]) -> Iterator[str]:
    """Return a line for content that is in the test set and in another split, or labelled real and fake."""
    leaks: dict[str, list[str]] = defaultdict(list)
    for videos in groups:
        same = " = ".join(v.id for v in videos)
        if len({v.split == "test" for v in videos}) > 1:
            leaks["the same file is in the test set and elsewhere"].append(same)
        if len({v.label for v in videos}) > 1:
            leaks["the same file is labelled both real and fake"].append(same)
    return (f"{what}: {name_some(same)}" for what, same in leaks.items())


def _find_unreadable_files(
    videos: Sequence[Video], deep: bool, pool: WorkerPool, tick: Tick
) -> Iterator[tuple[str, str]]:
    for video in videos:
        if not video.path.stat().st_size:
            yield video.id, "the file is empty"
    whole = [v for v in videos if deep and not v.pictures and v.path.stat().st_size]
    for done, (video, trouble) in enumerate(zip(whole, pool.map(_try_decoding, [v.path for v in whole]), strict=True)):
        tick(done + 1, len(whole))
        if trouble:
            yield video.id, trouble


def _try_decoding(path: Path) -> str:
    """Decode a whole video; return its problem in a few words, or an empty string."""
    clip = VideoFile(path)
    for _ in clip.frames([]):
        pass
    return clip.describe_problem() or ("" if clip.total else "there is no picture in it")


def _find_duplicates(videos: Sequence[Video], deep: bool) -> list[list[Video]]:
    """Return groups of videos whose files are byte-identical; only files of equal size are read.

    Pictures that are frames of videos are compared if `deep`.
    """
    by_size: dict[int, list[tuple[Video, Path]]] = defaultdict(list)
    by_content: dict[bytes, dict[str, Video]] = defaultdict(dict)
    for video in videos:
        pictures = [Path(p.file) for p in video.pictures if deep and not p.key]
        for path in pictures if video.pictures else [video.path]:
            if path.is_file():
                by_size[path.stat().st_size].append((video, path))
    for same in by_size.values():
        for video, path in same if len(same) > 1 else ():
            with path.open("rb") as file:
                by_content[hashlib.file_digest(file, "sha256").digest()][video.id] = video
    return [list(same.values()) for same in by_content.values() if len(same) > 1]
