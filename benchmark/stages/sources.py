"""The data of a request: a root on disk or the demo world, its datasets, their videos and face stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..core import environment
from ..core.errors import BenchError, make_unknown_error, require_existing
from ..core.keys import hash_key, manifest_key, measure_file
from ..core.limits import MOST_SEED
from ..core.parts import Part
from ..core.progress import Reporter
from ..core.registry import datasets
from ..core.settings import FaceSettings
from ..core.storage import cache_home, expand_user, hold_lock
from ..core.types import PrepareResult, Video
from ..core.workers import IN_PROCESS, WorkerPool
from .listing import Listing, limit_videos
from .store_folders import adopt_store, find_store, name_store, require_store

if TYPE_CHECKING:
    from ...datasets.demo.world import DemoWorld
    from ...datasets.faces.face_store import FaceStore

T = TypeVar("T")
Data = Path | str | Mapping[str, Path | str]
"""A data root as for --data, or several: by dataset, and under "" for all others."""
SIZES = ("tiny", "default", "large", "fair")
WORLDS = ("standard", "leak")
OWN_DATA = ("folder", "pictures")  # Datasets named by their location.
NEVER_NAMED = 4  # Rows don't name the generator of their demo world if it was this one or an earlier one.


@dataclass(frozen=True)
class DataRoot:
    """A folder that holds datasets. `demo` holds the demo world's parameters, None for real data."""

    path: Path
    demo: DemoWorld | None

    @property
    def world(self) -> str:
        """The protocol of rows made from this data: `real` or `demo`."""
        return "demo" if self.demo else "real"

    @property
    def has_new_donors(self) -> bool:
        """Whether it is the part of a demo world with new donors."""
        return "new_donors" in self.path.absolute().parts[-2:]

    @property
    def protocol(self) -> str:
        """The world's full name, so that rows of different demo worlds stay separate."""
        if not self.demo:
            return "real"
        d = self.demo
        world = "" if d.world == "standard" else f", {d.world} world"
        donors = ", new donors" if self.has_new_donors else ""
        generator = f", generator {d.generator_version}" if d.generator_version > NEVER_NAMED else ""
        return f"demo {d.size}, seed {d.seed}{world}{donors}{generator}"


def join_protocols(trained: DataRoot, tested: DataRoot) -> str:
    """Describe the origin of training and test data, a demo world first: different origins never share a table."""
    if trained.protocol == tested.protocol:
        return tested.protocol
    if tested.demo:
        return f"{tested.protocol}, trained on {trained.protocol if trained.demo else 'other'} data"
    return f"{trained.protocol}, tested on other data"


