"""Write the demo world: video files in the official layouts, rendered from just a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ...benchmark.core.errors import BenchError, make_unknown_error
from ...benchmark.core.readers import read_parquet
from ...benchmark.core.records import Record
from ...benchmark.core.storage import hold_lock, write_atomically, write_json, write_text
from ...benchmark.core.workers import IN_PROCESS, WorkerPool
from .ffpp_layout import plan_ffpp, plan_leak
from .layouts import Layout, plan_celebdf, plan_dfd, plan_dfdc
from .population import LEAK_SIZES, SIZES
from .shots import GroundTruth, Shot, render_shot

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
GENERATOR_VERSION = 5  # raise it whenever the same seed gives different files
MARKER = "crossfake-demo.json"  # written last
STARTED = ".crossfake-demo-started.json"  # written first: what an unfinished world will be
GROUND_TRUTH = "ground_truth.parquet"
WORLDS = ("standard", "leak")


class DemoWorld(Record):
    """What a world is made from and, once written, its numbers of videos by dataset, split and class."""

    schema_version: int = SCHEMA_VERSION
    generator_version: int = 0
    size: str
    seed: int = Field(ge=0)
    world: str = "standard"
    counts: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict)
    complete: bool = False

    @property
    def parameters(self) -> str:
        """A description of what its files depend on."""
        return f"generator_version {self.generator_version}, size {self.size}, seed {self.seed}, world {self.world}"


def render_world(
    out: Path,
    size: str = "default",
    seed: int = 0,
    world: str = "standard",
    pool: WorkerPool = IN_PROCESS,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a world, or its missing files, under `out`, and return `out`.

    `size` is tiny, default, large or fair; `world` is standard or leak, which has no fair. The files depend only on
    these and the seed, to the byte. `progress` is called with the numbers of videos written and to be written. Raises
    BenchError if `out` contains something else.
    """
    _check_arguments(size, seed, world)
    wanted = DemoWorld(generator_version=GENERATOR_VERSION, size=size, seed=seed, world=world)
    if _is_complete(out, wanted):
        return out
    with hold_lock(out):
        if not _is_complete(out, wanted):  # another process may have written it in the meantime
            write_json(out / STARTED, wanted.to_json())
            _write(out, wanted, pool, progress)
    return out


def find_world(root: Path) -> DemoWorld | None:
    """Return the description of the complete demo world that `root` is or is inside; None if there is none.

    A dataset's own folder may be given as the root, so the two folders above are also checked.

    Raises:
        BenchError: the file that marks it is damaged.
    """
    root = Path(root).absolute()
    markers = [folder / MARKER for folder in (root, *root.parents[:2])]
    return next((_read_note(marker) for marker in markers if marker.is_file()), None)


def _read_note(path: Path) -> DemoWorld:
    """Read what a world is or will be.

    Raises:
        BenchError: it isn't such a file.
    """
    how = f"It marks a demo world: render it again with bench data demo DIR, or remove {path.name} if it isn't one"
    found = DemoWorld.read(path, how, most=2**20)
    if found.size not in SIZES or found.world not in WORLDS:
        raise BenchError(f"{path} doesn't say which world this is (size, seed, world). {how}")
    return found


def mend_note(out: Path, size: str, seed: int, world: str) -> None:
    """If a cached world's marker file is damaged, record what to render there again."""
    note = next((path for path in (out / MARKER, out / STARTED) if path.is_file()), None)
    try:
        if note:
            _read_note(note)
    except BenchError:
        wanted = DemoWorld(generator_version=GENERATOR_VERSION, size=size, seed=seed, world=world)
        write_json(out / STARTED, wanted.to_json())
        (out / MARKER).unlink(missing_ok=True)


def read_ground_truth(root: Path) -> pd.DataFrame:
    """Read the ground truth of a world: one row per frame.

    Columns: video (path relative to the root), source (path of the real video behind a fake), dataset, split, label (1
    = fake), method (`real` for real videos), target and donor (people), gender and race (the target's), companion (the
    other person, None for nobody), is_main (whether the target is the nearer one), frame, landmarks (the target's: x
    and y of 81 points, px), and the manipulated box x0, y0, x1, y1 (px, missing in reals). Worlds of generators before
    version 5 have no companion and no is_main.
    """
    return read_parquet(root / GROUND_TRUTH).to_pandas()


