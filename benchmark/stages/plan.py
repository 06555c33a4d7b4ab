"""From a request to frozen cells, every name, data root and checkpoint checked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core.cell_description import NOT_KNOWN, SOURCE_VAL, TRAINED_HERE, CellDescription
from ..core.checkpoints import TYPE_CLASS, CheckpointHeader, TrainedOn, read_header
from ..core.contracts import ChecksTraining, InspectsTrainingSet
from ..core.display import say_once
from ..core.errors import BenchError, require_known
from ..core.keys import code_hash, file_hash, hash_key
from ..core.progress import Reporter
from ..core.readers import shorten
from ..core.registry import Entry, datasets, detectors
from ..core.scorecard import ScoreCard, read_card
from ..core.settings import Settings
from ..core.storage import SCORECARD, strip_separators
from ..core.types import FAKE, REAL
from ..core.workers import IN_PROCESS, WorkerPool
from .detectors import load_resolved_settings
from .sources import DataSource, check_excluded, find_root, join_protocols, open_source, read_exclude_list

# Raise when the meaning of a key's parts, or the code behind a stage, changes the numbers.
TRAIN_KEY_VERSION = 1
TEST_KEY_VERSION = 1
BACKENDS = ("torch", "jax")


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed; a detector that exists in memory alone is an entry already."""

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


@dataclass(frozen=True, eq=False)
class Cell:
    """One detector, trained (or loaded) once with one seed, on one test set.

    The keys hold all that changes the numbers; a user's own file counts, the project's code has versions instead.
    Left out on purpose: where the data and runs lie, the number of workers, the scoring batch, the engine, the machine,
    package versions (recorded in provenance.json instead).
    """

    entry: Entry
    settings: Settings
    train: DataSource
    test: DataSource
    seed: int
    runs: Path
    checkpoint: Path | None

    @property
    def name(self) -> str:
        """The row's name: `detector`, with another `variant` than its default and the `tag` behind dots."""
        variant = self.options.get("variant") if "variant" in self.entry.card.get("defaults", {}) else None
        return ".".join(str(part) for part in (self.entry.name, variant, self.settings.tag) if part)

    @property
    def options(self) -> dict[str, object]:
        """The detector's options that aren't its card's defaults."""
        return self.entry.drop_defaults(self.settings.options)

    def train_content(self) -> CheckpointHeader:
        """Return what the trained weights depend on."""
        from ...datasets.faces.finder import FINDER_VERSION

        s = self.settings
        lost = "" if self.checkpoint else self.train.lost_key(["train", "val"], s.faces)
        return {
            "version": TRAIN_KEY_VERSION,
            "detector": self.entry.name,
            "backend": self.entry.backend,
            "code": code_hash(self.entry),
            "options": self.options,
            "tag": s.tag,
            "faces": s.faces.key_content(),
            "finder": FINDER_VERSION,
            "train": s.train.model_dump() if not self.checkpoint else None,
            "checkpoint": file_hash(self.checkpoint) if self.checkpoint else None,
            "data": self.train.key(["train", "val"]),
            "seed": self.seed,
            # What is broken at a time, and mended later, gives other weights.
            **({"lost": lost} if lost else {}),
            # Annotating a dataset changes what is learned by those alone that learn from its groups.
            **({"groups": self.train.annotations_key("train")} if self.entry.card.get("learns_groups") else {}),
        }

    @property
    def train_key(self) -> str:
        """Hash of `train_content`."""
        return hash_key(self.train_content())

    @property
    def test_key(self) -> str:
        """Hash of what the test predictions depend on, their columns of methods and groups included."""
        data = [self.test.key(["test"]), self.test.annotations_key("test")]
        return hash_key([TEST_KEY_VERSION, self.train_key, *data])

    @property
    def folder(self) -> Path:
        """The run folder: one trained detector."""
        train = strip_separators(self.train.label)
        return (
            self.runs / self.train.home_root.world / _make_safe(self.name) / f"{train}.seed{self.seed}.{self.train_key}"
        )

    @property
    def test_folder(self) -> Path:
        """Where this cell's predictions and scorecard go, within the run folder."""
        return self.folder / f"test.{strip_separators(self.test.label)}.{self.test_key}"

    @property
    def is_trained_here(self) -> bool:
        """Whether its run trains it: not where weights are given, it can't be trained, or there are no epochs."""
        return not self.checkpoint and self.entry.is_trainable and self.settings.train.epochs > 0

    def _describe_weights(self) -> str:
        if self.checkpoint:
            return "given checkpoint"
        if self.entry.is_made:
            return "given object"
        if not self.entry.is_trainable:
            return "its own"
        return TRAINED_HERE if self.is_trained_here else "not trained"

    @cached_property
    def trained_on(self) -> TrainedOn:
        """What is known of where the weights come from; nothing of those that somebody else made."""
        if self.is_trained_here:
            return {"dataset": self.train.label, "selection": SOURCE_VAL}
        return read_header(self.checkpoint).get("trained_on", {}) if self.checkpoint else {}

    def describe(self) -> CellDescription:
        """Describe the cell for plan.json and the scorecard."""
        trained_on, protocol = self.trained_on, join_protocols(self.train.home_root, self.test.home_root)
        return CellDescription(
            detector=self.entry.name,
            name=self.name,
            backend=self.entry.backend or "any",
            train=trained_on.get("dataset", NOT_KNOWN),
            test=self.test.label,
            seed=self.seed,
            limit=self.test.limit,
            frames=self.settings.faces.frames,
            world=protocol.partition(" ")[0],
            protocol=protocol,
            weights=self._describe_weights(),
            selection=trained_on.get("selection", SOURCE_VAL) if trained_on else NOT_KNOWN,
            options=self.options,
            recipe_key=hash_key({k: v for k, v in self.train_content().items() if k != "seed"}),
            train_key=self.train_key,
            test_key=self.test_key,
            source=self.train.label,
            excluded=sorted(v.id for v in self.test.list_excluded("test")),
            trained_without=len(self.train.list_excluded("train", "val")) if self.is_trained_here else 0,
        )


