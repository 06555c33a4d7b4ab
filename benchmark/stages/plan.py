"""Turns a request into frozen cells; checks every name, data root and checkpoint before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...detectors.runtimes import parse_way, use_way
from ..core.checkpoints import TYPE_CLASS, CheckpointHeader, read_header
from ..core.collector import pause_collector
from ..core.contracts import ChecksTraining, InspectsTrainingSet, Scores
from ..core.device_names import MPS, TPU, parse_device
from ..core.display import say_once
from ..core.errors import BenchError, require_known
from ..core.keys import code_hash
from ..core.parts import Part
from ..core.precisions import AUTO, check_training_precision
from ..core.progress import Reporter
from ..core.readers import shorten
from ..core.registry import Entry, datasets, detectors
from ..core.scorecard import ScoreCard, read_card
from ..core.shared_steps import check_step_settings
from ..core.storage import SCORECARD, sweep
from ..core.types import FAKE, REAL
from ..core.workers import IN_PROCESS, WorkerPool
from .cells import Cell, take_part
from .detectors import load_resolved_settings, refuse_weightless
from .devices import check_device, find_backend, find_device, place
from .engines import INLINE, EngineChoice, check_engine, parse_engine
from .exclude_list import check_excluded, read_exclude_list
from .shared_trainings import check_sharing
from .sources import Data, DataRoots, DataSource, find_root, open_source
from .store_folders import advise_on_names

BACKENDS = ("torch", "jax")


@dataclass(frozen=True)
class Request:
    """The user's request, as typed; a detector that exists only in memory is already an entry.

    Without `train`, detectors are tested as they are, and thresholds are fixed on the val split of `val`, if given.
    """

    detectors: tuple[str | Entry, ...]
    train: str
    tests: tuple[str, ...]
    backend: str = ""
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    runs: Path = Path("runs")
    limit: int | None = None
    checkpoint: Path | None = None
    engine: str = "inline"
    exclude: Path | None = None
    val: str = ""
    part: Part | None = None
    faces_only: bool = False
    runtime: str = ""
    precision: str = ""
    device: str = AUTO

    def list_datasets(self) -> list[str]:
        """Return the names of all requested datasets, each once."""
        return list(dict.fromkeys(filter(None, (self.train, self.val, *self.tests))))


def check_names(request: Request) -> list[Entry]:
    """Check every name that doesn't need data, and return the detectors' entries.

    Raises:
        BenchError: an unknown detector, dataset, compression, backend or engine; a train set without a train split; a
            checkpoint for a detector that can't load one.
    """
    from ...datasets.base import parse_name

    require_known("backend", request.backend or "torch", BACKENDS)
    check_engine(request.engine)
    parse_way(request.runtime, request.precision)
    entries = [d if isinstance(d, Entry) else detectors.find(d, request.backend) for d in request.detectors]
    check_place(request, entries)
    if request.checkpoint and len(request.seeds) > 1:
        raise BenchError("--checkpoint is one detector, so several seeds would give the same result. Use one --seed")
    for entry in entries if request.checkpoint else ():
        if "load" not in entry.capabilities:
            raise BenchError(
                f"{entry.name} can't load a checkpoint: it has no method load(weights). Leave out --checkpoint"
            )
    for name in request.list_datasets():
        parse_name(name)
    if not request.train:
        return entries
    train = parse_name(request.train)[0]
    splits = train.card.get("splits", ("train",))  # A user's dataset may not say; its videos will.
    if "train" not in splits and not request.checkpoint:
        others = [e.name for e in datasets.entries() if "train" in e.card.get("splits", ())]
        raise BenchError(
            f"{train.name} has no train split, only {', '.join(splits)}. Sets to train on: {', '.join(others)}"
        )
    return entries


def check_place(request: Request, entries: list[Entry]) -> None:
    """Check before any work that detectors can work on the device that is asked for, as far as it is chosen here.

    Raises:
        BenchError: they can't, or Ray chooses it.
    """
    asked = parse_device(request.device)
    if parse_engine(request.engine).name != "ray":
        check_device(request.device, {entry.backend for entry in entries})
    elif asked.number is not None or asked.kind in (MPS, TPU):
        raise BenchError(f"--device {asked}: Ray gives each training its GPUs. Use --device cuda, cpu, or none")


@pause_collector()
def make_plan(
    request: Request,
    data: Data | None,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    *,
    render: bool = True,
    tests: bool = True,
) -> list[Cell]:
    """Check everything and expand a request into cells; the demo world is rendered once its names are right.

    Args:
        request: what is asked for.
        data: the data root or roots; None for BENCH_DATA, or else the demo world.
        reporter: told which data is used.
        pool: the processes that render a demo world.
        render: whether to render a missing demo world; otherwise there is no data to check, and no cells.
        tests: whether cells will be tested; otherwise test splits aren't checked, and each must produce weights.

    Raises:
        BenchError: a name, setting, checkpoint or option is wrong, or data is missing.
    """
    from ...datasets.faces.finder import load_finder

    entries = check_names(request)
    if not tests:
        check_trainable(request, entries)
    finders = check_settings(request, entries)
    excluded = read_exclude_list(request.exclude) if request.exclude else frozenset()
    roots = DataRoots(
        data, lambda place: find_root(place, reporter, pool, render, lambda: [load_finder(name) for name in finders])
    )
    root_of = {name: roots.of(name) for name in request.list_datasets()}
    if not render and any(root.demo is not None and not root.demo.complete for root in root_of.values()):
        return []
    sources = {
        name: open_source(name, root, request.limit, excluded, request.faces_only) for name, root in root_of.items()
    }
    if request.exclude:
        check_excluded(request.exclude, excluded, sources.values(), reporter)
    cells = make_cells(request, entries, sources)
    check_data(cells, tests)
    cells = take_part(cells, request.part)
    check_detectors([c for c in cells if read_finished(c) is None], parse_engine(request.engine))
    return cells


def check_settings(request: Request, entries: list[Entry]) -> set[str]:
    """Read recipes and checkpoint before the data, so that errors show before a world is rendered.

    Returns:
        The face finders that they name.

    Raises:
        BenchError: see `read_header` and `load_resolved_settings`.
    """
    made_from = read_header(request.checkpoint) if request.checkpoint else None
    return {
        load_resolved_settings(
            _name_recipe(e), demo=True, made_from=made_from, config=request.config, overrides=request.overrides
        ).faces.finder
        for e in entries
    }


def read_finished(cell: Cell) -> ScoreCard | None:
    """Return a cell's scorecard if it exists, is complete, and was scored with the requested settings."""
    path = cell.test_folder / SCORECARD
    if not path.is_file():
        return None
    try:
        card = read_card(path, "It is recomputed")
    except BenchError as error:  # Damaged, or something else under its name.
        say_once(str(error))
        return None
    draws = cell.settings.score.draws
    return (
        card if isinstance(card, ScoreCard) and card.is_current and card.cell.source and card.draws == draws else None
    )