def plan_world(size: str, seed: int, world: str) -> Layout:
    """Plan all videos and text files of a world."""
    standard = (plan_ffpp, plan_dfd, plan_celebdf, plan_dfdc)
    layouts = plan_leak(LEAK_SIZES[size], seed) if world == "leak" else [make(SIZES[size], seed) for make in standard]
    texts = {path: text for layout in layouts for path, text in layout.texts.items()}
    return Layout([shot for layout in layouts for shot in layout.shots], texts)


def count_videos(shots: list[Shot]) -> dict[str, dict[str, dict[str, int]]]:
    """Count the videos by dataset, split and class."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for shot in shots:
        here = counts.setdefault(shot.dataset, {}).setdefault(shot.split, {"real": 0, "fake": 0})
        here["real"] += shot.real is not None
        here["fake"] += len(shot.fakes)
    return counts


def _check_arguments(size: str, seed: int, world: str) -> None:
    sizes, what_size = (LEAK_SIZES, "leak-world size") if world == "leak" else (SIZES, "size")
    for name, names, what in ((world, WORLDS, "world"), (size, sizes, what_size)):
        if name not in names:
            raise make_unknown_error(f"unknown demo {what} '{name}'", name, names)
    if seed < 0:
        raise BenchError(f"the demo world's seed is {seed}; give 0 or a positive number")


def _is_complete(out: Path, wanted: DemoWorld) -> bool:
    """Return whether the wanted world already exists; reject a folder with anything else."""
    is_complete = (out / MARKER).is_file()
    note = out / MARKER if is_complete else out / STARTED
    if note.is_file():
        has, needs = _read_note(note).parameters, wanted.parameters
        if has != needs:
            raise BenchError(f"{out} holds a demo world of {has}, not of {needs}: give another folder or delete it")
    elif out.is_dir() and any(out.iterdir()):
        raise BenchError(f"{out} holds files, but no demo world: give a new or empty folder")
    return is_complete


def _write(out: Path, wanted: DemoWorld, pool: WorkerPool, progress: Callable[[int, int], None] | None) -> None:
    layout = plan_world(wanted.size, wanted.seed, wanted.world)
    for path, text in layout.texts.items():
        write_text(out / path, text)
    total, done = sum(len(shot.videos) for shot in layout.shots), 0
    truths: list[list[GroundTruth]] = []
    for shot, known in zip(layout.shots, pool.map(partial(render_shot, out), layout.shots), strict=True):
        truths.append(known)
        done += len(shot.videos)
        if progress:
            progress(done, total)
    with write_atomically(out / GROUND_TRUTH) as temporary:
        _make_truth_table(layout.shots, truths).to_parquet(temporary, index=False)
    told = {"schema_version": SCHEMA_VERSION, "counts": count_videos(layout.shots), "complete": True}
    write_json(out / MARKER, wanted.model_copy(update=told).to_json())


def _make_truth_table(shots: list[Shot], truths: list[list[GroundTruth]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [row for shot, known in zip(shots, truths, strict=True) for row in _make_truth_rows(shot, known)]
    )


def _make_truth_rows(shot: Shot, known: list[GroundTruth]) -> Iterator[dict[str, object]]:
    fakes = {fake.path: fake for fake in shot.fakes}
    for video in known:
        fake, person = fakes.get(video.video), shot.clip.person
        common = {
            "video": video.video,
            "source": shot.real if fake else None,
            "dataset": shot.dataset,
            "split": shot.split,
            "label": int(fake is not None),
            "method": fake.method if fake else "real",
            "target": person.name,
            "donor": fake.donor.person.name if fake else None,
            "gender": person.gender,
            "race": person.race,
            "companion": shot.clip.companion.name if shot.clip.companion else None,
            "is_main": shot.clip.is_main,
        }
        for frame, points in enumerate(video.landmarks):
            x0, y0, x1, y1 = video.boxes[frame] if video.boxes is not None else [None] * 4
            yield common | {"frame": frame, "landmarks": points.ravel(), "x0": x0, "y0": y0, "x1": x1, "y1": y1}
