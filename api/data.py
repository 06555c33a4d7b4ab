"""Data from Python: datasets, what is missing from them, faces. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .running import list_names, list_overrides, make_pool, make_reporter

if TYPE_CHECKING:
    from .benchmark.core.contracts import FaceReader
    from .benchmark.core.progress import Reporter
    from .benchmark.core.registry import Entry
    from .benchmark.stages.prepare import PreparedSource
    from .benchmark.stats.power import PowerReport
    from .datasets.integrity import Report
    from .running import Settings

SPLITS = ("train", "val", "test")


def list_datasets() -> list[Entry]:
    """Return all datasets, each with its name, aliases and card; nothing is imported."""
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
        data: the folder with the datasets; see `run`.
        splits: the splits to check.
        deep: also decode every video.
        workers: processes for that; by default one per core.
        progress: see `run`.

    Raises:
        BenchError: a name is unknown, or there is no such folder.
    """
    from .benchmark.stages.sources import find_root, require_data
    from .datasets.integrity import check_all

    names, chosen = check_dataset_names(datasets), check_splits(splits)
    require_data(data)
    reporter = make_reporter(progress)
    with make_pool(workers) as pool:
        root = find_root(data, reporter, pool)
        return check_all(names, root.path, chosen, deep, pool, reporter)


def prepare(
    datasets: str | Sequence[str],
    *,
    data: Path | str | None = None,
    splits: str | Sequence[str] = SPLITS,
    detector: str = "caddm",
    config: Path | str | None = None,
    settings: Settings = (),
    weights: Path | str | None = None,
    limit: int | None = None,
    workers: int | None = None,
    part: str = "",
    faces_only: bool = False,
    engine: str = "inline",
    progress: bool | Reporter = True,
) -> list[PreparedSource]:
    """Find the faces of datasets and store them, if that isn't done yet; return the outcome by dataset.

    Args:
        datasets: `ff++`, `ff++:c23`, ...
        data, splits: the folder with the datasets, see `run`; the splits to prepare.
        detector, config, settings: whose face settings; a recipe over them; single ones: `{"faces.frames": 8}`.
        weights: a face model to keep and use: RetinaFace's, or dlib's 81 points.
        limit, faces_only: at most this many real and fake videos of each split; use stored faces only, open no video.
        workers, part: processes, by default one per core; `2/8`: the second of eight parts, one for each machine.
        engine, progress: see `run`.

    Raises:
        BenchError: a name or setting is wrong, or the data isn't there.
    """
    from .benchmark.core.parts import parse_part
    from .benchmark.core.registry import detectors
    from .benchmark.stages.detectors import load_resolved_settings
    from .benchmark.stages.prepare import prepare_source
    from .benchmark.stages.sources import find_root, open_source
    from .datasets.faces.models import adopt_model

    names, chosen, share = check_dataset_names(datasets), check_splits(splits), parse_part(part) if part else None
    recipe_name = detectors.find(detector).name
    reporter, overrides = make_reporter(progress), list_overrides(settings)
    with make_pool(workers, engine) as pool:
        root = find_root(data, reporter, pool)
        if weights:  # Before reading the settings: they depend on what is available.
            reporter.say(f"face model: kept as {adopt_model(Path(weights))}")
        recipe = load_resolved_settings(
            recipe_name, demo=root.demo is not None, config=Path(config) if config else None, overrides=overrides
        )
        sources = [open_source(name, root, limit, faces_only=faces_only) for name in names]
        return [prepare_source(source, chosen, recipe.faces, reporter, pool, share) for source in sources]


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
    """Return the faces of one dataset, after preparing them if needed: `faces.faces(video_id)`; see `prepare`.

    Raises:
        BenchError: a name or setting is wrong, or the data isn't there.
    """
    (found,) = prepare(
        dataset,
        data=data,
        splits=splits,
        detector=detector,
        settings=settings,
        limit=limit,
        workers=workers,
        progress=progress,
    )
    return found.store


