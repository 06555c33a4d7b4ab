"""The run: cells in, scorecards out. A stage is skipped if its output exists, and resumes if it was killed."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...detectors import create_from, get_cropper, load_from
from ...detectors.runtimes import DEFAULT, Way, use_way
from ..core.cell_description import NOT_KNOWN, SOURCE_VAL, TRAINED_HERE, CellDescription
from ..core.checkpoints import TrainedOn, read_header, save
from ..core.contracts import Cropper, FaceReader, SavesWeights, Scores, Trainable, make_contract_error
from ..core.device_use import DeviceUse
from ..core.errors import BenchError
from ..core.keys import hash_key
from ..core.precisions import AUTO
from ..core.predictions import (
    PartialPredictions,
    PredictionsMetadata,
    has_predictions,
    keep_main,
    read_local,
    read_predictions,
)
from ..core.progress import Reporter
from ..core.provenance import Provenance, collect_provenance, describe_time
from ..core.scorecard import Card, ScoreCard, Scoring
from ..core.start_weights import join_start_weights
from ..core.storage import (
    CHECKPOINT,
    FAILURE,
    PREDICTIONS,
    SCORECARD,
    HeldElsewhereError,
    hold_lock,
    write_json,
    write_text,
)
from ..core.types import FAKE, REAL
from ..core.workers import IN_PROCESS, WorkerPool
from ..stats.operating_points import FittedPoint, fit_operating_point
from ..stats.scoring import make_scorecard
from .cell_scores import keep_cell_scores
from .cells import Cell
from .contamination import find_shared_videos, fingerprint_videos
from .cost import count_flops, count_parameters
from .device_report import describe_device
from .devices import find_backend, place
from .engines import inline, parse_engine
from .kept_crops import keep_crops
from .pace import Pace
from .plan import read_finished, report_reused
from .predict import predict
from .ray_engine import run_on_ray
from .remake import remake_damaged
from .run_folder import describe_run, note_device, record_failure
from .runtime_choice import settle_runtime
from .shared_trainings import Crew
from .train import Training
from .worst_cases import locate_artifacts

if TYPE_CHECKING:
    from ..core.types import Face
    from .sources import DataSource

SHARED = "contaminated.txt"
"""The test videos on which a detector was trained, in the format of `--exclude`."""


@dataclass(frozen=True)
class RunOptions:
    """How to do the work: nothing here changes results."""

    reporter: Reporter
    pool: WorkerPool = IN_PROCESS
    batch_size: int = 32
    engine: str = "inline"
    command: str = ""
    untrained: set[Path] = field(default_factory=set)  # Run folders with a training started here and unfinished.
    stores: dict[tuple[Path, DataSource, str], FaceReader] = field(default_factory=dict)  # Stores prepared here.
    operating_points: dict[Path, FittedPoint] = field(default_factory=dict)  # By their predictions.
    told: set[str] = field(default_factory=set)  # What was said of devices.

    @cached_property
    def _provenance(self) -> Provenance:
        return collect_provenance(self.command)

    def make_provenance(self, device: DeviceUse | None = None) -> Provenance:
        """Return the provenance of a result made now; unchanging facts are looked up once per run."""
        now = {"time": describe_time()} | ({"device": device} if device and device.name else {})
        return self._provenance.model_copy(update=now)


def run(cells: list[Cell], options: RunOptions) -> list[Card]:
    """Run every cell and return the scorecards, or the recorded failures of cells that fail."""
    run_one = partial(_run_numbered, cells=cells, options=options, pace=Pace())
    on_ray = parse_engine(options.engine).name == "ray"
    found = dict(run_on_ray(cells, options) if on_ray else inline(run_one, cells))
    return [found[cell] for cell in cells]


def _run_numbered(cell: Cell, *, cells: list[Cell], options: RunOptions, pace: Pace, wait: bool) -> Card:
    """Run a cell, and print its number; `wait`: also if another command is running it."""
    number, started = cells.index(cell), time.monotonic()
    if len(cells) > 1:
        options.reporter.say(f"cell {number + 1} of {len(cells)}{pace.tell(cells[number:])}")
    if (done := read_finished(cell)) is not None:
        report_reused(cell, options.reporter)
        return done
    card = run_cell(cell, options, wait)
    pace.add(cell, time.monotonic() - started)
    return card


def run_cell(cell: Cell, options: RunOptions, wait: bool = True) -> Card:
    """Take one cell through prepare, train, predict and score; existing outputs are reused.

    Raises:
        HeldElsewhereError: another command is running it, and `wait` is false.
    """
    options.reporter.log = cell.folder / "log.txt"
    try:
        if cell.folder in options.untrained:
            return record_failure(cell, options, "its training failed before, see the row's other test sets", "skipped")
        options.reporter.say(cell.title)
        options.reporter.say_detail(f"folder: {cell.test_folder}")
        if settle_key(cell, options) and (done := read_finished(cell)) is not None:
            return done
        with hold_lock(cell.folder, wait):
            if (done := read_finished(cell)) is not None:  # Finished elsewhere while this waited.
                return done
            describe_run(cell, options)
            return remake_damaged(partial(_walk_stages, cell, options), options.reporter, options.stores.clear)
    except OSError:  # If nothing can be written, failures can't be recorded either.
        raise
    except HeldElsewhereError as error:
        options.reporter.say(f"{cell.title}: left for later: {error.told}")
        raise
    except BenchError as error:
        return record_failure(cell, options, str(error))
    except Exception as error:  # One cell's crash must not stop the others; the run still ends with exit code 1.
        options.reporter.say(traceback.format_exc())
        return record_failure(cell, options, f"{type(error).__name__}: {error}")
    finally:
        options.reporter.log = None


def settle_key(cell: Cell, options: RunOptions) -> bool:
    """Find the faces to train on before writing anything: lost frames change the run's key.

    Returns:
        Whether it changed.
    """
    folder, entry = cell.folder, cell.entry
    can_train = not (cell.checkpoint or entry.is_made or "train" not in entry.capabilities)
    if not cell.train or not can_train or (folder / CHECKPOINT).is_file():
        return False
    Stages(cell, options).prepare(cell.train, ["train", "val"])
    if cell.folder == folder:
        return False
    options.reporter.log = cell.folder / "log.txt"
    options.reporter.say(f"some training frames are lost, so this is a different run: {cell.folder}")
    return True


def _walk_stages(cell: Cell, options: RunOptions) -> Card:
    stage = Stages(cell, options)
    settle_runtime(stage)  # From here on the cell's key includes how it is scored.
    if cell.asked.is_open and (done := read_finished(cell)) is not None:
        return done
    point = stage.fit_operating_point()
    return stage.score(stage.predict_split(cell.test, "test", cell.test_folder), point)


class Stages:
    """The stages of one cell; the detector is made only when something must be computed."""

    def __init__(self, cell: Cell, options: RunOptions):
        self.cell, self.options = cell, options
        self._ready: tuple[Scores, Cropper] | None = None

    def prepare(self, source: DataSource, splits: list[str]) -> FaceReader:
        """Prepare the faces of some splits, once per run."""
        faces, known = self.cell.settings.faces, self.options.stores
        asked = source.store_folder(faces), source, "+".join(splits)
        if asked not in known:
            known[asked] = source.prepare(splits, faces, self.options.reporter, self.options.pool)
        return known[asked]

    def load_or_train(self) -> tuple[Scores, Cropper]:
        """Return the detector with its weights and its cropper: from the checkpoint, or trained now."""
        if self._ready is None:
            made = place(self._make(self.cell.folder / CHECKPOINT), self.cell.device)
            self._ready = made, get_cropper(made, self.cell.entry)
        return self._ready

    def _make(self, checkpoint: Path) -> Scores:
        cell = self.cell
        if checkpoint.is_file():
            try:
                return load_from(cell.entry, checkpoint, **cell.settings.options)
            except BenchError as error:
                remedy = "copied" if cell.checkpoint else "trained"
                raise BenchError(f"{error}. Remove {checkpoint} and repeat the command: it is {remedy} again") from None
        if cell.checkpoint:
            made = load_from(cell.entry, cell.checkpoint, **cell.settings.options)
            if isinstance(made, SavesWeights):
                save(made, checkpoint, {**read_header(cell.checkpoint), **cell.train_content()})
            return made
        made = place(create_from(cell.entry, cell.seed, **cell.settings.options), cell.device)
        if cell.train and isinstance(made, Trainable) and not cell.entry.is_made:
            self._train(made, cell.train, checkpoint)
        return made

    def _train(self, made: Trainable, source: DataSource, checkpoint: Path) -> None:
        cell = self.cell
        self.options.untrained.add(cell.folder)
        store, train, val = self.prepare(source, ["train", "val"]), source.split("train"), source.split("val")
        workers = (self.options.reporter, self.options.pool, cell.entry.plugin, cell.entry.backend)
        cropper, s, devices = get_cropper(made, cell.entry), cell.settings, parse_engine(self.options.engine).devices
        crew = Crew(cell, devices, self.options.pool.workers) if devices > 1 else None
        training = Training(made, cropper, s.train, cell.seed, store, train, val, cell.folder, *workers, s.faces, crew)
        report = training.run()
        write_json(cell.folder / "training.json", report)
        trained_on: TrainedOn = {
            "dataset": source.label,
            "world": source.home_root.world,
            "seed": cell.seed,
            "selection": SOURCE_VAL,
        }
        if fingerprints := fingerprint_videos([*source.split("train"), *source.split("val")]):
            trained_on["videos"] = fingerprints  # Unknown if there are only faces.
        if cell.settings.train.precision == AUTO and report["precision"] != "fp32":
            trained_on["precision"] = report["precision"]
        if started_from := join_start_weights(made):
            trained_on["started_from"] = started_from
        save(made, checkpoint, {**cell.train_content(), "trained_on": trained_on})
        training.forget()
        self.options.untrained.remove(cell.folder)

    def predict_split(self, source: DataSource, split: str, folder: Path, way: Way | None = None) -> Path:
        """Score a split into `folder`, unless that exists and is readable; `way`: instead of the cell's."""
        path = folder / PREDICTIONS
        if not has_predictions(path, self.options.reporter.say):
            made, cropper = self.load_or_train()
            use_way(made, way or self.cell.way)
            device = self._note_device(made)
            store, partial_predictions = self.prepare(source, [split]), PartialPredictions(path)
            o, faces, plugin = self.options, self.cell.settings.faces, self.cell.entry.plugin
            videos = source.split(split)
            kept = keep_crops(faces, store, cropper, videos, o.reporter, o.pool, plugin)
            with o.reporter.task(f"scoring {source.label} {split}") as tick:
                table, metadata = predict(
                    made,
                    cropper,
                    store,
                    videos,
                    batch_size=o.batch_size,
                    pool=o.pool,
                    plugin=plugin,
                    tick=tick,
                    partial_predictions=partial_predictions,
                    people=faces.people,
                    kept=kept,
                )
            known = PredictionsMetadata(
                params=count_parameters(made),
                flops=count_flops(made, cropper(_first_face(store))),
                artifacts=locate_artifacts(made, store, keep_main(table) if metadata.people else table),
                faces=str(store.folder),
                cell=self.cell.describe().merge(CellDescription(scored=source.label, split=split)),
                device=device,
            )
            partial_predictions.finish(table, metadata.merge(known))
        return path

    def _note_device(self, made: Scores) -> DeviceUse:
        """Return what the detector scores on; it is said once a run, and kept with where the run comes from."""
        device = describe_device(made, find_backend(made, self.cell.entry.backend), self.options.batch_size)
        if (told := f"scoring on {device.describe()}") not in self.options.told:
            self.options.told.add(told)
            self.options.reporter.say(told)
        note_device(self.cell, device)
        return device

    def describe(self) -> CellDescription:
        """Describe the cell, with its checkpoint's facts on the training and the test videos seen in it."""
        cell = self.cell
        described = cell.describe()
        files = [p for p in (cell.folder / CHECKPOINT, cell.checkpoint) if p and p.is_file()]
        if described.weights == TRAINED_HERE and not files:  # A function may make an untrainable detector.
            lacking = {"weights": "its own", "train": NOT_KNOWN, "selection": NOT_KNOWN, "trained_without": 0}
            return described.model_copy(update=lacking)
        header = read_header(files[0]) if files else {}
        trained_on: TrainedOn = header.get("trained_on", {}) if cell.is_trained_here else {}
        trained_in, started_from = trained_on.get("precision", ""), trained_on.get("started_from", "")
        scored_in = read_local(cell.test_folder / PREDICTIONS).device.precision
        if trained_in or started_from or scored_in not in ("", cell.way.precision):
            own = "" if scored_in == cell.way.precision else scored_in
            described = described.model_copy(update={"recipe_key": cell.make_recipe_key(trained_in, own, started_from)})
        shared = find_shared_videos(cell.test.split("test"), header)
        if shared is None:
            return described
        if shared:
            self._write_shared([video.id for video in shared])
        told = {"training_videos": hash_key(header["trained_on"]["videos"]), "contaminated": len(shared)}
        return described.model_copy(update=told)

    def _write_shared(self, shared: list[str]) -> None:
        path = self.cell.test_folder / SHARED
        write_text(path, "".join(f"{video}\n" for video in shared))
        self.options.reporter.say(
            f"contaminated: {self.cell.name} was trained on {len(shared)} test videos of {self.cell.test.label}, "
            f"first: {shared[0]}. To leave them out: --exclude {path}"
        )

    def fit_operating_point(self) -> FittedPoint:
        """Return what is fixed on the source validation split; nothing if it lacks a class."""
        folder, known = self._locate_validation(self.cell.way), self.options.operating_points
        if folder not in known:
            known[folder] = self._fit_on(self.find_validation())
        return known[folder]

    def find_validation(self) -> DataSource | None:
        """Return the dataset whose val split fixes thresholds, if it has files of both classes."""
        source = self.cell.val
        val, faces = source.split("val") if source else [], self.cell.settings.faces
        both = source and all(source.has_any([v for v in val if v.label == y], faces) for y in (REAL, FAKE))
        return source if both else None

    def _fit_on(self, source: DataSource | None) -> FittedPoint:
        if source is None:
            return FittedPoint()
        table, _ = read_predictions(self.predict_validation(source, self.cell.way))
        return fit_operating_point(table) if table["label"].nunique() > 1 else FittedPoint()

    def predict_validation(self, source: DataSource, way: Way) -> Path:
        """Score the source validation split with a runtime and precision."""
        return self.predict_split(source, "val", self._locate_validation(way), way)

    def _locate_validation(self, way: Way) -> Path:
        return self.cell.folder / ("val" if way == DEFAULT else f"val.{way.runtime}.{way.precision}")

    def score(self, path: Path, point: FittedPoint) -> ScoreCard:
        """Write and return the scorecard of a predictions file."""
        draws = self.cell.settings.score.draws
        card = make_scorecard(path, point.threshold, draws, temperature=point.temperature, source=point.source)
        told = {
            "cell": card.cell.merge(self.describe()),  # As of today, even if the predictions are older.
            "score": Scoring(draws=draws),
            "provenance": self.options.make_provenance(read_local(path).device),
        }
        card = card.model_copy(update=told)
        keep_cell_scores(path)
        write_json(path.with_name(SCORECARD), card.to_json())
        (path.with_name(FAILURE)).unlink(missing_ok=True)
        for dropped in card.coverage.dropped:
            self.options.reporter.say(f"not scored: {dropped.video} ({dropped.reason})")
        return card


def _first_face(store: FaceReader) -> Face:
    return next(store.face(video, 0) for video, outcome in store.outcomes().items() if outcome.frames)


def train_cell(cell: Cell, options: RunOptions) -> Path:
    """Prepare and train one cell unless its checkpoint exists, and return the checkpoint's path.

    Raises:
        BenchError: the detector can't be trained; plans report this earlier, except for a function's result.
    """
    options.reporter.log = cell.folder / "log.txt"
    try:
        settle_key(cell, options)
        with hold_lock(cell.folder):
            describe_run(cell, options)
            made, _ = remake_damaged(Stages(cell, options).load_or_train, options.reporter, options.stores.clear)
            if not (cell.folder / CHECKPOINT).is_file():
                raise make_contract_error(made, Trainable, cell.name, "training")
    finally:
        options.reporter.log = None
    return cell.folder / CHECKPOINT