def reuse_finished(cells: list[Cell], reporter: Reporter) -> list[ScoreCard]:
    """Return the scorecards of a finished plan, and say so; empty if anything is left to do."""
    found = [card for cell in cells if (card := read_finished(cell)) is not None]
    if len(found) < len(cells):
        return []
    for number, cell in enumerate(cells, 1):
        report_reused(cell, reporter, f"cell {number} of {len(cells)}: ")
    return found


def report_reused(cell: Cell, reporter: Reporter, prefix: str = "") -> None:
    """Say that a cell's results are reused, and sweep: a command killed after its last file left its note there."""
    sweep(cell.folder.parent)
    reporter.say(f"{prefix}{cell.title}: reused")


def describe_plan(cells: list[Cell]) -> list[dict[str, object]]:
    """Return what would run, one row per cell: names, numbers of videos, `reused` or `to do`, and the folder."""
    return [
        {
            "detector": c.name,
            "backend": c.entry.backend or "any",
            "train": c.describe().train,
            "test": c.test.label,
            "seed": c.seed,
            "train videos": len(c.train.split("train")) if c.train and c.is_trained_here else 0,
            "val": len(c.val.split("val")) if c.val else 0,
            "test videos": len(c.test.split("test")),
            "state": "reused" if read_finished(c) else "to do",
            "folder": c.test_folder,
        }
        for c in cells
    ]


def describe_recipes(cells: list[Cell]) -> dict[str, dict[str, object]]:
    """Return each detector's resolved settings, and check that its face models are available.

    Raises:
        BenchError: a face model isn't available.
    """
    from ...datasets.faces.finder import load_finder

    for finder in dict.fromkeys(c.settings.faces.finder for c in cells):
        load_finder(finder)
    return {c.name: c.settings.model_dump(mode="json") for c in cells}


def check_trainable(request: Request, entries: list[Entry]) -> None:
    """Check that every detector will have weights: trained, or from the given checkpoint.

    Raises:
        BenchError: names a detector that can't be trained, or whose weights can't be saved.
    """
    for entry in entries:
        if request.checkpoint and "save" not in entry.capabilities:
            raise BenchError(f"{entry.name} can't save a checkpoint: it has no method state(). See CONTRIBUTING.md")
        if not request.checkpoint and "train" not in entry.capabilities:
            raise BenchError(
                f"{entry.name} can't be trained: it has no method training(settings, ...). See CONTRIBUTING.md"
            )