def check_names(request: Request) -> list[Entry]:
    """Check every name that needs no data, and return the detectors' entries.

    Raises:
        BenchError: an unknown detector, dataset, compression, backend or engine; a train set without a train split; a
            checkpoint for a detector that takes none.
    """
    from ...datasets.base import parse_name
    from .engines import ENGINES

    require_known("backend", request.backend or "torch", BACKENDS)
    require_known("engine", request.engine, ENGINES)
    entries = [d if isinstance(d, Entry) else detectors.find(d, request.backend) for d in request.detectors]
    if request.checkpoint and len(request.seeds) > 1:
        raise BenchError("--checkpoint gives one detector: several seeds would repeat it. Use one --seed")
    for entry in entries if request.checkpoint else ():
        if "load" not in entry.capabilities:
            raise BenchError(
                f"{entry.name} takes no checkpoint: it has no method load(weights). Leave out --checkpoint"
            )
    for name in (request.train, *request.tests):
        parse_name(name)
    train = parse_name(request.train)[0]
    splits = train.card.get("splits", ("train",))  # A dataset of the user's own may not say; its videos will.
    if "train" not in splits and not request.checkpoint:
        others = [e.name for e in datasets.entries() if "train" in e.card.get("splits", ())]
        raise BenchError(
            f"{train.name} has no train split, only {', '.join(splits)}. Sets to train on: {', '.join(others)}"
        )
    return entries


def make_plan(
    request: Request,
    data: Path | str | None,
    reporter: Reporter,
    pool: WorkerPool = IN_PROCESS,
    *,
    render: bool = True,
    tests: bool = True,
) -> list[Cell]:
    """Check everything and expand a request into cells; the demo world is rendered once its names are right.

    Args:
        request: what is asked for.
        data: the data root, as --data takes it; None for BENCH_DATA, else the demo world.
        reporter: is told which data it is.
        pool: the processes that render a demo world.
        render: whether to render a demo world that isn't there; else there is no data to check, and no cells.
        tests: whether cells will be tested; else their test splits are not checked, and weights must come of each.

    Raises:
        BenchError: a name, setting, checkpoint or option is wrong, or data is missing.
    """
    entries = check_names(request)
    if not tests:
        check_trainable(request, entries)
    check_settings(request, entries)
    excluded = read_exclude_list(request.exclude) if request.exclude else frozenset()
    root = find_root(data, reporter, pool, render)
    if not render and root.demo is not None and not root.demo.complete:
        return []
    wanted = dict.fromkeys((request.train, *request.tests))
    sources = {name: open_source(name, root, request.limit, excluded) for name in wanted}
    if request.exclude:
        check_excluded(request.exclude, excluded, sources.values(), reporter)
    cells = make_cells(request, entries, sources)
    check_data(cells, tests)
    check_detectors([c for c in cells if read_finished(c) is None])
    return cells


def check_settings(request: Request, entries: list[Entry]) -> None:
    """Read recipes and checkpoint once before the data, so that what is wrong shows before a world is rendered.

    Raises:
        BenchError: see `read_header` and `load_resolved_settings`.
    """
    made_from = read_header(request.checkpoint) if request.checkpoint else None
    for entry in entries:
        load_resolved_settings(
            entry.name, demo=True, made_from=made_from, config=request.config, overrides=request.overrides
        )


def read_finished(cell: Cell) -> ScoreCard | None:
    """Return a cell's scorecard if it is there, complete, and scored with the settings asked for."""
    path = cell.test_folder / SCORECARD
    if not path.is_file():
        return None
    try:
        card = read_card(path, "It is made again")
    except BenchError as error:  # Damaged, or something else under its name.
        say_once(str(error))
        return None
    draws = cell.settings.score.draws
    return (
        card if isinstance(card, ScoreCard) and card.is_current and card.cell.source and card.draws == draws else None
    )