def render_demo(
    out: Path | str | None = None,
    *,
    size: str = "default",
    seed: int = 0,
    world: str = "standard",
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> Path:
    """Render the synthetic demo world in the official layouts, unless it exists; return its folder.

    Args:
        out: the folder; by default in the cache, where runs look for it.
        size: `tiny`, `default`, `large` or `fair`, which has 40 people of each gender and race in two test sets.
        seed: a different seed gives a different world.
        world: `standard`, or `leak`: fakes from three donors.
        workers: processes; by default the cores.
        progress: see `run`.

    Raises:
        BenchError: no such size or world, or the folder contains another world.
    """
    from .benchmark.core.errors import require_known
    from .benchmark.stages.sources import SIZES, WORLDS, demo_folder
    from .benchmark.stages.sources import render_demo as render

    require_known("size", size, SIZES)
    require_known("world", world, WORLDS)
    folder = Path(out) if out else demo_folder(size, seed, world)
    with make_pool(workers) as pool:
        render(folder, size, seed, world, make_reporter(progress), pool)
    return folder


def fairness_power(
    *,
    dataset: str = "",
    annotations: Path | str | None = None,
    data: Path | str | None = None,
    split: Path | str | None = None,
    merge_undefined: bool = False,
    fpr: float = 0.1,
    auc: float = 0.9,
    power: float = 0.8,
    progress: bool | Reporter = True,
) -> tuple[PowerReport, list[str]]:
    """Return what a test set can show about fairness: groups, interval widths, smallest gaps; and notes on the data.

    Args:
        dataset: a dataset with its groups, or else
        annotations: a published annotation table.
        data: the folder with the dataset; see `run`.
        split: FaceForensics++'s list of pairs (.json), a list of videos (.txt), or the dataset's train, val or test.
        merge_undefined: count an undefined race as others.
        fpr, auc: the better group's FPR and AUC.
        power: the probability of detecting a gap.
        progress: see `run`.

    Raises:
        BenchError: not exactly one of dataset and annotations is given, a file can't be read, there are too few groups,
            or a demo world of this size has too few videos.
    """
    from .benchmark.core.errors import BenchError
    from .benchmark.stages.demographics import read_annotated_videos, read_dataset_videos
    from .benchmark.stages.sources import find_root, open_source, require_data
    from .benchmark.stats.power import can_show_any_gap, report_power

    if bool(annotations) == bool(dataset):
        raise BenchError("give either --annotations FILE or --dataset NAME")
    if annotations:
        videos = read_annotated_videos(Path(annotations), Path(split) if split else None, merge_undefined)
    else:
        require_data(data)
        root = find_root(data, make_reporter(progress))
        videos = read_dataset_videos(open_source(dataset, root), None if split is None else str(split))
    report = report_power(videos.table, videos.attributes, fpr, auc, power)
    if not annotations and root.demo and not can_show_any_gap(report):
        what = f"{dataset} {split or ''}".strip()
        raise BenchError(
            f"the world {root.protocol} is too small: {what} can't show any gap between groups. In --data demo:fair "
            "the test splits of ff++ and dfdc have 40 real videos per group"
        )
    return report, videos.notes


def export_for_papers(
    dataset: str,
    out: Path | str,
    *,
    data: Path | str | None = None,
    detector: str = "caddm",
    config: Path | str | None = None,
    settings: Settings = (),
    size: int = 256,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> tuple[dict[str, int], list[str]]:
    """Write a dataset's faces as images and CSVs in the format of the fairness papers' code.

    Args:
        dataset: one with groups: `ff++`, ...
        out: the folder for images and CSVs.
        data: the folder with the dataset; see `run`.
        detector: the detector whose face settings to use.
        config: a recipe applied over its own.
        settings: single settings.
        size: side of an image in pixels.
        seed: random seed of the training pairs.
        limit: at most this many real and fake videos of each split.
        workers: processes that prepare faces; by default the cores.
        progress: see `run`.

    Returns:
        The number of frames in each list, and a line for every video that is in no list.

    Raises:
        BenchError: a name or setting is wrong, or the data isn't there.
    """
    from .benchmark.stages.demographics import export_for_papers as export
    from .benchmark.stages.detectors import load_resolved_settings
    from .benchmark.stages.sources import find_root, open_source

    reporter, overrides = make_reporter(progress), list_overrides(settings)
    with make_pool(workers) as pool:
        root = find_root(data, reporter, pool)
        source = open_source(dataset, root, limit)
        recipe = load_resolved_settings(
            detector, demo=root.demo is not None, config=Path(config) if config else None, overrides=overrides
        )
        return export(source, recipe.faces, Path(out), reporter, pool, size=size, seed=seed)


def check_dataset_names(datasets: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of datasets, checked.

    Raises:
        BenchError: one is unknown, or none is given.
    """
    from .benchmark.core.errors import BenchError
    from .datasets.base import parse_name

    names = list_names(datasets)
    if not names:
        raise BenchError("no dataset named. See: bench list datasets")
    for name in names:
        parse_name(name)
    return names


def check_splits(splits: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of splits, checked.

    Raises:
        BenchError: one is unknown.
    """
    from .benchmark.core.errors import require_known
    from .benchmark.core.types import SPLITS as KNOWN

    found = list_names(splits)
    for name in found:
        require_known("split", name, KNOWN)
    return found