def make_cells(request: Request, entries: list[Entry], sources: dict[str, DataSource]) -> list[Cell]:
    """Expand a checked request into cells: detectors x seeds x test sets."""
    entries = list({(e.name, e.target): e for e in entries}.values())  # An alias is not a second detector.
    tests = list({sources[t].label: t for t in request.tests}.values())
    made_from = read_header(request.checkpoint) if request.checkpoint else None
    train, evaluation = (sources.get(name) for name in (request.train, request.val))
    if made_from:
        _check_trained_on(request, entries, made_from, train)
    demo = (train or sources[request.tests[0]]).home_root.demo is not None
    settings = {
        e.name: load_resolved_settings(
            _name_recipe(e),
            demo=demo,
            made_from=made_from,
            config=request.config,
            overrides=request.overrides,
            # A recipe applies to what it trains: neither to given weights nor to a user's class.
            tagged=bool(train) and not request.checkpoint and e.is_trainable and code_hash(e) is None,
        )
        for e in entries
    }
    way = parse_way(request.runtime, request.precision)
    return [
        Cell(
            e,
            settings[e.name],
            train,
            sources[test],
            seed,
            request.runs,
            request.checkpoint,
            evaluation,
            way,
            request.device,
        )
        for e in entries
        for seed in request.seeds
        for test in tests
    ]


def _name_recipe(entry: Entry) -> str:
    """Return whose recipe to use; an object has none, whatever its name."""
    return "" if entry.is_made else entry.name


def _check_trained_on(
    request: Request, entries: list[Entry], made_from: CheckpointHeader, train: DataSource | None
) -> None:
    """Reject labelling one of our checkpoints as another detector's or as trained on another dataset."""
    found, wrong = made_from.get("detector"), [e.name for e in entries if e.name != made_from.get("detector")]
    if found and wrong:
        hint = f"Use --detector {found}" if detectors.is_registered(found) else TYPE_CLASS
        raise BenchError(f"{request.checkpoint} is a checkpoint of {shorten(found)}, not of {wrong[0]}. {hint}")
    if not train:
        return
    trained_on = made_from.get("trained_on", {})
    if (dataset := trained_on.get("dataset", train.label)) != train.label:
        raise BenchError(f"{request.checkpoint} was trained on {dataset}. Use --train {dataset}")
    if trained_on.get("world") == "demo" and train.home_root.world == "real":
        raise BenchError(
            f"{request.checkpoint} was trained on the demo world: its scores can't be compared with real rows. "
            "To see them anyway: bench predict --checkpoint, then bench score"
        )


def check_data(cells: list[Cell], tests: bool = True) -> None:
    """Check that every split that a cell needs (without `tests`, only for training) has files of both classes.

    Raises:
        BenchError: names the split and what is missing.
    """
    needed = {(c.test, "test"): c.settings.faces for c in cells if tests}
    needed |= {(c.train, s): c.settings.faces for c in cells for s in ("train", "val") if c.train and c.is_trained_here}
    needed |= {(c.evaluation, "val"): c.settings.faces for c in cells if c.evaluation}
    for (source, split), faces in needed.items():
        videos = source.split(split)
        counts = {label: sum(v.label == label for v in videos) for label in (REAL, FAKE)}
        if not all(counts.values()):
            raise BenchError(
                f"{source.label} in {source.home} has {counts[REAL]} real and {counts[FAKE]} fake videos "
                f"in its {split} split: one class alone can't be "
                f"{'scored' if split == 'test' else 'trained on'}. {advise_on_names(source, faces)}"
            )
        if not source.has_any(videos, faces):
            raise BenchError(
                f"{source.label} in {source.home}: none of the {len(videos)} videos of the {split} split "
                f"exists (first: {videos[0].id}), and no store has their faces: {source.store_folder(faces)}"
            )


def check_detectors(cells: list[Cell], engine: EngineChoice = INLINE) -> None:
    """Make every detector once, and load the given checkpoint, so that a wrong option or file shows at once.

    Args:
        cells: the cells that still have to run.
        engine: where they run; devices are checked on this machine only.

    Raises:
        BenchError: see `crossfake.detectors.create`, the detector's `load`, `inspect_training_set` and
            `check_training`, `check_way`, and `check_sharing`.
    """
    from ...detectors import create_from, load_from

    for cell in {(c.entry.name, c.entry.target): c for c in cells}.values():
        if cell.checkpoint:
            made = load_from(cell.entry, cell.checkpoint, **cell.settings.options)
            if engine.name != "ray":
                check_way(made, cell)
            continue
        if not cell.train:
            refuse_weightless(cell.entry)
        made = create_from(cell.entry, None, **cell.settings.options)
        if cell.train and isinstance(made, InspectsTrainingSet):
            made.inspect_training_set(cell.train.split("train"), {})
        if cell.train and isinstance(made, ChecksTraining):
            made.check_training(cell.settings.train)
        if cell.is_trained_here:
            check_step_settings(made, cell.entry.name, cell.settings.train)
        if engine.name != "ray":
            check_way(made, cell)
        if cell.is_trained_here and engine.devices > 1:
            check_sharing(made, cell.entry, cell.settings.train, engine.devices)


def check_way(made: Scores, cell: Cell) -> None:
    """Check that a detector can be trained and scored on the requested device and in the requested precisions.

    Raises:
        BenchError: it can't be moved there, or doesn't support the precision there.
    """
    place(made, cell.device)
    if not cell.asked.is_open:
        use_way(made, cell.asked)
    if cell.is_trained_here:
        check_training_precision(
            cell.settings.train.precision, find_device(made, find_backend(made, cell.entry.backend)).kind
        )
