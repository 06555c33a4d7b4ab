"""Data from Python: what there is, what is missing, faces. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .running import count_workers, list_names, list_overrides, make_reporter

if TYPE_CHECKING:
    from .benchmark.core.contracts import FaceReader
    from .benchmark.core.progress import Reporter
    from .benchmark.core.registry import Entry
    from .datasets.integrity import Report
    from .running import Settings

SPLITS = ("train", "val", "test")


def list_datasets() -> list[Entry]:
    """Return the datasets there are, each with its name, aliases and card; nothing is imported."""
    from .benchmark.core.registry import datasets

    return datasets.entries()


def check_data(
    datasets: str | Sequence[str],
    *,
    data: Path | str | None = None,
    splits: str | Sequence[str] = SPLITS,
    deep: bool = False,
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> list[Report]:
    """Compare what is on disk with what was published; return a report for each dataset.

    Args:
        datasets: `ff++`, `ff++:c23`, ...
        data: the folder that holds them; see `run`.
        splits: which splits.
        deep: decode every video, too.
        workers: processes for that; by default the cores.
        progress: see `run`.

    Raises:
        BenchError: a name is unknown, or there is no such folder.
    """
    from .benchmark.stages.sources import find_root
    from .datasets.integrity import check

    names, chosen = _check_names(datasets), _check_splits(splits)
    reporter, count = make_reporter(progress), count_workers(workers)
    root = find_root(None if data is None else str(data), reporter, count)
    reports = []
    for name in names:
        if deep:
            with reporter.task(f"decoding {name}") as tick:
                reports.append(check(name, root.path, chosen, True, count, tick))
        else:
            reports.append(check(name, root.path, chosen))
    return reports


def prepare(
    datasets: str | Sequence[str],
    *,
    data: Path | str | None = None,
    splits: str | Sequence[str] = SPLITS,
    detector: str = "caddm",
    config: Path | str | None = None,
    settings: Settings = (),
    limit: int | None = None,
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> dict[str, FaceReader]:
    """Find the faces of datasets and store them, unless that was done; return the stores by dataset.

    Args:
        datasets: `ff++`, `ff++:c23`, ...
        data: the folder that holds them; see `run`.
        splits: which splits.
        detector: whose face settings to use.
        config: a recipe laid over its own.
        settings: single settings, such as `{"faces.frames": 8}`.
        limit: at most so many real and fake videos of each split.
        workers: processes; by default the cores.
        progress: see `run`.

    Raises:
        BenchError: a name or setting is wrong, or the data isn't there.
    """
    from .benchmark.core.registry import detectors
    from .benchmark.stages.detectors import load_resolved_settings
    from .benchmark.stages.sources import find_root, open_source

    names, chosen = _check_names(datasets), _check_splits(splits)
    name = detectors.find(detector).name
    reporter, count = make_reporter(progress), count_workers(workers)
    root = find_root(None if data is None else str(data), reporter, count)
    recipe = load_resolved_settings(
        name,
        demo=root.demo is not None,
        config=Path(config) if config else None,
        overrides=list_overrides(settings),
    )
    sources = [open_source(name, root, limit) for name in names]
    return {source.label: source.prepare(chosen, recipe.faces, reporter, count) for source in sources}


def load_faces(
    dataset: str,
    *,
    data: Path | str | None = None,
    splits: str | Sequence[str] = SPLITS,
    detector: str = "caddm",
    settings: Settings = (),
    limit: int | None = None,
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> FaceReader:
    """Return the faces of one dataset, prepared now unless they were: `faces.faces(video_id)`; see `prepare`.

    Raises:
        BenchError: a name or setting is wrong, or the data isn't there.
    """
    found = prepare(
        dataset,
        data=data,
        splits=splits,
        detector=detector,
        settings=settings,
        limit=limit,
        workers=workers,
        progress=progress,
    )
    return next(iter(found.values()))


def render_demo(
    out: Path | str | None = None,
    *,
    size: str = "default",
    seed: int = 0,
    world: str = "standard",
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> Path:
    """Render the synthetic demo world in the official layouts, unless it is there; return its folder.

    Args:
        out: where to; by default the cache, where runs look for it.
        size: `tiny`, `default` or `large`.
        seed: another seed, another world.
        world: `standard`, or `leak`: fakes from three donors.
        workers: processes; by default the cores.
        progress: see `run`.

    Raises:
        BenchError: no such size or world, or the folder holds another world.
    """
    from .benchmark.core.errors import require_known
    from .benchmark.stages.sources import SIZES, WORLDS, demo_folder
    from .benchmark.stages.sources import render_demo as render

    require_known("size", size, SIZES)
    require_known("world", world, WORLDS)
    folder = Path(out) if out else demo_folder(size, seed, world)
    render(folder, size, seed, world, make_reporter(progress), count_workers(workers))
    return folder


def _check_names(datasets: str | Sequence[str]) -> tuple[str, ...]:
    """Return the datasets named, all of them known."""
    from .benchmark.core.errors import BenchError
    from .datasets.base import parse_name

    names = list_names(datasets)
    if not names:
        raise BenchError("no dataset named. See: bench list datasets")
    for name in names:
        parse_name(name)
    return names


def _check_splits(splits: str | Sequence[str]) -> tuple[str, ...]:
    from .benchmark.core.errors import require_known
    from .benchmark.core.types import SPLITS as KNOWN

    found = list_names(splits)
    for name in found:
        require_known("split", name, KNOWN)
    return found