def describe_plan(cells: list[Cell]) -> list[dict[str, object]]:
    """Return what would be run, a row a cell: names, numbers of videos, `reused` or `to do`, and where it goes."""
    return [
        {
            "detector": c.name,
            "backend": c.entry.backend or "any",
            "train": c.describe().train,
            "test": c.test.label,
            "seed": c.seed,
            "train videos": len(c.train.split("train")) if c.is_trained_here else 0,
            "val": len(c.train.split("val")),
            "test videos": len(c.test.split("test")),
            "state": "reused" if read_finished(c) else "to do",
            "folder": c.test_folder,
        }
        for c in cells
    ]


def check_trainable(request: Request, entries: list[Entry]) -> None:
    """Check that weights will come of every detector: trained, or from the checkpoint given.

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
    """Expand a request whose names were checked into cells: detectors x seeds x test sets."""
    entries = list({(e.name, e.target): e for e in entries}.values())  # An alias is not a second detector.
    tests = list({sources[t].label: t for t in request.tests}.values())
    made_from = read_header(request.checkpoint) if request.checkpoint else None
    if made_from:
        _check_trained_on(request, entries, made_from, sources[request.train])
    demo = sources[request.train].home_root.demo is not None
    settings = {
        e.name: load_resolved_settings(
            e.name,
            demo=demo,
            made_from=made_from,
            config=request.config,
            overrides=request.overrides,
            # A recipe names what it trains: neither weights that are given nor a class of somebody's own.
            tagged=not request.checkpoint and e.is_trainable and code_hash(e) is None,
        )
        for e in entries
    }
    return [
        Cell(e, settings[e.name], sources[request.train], sources[test], seed, request.runs, request.checkpoint)
        for e in entries
        for seed in request.seeds
        for test in tests
    ]


def _check_trained_on(request: Request, entries: list[Entry], made_from: CheckpointHeader, train: DataSource) -> None:
    """Refuse to label a checkpoint of ours as another detector's, or as trained on what it wasn't trained on."""
    found, wrong = made_from.get("detector"), [e.name for e in entries if e.name != made_from.get("detector")]
    if found and wrong:
        hint = f"Use --detector {found}" if detectors.is_registered(found) else TYPE_CLASS
        raise BenchError(f"{request.checkpoint} is a checkpoint of {shorten(found)}, not of {wrong[0]}. {hint}")
    trained_on = made_from.get("trained_on", {})
    if (dataset := trained_on.get("dataset", train.label)) != train.label:
        raise BenchError(f"{request.checkpoint} was trained on {dataset}. Use --train {dataset}")
    if trained_on.get("world") == "demo" and train.home_root.world == "real":
        raise BenchError(
            f"{request.checkpoint} was trained on the demo world: its scores can't stand among real rows. "
            "To look at them all the same: bench predict --checkpoint, then bench score"
        )


def check_data(cells: list[Cell], tests: bool = True) -> None:
    """Check that every split that a cell needs (without `tests`, only for training) has files of both classes.

    Raises:
        BenchError: names the split and what it lacks.
    """
    for source, split in {(c.test, "test"): None for c in cells if tests} | {
        (c.train, s): None for c in cells for s in ("train", "val") if c.is_trained_here
    }:
        videos = source.split(split)
        counts = {label: sum(v.label == label for v in videos) for label in (REAL, FAKE)}
        if not all(counts.values()):
            raise BenchError(
                f"{source.label} in {source.home} has {counts[REAL]} real and {counts[FAKE]} fake videos "
                f"in its {split} split: one class alone can't be "
                f"{'scored' if split == 'test' else 'trained on'}. See docs/datasets.md for its layout"
            )
        if not any(v.path.is_file() for v in videos):
            raise BenchError(
                f"{source.label} in {source.home}: none of the {len(videos)} videos of the {split} split "
                f"is there (first: {videos[0].id})"
            )


def check_detectors(cells: list[Cell]) -> None:
    """Make every detector once, and load the checkpoint given, so that a wrong option or file shows at once.

    Raises:
        BenchError: see `crossfake.detectors.create` and the detector's `load`, `inspect_training_set` and
            `check_training`.
    """
    from ...detectors import create_from, load_from

    for cell in {(c.entry.name, c.entry.target): c for c in cells}.values():
        if cell.checkpoint:
            load_from(cell.entry, cell.checkpoint, **cell.settings.options)
        else:
            made = create_from(cell.entry, None, **cell.settings.options)
            if isinstance(made, InspectsTrainingSet):
                made.inspect_training_set(cell.train.split("train"), {})
            if isinstance(made, ChecksTraining):
                made.check_training(cell.settings.train)


def _make_safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in name)