@dataclass(frozen=True, eq=False)
class DataSource:
    """One dataset at one compression: its place and its videos, `limit`ed if requested.

    A `mark` such as `4m` says which part of it this is, if it isn't the usual one.
    `excluded` are the ids and paths of videos to leave out. With `faces_only`, video files are never opened.
    """

    name: str
    compression: str
    home: Path
    videos: Sequence[Video]
    root: DataRoot
    limit: int | None
    excluded: frozenset[str] = frozenset()
    faces_only: bool = False
    mark: str = ""

    def __getstate__(self) -> dict[str, object]:
        """What is sent to another process: the keys, which took seconds, but no list of videos."""
        return {name: value for name, value in vars(self).items() if name != "_videos_by_split"}

    @property
    def label(self) -> str:
        """`ff++:c23`, or the bare name where there is one compression; `ff++:c23:4m` with a mark."""
        return ":".join(filter(None, (self.name, self.compression, self.mark)))

    @cached_property
    def home_root(self) -> DataRoot:
        """The root of its videos: differs from the requested one if `folder:/path` leads outside it."""
        from ...datasets.demo.world import find_world

        if self.home.resolve().is_relative_to(self.root.path.resolve()):
            return self.root
        return DataRoot(self.home, find_world(self.home))

    def split(self, name: str) -> list[Video]:
        """Return a split's videos; with `limit`, at most that many real and that many fake ones."""
        chosen = self._videos_by_split.get(name, [])
        return list(chosen) if self.limit is None else limit_videos(chosen, self.limit)

    @cached_property
    def _videos_by_split(self) -> dict[str, list[Video]]:
        found: dict[str, list[Video]] = {}
        for video in self.videos:
            if not self._excludes(video):
                found.setdefault(video.split, []).append(video)
        return found

    def list_excluded(self, *splits: str) -> list[Video]:
        """Return the videos of some splits that are left out."""
        return [v for v in self.videos if v.split in splits and self._excludes(v)] if self.excluded else []

    def _excludes(self, video: Video) -> bool:
        return bool(self.excluded) and (video.id in self.excluded or str(video.path) in self.excluded)

    def key(self, splits: Iterable[str], faces: FaceSettings | None = None) -> str:
        """Hash the splits' videos; missing files count with the sizes recorded in the store of these `faces`."""
        asked = ("videos", hash_key(faces.key_content()) if faces else "", *splits)
        if asked not in self._hashes:
            videos = [self.split(s) for s in asked[2:]]
            masked = [v.id for split in videos for v in split if v.mask]
            recall = self._make_recall(faces) if faces else None
            size = (lambda video: found.size if (found := recall(video)) else 0) if recall else None
            keys = [manifest_key(v, size, self.faces_only) for v in videos]
            self._hashes[asked] = hash_key([self.label, self.limit, keys, *([masked] if masked else [])])
        return self._hashes[asked]

    def _make_recall(self, faces: FaceSettings) -> Callable[[Video], PrepareResult | None]:
        """Return a function that gives a video's outcome in the face store; the store is opened on first use."""
        from ...datasets.faces.face_store import FaceStore

        opened = cache(lambda: FaceStore(self.store_folder(faces)))
        return lambda video: opened().find_outcome(video.id)

    def has_any(self, videos: Sequence[Video], faces: FaceSettings) -> bool:
        """Return whether one of some videos can be used: its file is there, or the store has its faces."""
        if not self.faces_only and any(measure_file(video.path) >= 0 for video in videos):
            return True
        found = map(self._make_recall(faces), videos)  # One recall for all: each opens the store.
        return any(outcome is not None and outcome.status == "ok" for outcome in found)

    @cached_property
    def _hashes(self) -> dict[tuple[str, ...], str]:
        """Hashes so far: a run's cells need the same ones repeatedly, and videos never change."""
        return {}

    def annotations_key(self, split: str) -> str:
        """Hash what predictions contain about a split's videos besides scores: methods, people and groups."""
        asked = ("annotations", split)
        if asked not in self._hashes:
            told = [(v.id, v.method, v.identities, dict(v.groups)) for v in self.split(split)]
            self._hashes[asked] = hash_key(told)
        return self._hashes[asked]

    def lost_key(self, splits: Iterable[str], faces: FaceSettings) -> str:
        """Hash which frames can't be used, as far as faces have been prepared; empty if all can."""
        from ...datasets.faces.lost import read_lost

        lost = read_lost(self.store_folder(faces))
        found = {v.id: lost[v.id] for name in splits for v in self.split(name) if v.id in lost} if lost else {}
        return hash_key(found) if found else ""

    def store_folder(self, faces: FaceSettings) -> Path:
        """Return the folder of this dataset's prepared faces; see `find_store`."""
        named = name_store(self, faces)
        if named not in self._folders:
            self._folders[named] = find_store(self, faces)
        return self._folders[named]

    @cached_property
    def _folders(self) -> dict[Path, Path]:
        return {}

    @cached_property
    def has_masks(self) -> bool:
        """Whether masks show who was forged."""
        return any(v.mask for v in self.videos)

    def prepare(
        self,
        splits: Sequence[str],
        faces: FaceSettings,
        reporter: Reporter,
        pool: WorkerPool = IN_PROCESS,
        part: Part | None = None,
    ) -> FaceStore:
        """Find the faces of some splits' videos unless their store has them; other commands that want them wait.

        With a `part`, only every n-th video's: other parts may be prepared at the same time, also on other machines.
        """
        from ...datasets.faces.prepare import prepare

        videos = [v for name in splits for v in self.split(name)]
        self._folders[name_store(self, faces)] = folder = adopt_store(self, faces)
        reporter.say_detail(f"face store: {folder}")
        if self.faces_only:
            return require_store(folder, self.label)
        locked = folder.with_name(f"{folder.name}.part{part.number}of{part.parts}") if part else folder
        with hold_lock(locked), reporter.task(f"preparing {self.label} {'+'.join(splits)}") as tick:
            return prepare(videos, faces, folder, pool, tick, part)


def demo_folder(size: str, seed: int, world: str) -> Path:
    """Return a demo world's folder in the cache."""
    from ...datasets.demo.world import GENERATOR_VERSION

    return cache_home() / "demo" / f"{world}-{size}-seed{seed}-v{GENERATOR_VERSION}"


def parse_demo(text: str) -> tuple[str, int]:
    """Parse `demo`, `demo:tiny` or `demo:tiny:7` into size and seed."""
    _, _, rest = text.partition(":")
    size, _, seed = rest.partition(":")
    size = size or "default"
    if size not in SIZES:
        raise make_unknown_error(f"no demo world of size '{size}'", size, SIZES, f"Sizes: {', '.join(SIZES)}")
    if seed and (not seed.isdecimal() or len(seed) > 10 or int(seed) > MOST_SEED):
        raise BenchError(
            f"--data {text}: the seed '{seed[:20]}' is not a number below 2^32. Example: --data demo:tiny:7"
        )
    return size, int(seed or 0)


def choose_data(given: Path | str | None) -> str:
    """Return the value of --data, else of BENCH_DATA; empty without either."""
    return str(given or environment.read(environment.DATA))


def require_data(given: Path | str | None) -> None:
    """Reject using a demo world that wasn't requested.

    Raises:
        BenchError: neither --data nor BENCH_DATA is given.
    """
    if not choose_data(given):
        raise BenchError("which data? Give --data ROOT, the folder that holds the datasets, or --data demo")


def find_root(
    given: Path | str | None,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    render: bool = True,
    before_render: Callable[[], object] = lambda: None,
) -> DataRoot:
    """Return the data root of --data or BENCH_DATA; with neither, or `demo`, the demo world, rendered once.

    Raises:
        BenchError: the folder doesn't exist; or from `before_render`, which is called if there is work to do.
    """
    from ...datasets.demo.world import GENERATOR_VERSION, DemoWorld, find_world, mend_note

    chosen = choose_data(given)
    if not chosen or chosen == "demo" or chosen.startswith("demo:"):
        size, seed = parse_demo(chosen)
        why = "neither --data nor BENCH_DATA is given" if not chosen else "as requested"
        reporter.say(f"world: demo ({size}, seed {seed}; {why}): synthetic videos, results say nothing about real ones")
        folder = demo_folder(size, seed, "standard")
        mend_note(folder, size, seed, "standard")
        if render:
            render_demo(folder, size, seed, "standard", reporter, pool, before_render)
        planned = DemoWorld(size=size, seed=seed, generator_version=GENERATOR_VERSION)
        return DataRoot(folder, find_world(folder) or planned)
    path = expand_user(chosen)
    if not path.is_dir():
        raise BenchError(
            f"no folder {path} (from {'--data' if given else environment.DATA}). "
            "Give the folder that holds FaceForensics++, Celeb-DF-v2, DFDC, or --data demo"
        )
    root = DataRoot(path, found := find_world(path))
    reporter.say(f"world: {root.protocol} ({path})")
    if found and found.generator_version != GENERATOR_VERSION:
        made, ours = f"made by generator {found.generator_version}", f"this version has {GENERATOR_VERSION}"
        reporter.say(f"{path} was {made}, and {ours}: it is used as it is, and its rows get separate tables")
    return root


def parse_data(given: Sequence[str]) -> Data | None:
    """Parse one or several --data options: `ROOT`, `celebdf=ROOT`.

    Raises:
        BenchError: two roots for the same dataset, or no such dataset.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        key, place = (_name_dataset(name), path) if equals and not expand_user(text).exists() else ("", text)
        if key in found:
            raise BenchError(f"--data {text}: {key or 'the root'} was already given as {found[key]}. Leave one out")
        found[key] = place
    return found.get("") if found.keys() <= {""} else found


def _name_dataset(name: str) -> str:
    """Return a dataset's registered name, without a compression; a user's class keeps its name, unchecked."""
    head = name.partition(":")[0]
    for spelling in (name, head):
        if spelling and datasets.is_registered(spelling):
            return datasets.find_registered(spelling).name
    return name if ":" in name else datasets.find_registered(name).name


class DataRoots:
    """Finds each dataset's root when needed: the one given for it, its own location, or the root for all others.

    Args:
        given: see `Data`; None: BENCH_DATA, or else the demo world.
        find: finds a root, as `find_root` does.
    """

    def __init__(self, given: Data | None, find: Callable[[Path | str | None], DataRoot]):
        self.given = given if isinstance(given, Mapping) else {"": given} if given else {}
        self.find = cache(find)

    def of(self, name: str) -> DataRoot:
        """Return a dataset's root; that of `folder:/an/absolute/path` is the folder itself.

        Raises:
            BenchError: see `find_root`; or roots were given only for other datasets.
        """
        from ...datasets.demo.world import find_world

        head, _, place = name.partition(":")
        key = _name_dataset(name)
        if key in self.given:
            return self.find(self.given[key])
        if head in OWN_DATA and Path(place).is_absolute():
            home = Path(place) if Path(place).is_dir() else Path(place).parent
            return DataRoot(home, find_world(home))
        if self.given and "" not in self.given and not choose_data(None):
            raise BenchError(f"--data names no root for {name}. Add --data {key}=ROOT, or --data ROOT for all others")
        return self.find(self.given.get(""))


def name_place(name: str) -> str:
    """Return the dataset for a typed name: a folder or table on disk, such as ./videos, is `folder:/.../videos`.

    Raises:
        BenchError: it is a path that doesn't exist.
    """
    path = expand_user(name)
    if not name.startswith((".", "/", "~")) or ".py:" in name:
        return name
    return f"folder:{require_existing(path, 'folder or table').resolve()}"


def render_demo(
    folder: Path,
    size: str,
    seed: int,
    world: str,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    before: Callable[[], object] = lambda: None,
) -> None:
    """Render a demo world unless it is already complete; `before` is called first if there is work to do."""
    from ...datasets.demo.world import find_world, render_world

    if (found := find_world(folder)) and found.complete:
        render_world(folder, size, seed, world)  # Rejects a folder with another world.
        return
    before()
    with reporter.task(f"rendering the demo world into {folder}") as tick:
        render_world(folder, size, seed, world, pool, tick)


def open_source(
    name: str,
    root: DataRoot,
    limit: int | None = None,
    excluded: frozenset[str] = frozenset(),
    faces_only: bool = False,
) -> DataSource:
    """Find a dataset (`ff++`, `celebdf`, `ff++:c40`, ...) under a root and list its videos.

    Raises:
        BenchError: unknown name or compression, or the dataset isn't there.
    """
    from ...datasets.base import load_videos

    entry, compression, home, videos = load_videos(name, root.path)
    listing, mark = Listing(name, root.path, videos), entry.card.get("mark", "")
    return DataSource(entry.name, compression, home, listing, root, limit, excluded, faces_only, mark)
