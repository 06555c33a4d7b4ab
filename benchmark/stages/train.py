"""The train stage: batches that depend only on the seed, selection on the validation split, exact resuming.

Backend-free: a detector's `training(settings, ...)` session does the optimisation steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ..core.contracts import (
    Cropper,
    FaceReader,
    InspectsTrainingSet,
    LearnsFromReals,
    Sampler,
    TellsPrecision,
    TellsThreads,
    Trainable,
    TrainingSession,
    make_contract_error,
)
from ..core.device_use import DeviceUse
from ..core.errors import BenchError
from ..core.precisions import read_alias
from ..core.progress import Reporter
from ..core.readers import shorten
from ..core.records import JsonValue
from ..core.settings import FaceSettings, TrainSettings
from ..core.shared_steps import ALONE, Ranks, gather_rows
from ..core.start_weights import list_start_weights
from ..core.storage import write_json
from ..core.types import FAKE, REAL, Video
from ..core.workers import WorkerPool
from .device_report import describe_training
from .devices import find_backend
from .kept_crops import KeptCrops, TakesKeptCrops, keep_crops
from .shared_trainings import Crew, Steps
from .training_batches import Batches, FrameIndex, index_frames, list_lost_frames
from .training_state import Progress, StateKeeper
from .training_steps import StepTaker
from .validation import Validation

MAX_LOST = 0.05
Weights = dict[str, np.ndarray]


class TrainingReport(TypedDict):
    """A report on a training, as written to training.json.

    `pairs` counts fakes with their original at the same frame (`found`), at the nearest one with a face (`replaced`),
    or `lost`; `epochs` has the mean losses and, if validated, `val.video.auc`; `lost` counts samples from which no
    example could be made, `left_out` those that the recipe left out. `threads` is None if the session doesn't say.
    `device` is a `DeviceUse`. `validation` has the precision that epochs were compared in and, if that was compared
    with fp32, by how much the frame AUC and the scores differ.
    """

    frames: int
    pairs: dict[str, int]
    videos_left_out: int
    steps: int
    epochs: list[dict[str, float]]
    selection: str
    best_epoch: int
    lost: int
    lost_in_preparing: int
    left_out: int
    precision: str
    threads: int | None
    micro_batch: int | None
    remat: bool
    device: dict[str, JsonValue]
    started_from: list[str]
    ranks: int
    validation: dict[str, str | float]


@dataclass
class Training:
    """One detector being trained into a run folder."""

    detector: Trainable
    cropper: Cropper
    settings: TrainSettings
    seed: int
    train_store: FaceReader
    train_videos: list[Video]
    val_videos: list[Video]
    folder: Path
    reporter: Reporter
    pool: WorkerPool
    plugin: str = ""
    backend: str = ""
    faces: FaceSettings = field(default_factory=FaceSettings)
    crew: Crew | None = None
    ranks: Ranks = field(default=ALONE, init=False)
    broken: list[str] = field(default_factory=list, init=False)  # Frames lost while preparing faces,
    wanted: int = field(default=0, init=False)  # out of this many.
    precision: str = field(default="", init=False)  # Of the session's steps, if it says.

    def __post_init__(self) -> None:
        self.keeper = StateKeeper(self.folder)

    def run(self) -> TrainingReport:
        """Train (or resume a killed run), leave the detector with the best weights, and report."""
        s = self.settings
        videos = self._select_videos()
        frames, pairs = self._index_frames(videos)
        per_epoch = s.steps_per_epoch or max(1, frames.epoch_length(s.balance) // s.batch_size)
        total = s.epochs * per_epoch
        session = self._start_session(total, per_epoch)
        self.reporter.say(f"training on {self._describe_device(session).describe()}")
        progress, best = self._restore(session)
        self.reporter.say(f"training on {len(frames)} frames; {_describe_pairs(pairs)}")
        if s.micro_batch and s.micro_batch < s.batch_size:
            told = f"each step of {s.batch_size} frames is split into pieces of at most {s.micro_batch}"
            self.reporter.say(f"{told}; batch norms, if any, see one piece at a time")
        if self.broken:
            self.reporter.say(f"{self._describe_broken()}; they are listed in {self._write_lost(progress)}")
        sampler = self.detector.sampler()
        kept = self._keep(videos) if self._takes_kept_crops(sampler) else None
        batches = Batches(frames, self.train_store, sampler, s.batch_size, s.balance, self.seed, kept)
        with self._gather_ranks(session, Steps(batches, progress.step, total, per_epoch)) as self.ranks:
            best = self._learn(session, batches, progress, best, total, per_epoch)
        self._check_lost(progress)
        if count := len(self.broken) + len(progress.lost):
            self.reporter.say(f"{count} samples were lost; they are listed in {self._write_lost(progress)}")
        if best:
            self.detector.load(best)
        return {
            "frames": len(frames),
            "pairs": pairs,
            "videos_left_out": len(self.train_videos) - len(videos),
            "steps": progress.step,
            "epochs": progress.history,
            "selection": "source val",
            "best_epoch": progress.best_epoch,
            "lost": count,
            "lost_in_preparing": len(self.broken),
            "left_out": progress.left_out,
            "precision": self.precision,
            "validation": progress.validation,
            "threads": session.threads if isinstance(session, TellsThreads) else None,
            "micro_batch": s.micro_batch,
            "remat": s.remat,
            "device": self._describe_device(session).to_json(),
            "started_from": list_start_weights(self.detector),
            "ranks": self.ranks.count,
        }

    def _describe_device(self, session: TrainingSession) -> DeviceUse:
        backend = find_backend(self.detector, self.backend)
        return describe_training(self.detector, backend, session, self.settings.batch_size)

    def _learn(
        self, session: TrainingSession, batches: Batches, progress: Progress, best: Weights, total: int, per_epoch: int
    ) -> Weights:
        """Take the remaining steps, and return the best weights."""
        frames, workers = self.settings.val_frames, (self.pool, self.plugin)
        store, videos, kept = self.train_store, self.val_videos, self._keep(self.val_videos)
        validation = Validation(self.cropper, store, videos, frames, self.folder, *workers, kept)
        told = f"training, {total} steps of {self.settings.batch_size}"
        steps = StepTaker(session, self.detector, self.settings, progress)
        with self.keeper, self.reporter.task(told) as tick:
            own = batches.share(self.ranks.rank, self.ranks.count)
            for batch, own_lost in self.pool.map(own, range(progress.step, total), self.plugin, shares=True):
                made, lost = gather_rows(self.ranks, batch, own_lost)
                steps.take(batch, made)
                self._count_lost(made, lost, progress)
                tick(progress.step, total)
                epoch_ends = progress.step % per_epoch == 0
                is_due = self.keeper.is_due(epoch_ends) or progress.step == total
                if epoch_ends or is_due:
                    steps.collect()
                if epoch_ends:
                    best = self._end_epoch(progress, per_epoch, best, validation)
                    self.ranks.let_go_on(progress.step // per_epoch)
                if is_due:
                    self.keeper.save(session, progress, best)
        return best

    def _keep(self, videos: list[Video]) -> KeptCrops | None:
        store, cropper = self.train_store, self.cropper
        return keep_crops(self.faces, store, cropper, videos, self.reporter, self.pool, self.plugin)

    def _takes_kept_crops(self, sampler: Sampler) -> bool:
        return isinstance(sampler, TakesKeptCrops) and not sampler.uses_face and sampler.crop == self.cropper

    @contextmanager
    def _gather_ranks(self, session: TrainingSession, steps: Steps) -> Iterator[Ranks]:
        if not self.crew:
            yield ALONE
            return
        told = f"{self.crew.devices} processes take each step together, on a device each"
        self.reporter.say(f"{told}; batch norms see the images of all")
        with self.crew.gather(self.detector, session, steps) as ranks:
            yield ranks

    def _start_session(self, total_steps: int, steps_per_epoch: int) -> TrainingSession:
        session = self.detector.training(self.settings, total_steps, steps_per_epoch)
        if not isinstance(session, TrainingSession):
            raise make_contract_error(session, TrainingSession, type(session).__name__, "a training session")
        told = session.precision if isinstance(session, TellsPrecision) else self.settings.precision
        self.precision = str(read_alias(told))
        return session

    def _index_frames(self, videos: list[Video]) -> tuple[FrameIndex, dict[str, int]]:
        """Return the training frames and the counts of pairs; rejects unusable data before training starts."""
        if self.settings.balance and self.settings.batch_size < 2:
            raise BenchError("train.balance needs real and fake frames in each batch: --set train.batch_size=2 or more")
        self._lost_file.unlink(missing_ok=True)  # From an earlier attempt, before its problems were fixed.
        frames, pairs = index_frames(videos, self.train_store)
        self.broken = list_lost_frames(videos, self.train_store)
        self.wanted = len(frames) + len(self.broken)
        self._check_lost(Progress())
        if not (isinstance(self.detector, LearnsFromReals) and self.detector.learns_from_reals_alone):
            _require_both_classes(frames.label, "train on", "frames with a face in the train split")
        elif not len(frames):
            raise BenchError("nothing to train on: no frame with a face in the train split's real videos")
        seen = [v.label for v in self.val_videos if self.train_store.frames(v.id)]
        _require_both_classes(np.asarray(seen), "select checkpoints on", "videos with a face in the val split")
        return frames, pairs

    def _select_videos(self) -> list[Video]:
        """Return the training videos: if the detector chooses, those that it can learn from."""
        if not isinstance(self.detector, InspectsTrainingSet):
            return self.train_videos
        kept, lacking = self.detector.inspect_training_set(
            self.train_videos, {v.id: len(self.train_store.frames(v.id)) for v in self.train_videos}
        )
        if len(kept) < len(self.train_videos):
            lost = len(self.train_videos) - len(kept)
            self.reporter.say(f"{lost} of {len(self.train_videos)} training videos are left out: {lacking}")
        return kept

    def _count_lost(self, made: int, lost: list[str], progress: Progress) -> None:
        """Count what a step lacked of its batch."""
        progress.left_out += self.settings.batch_size - made - len(lost)
        progress.lost += lost
        progress.step += 1
        if progress.step >= 20:  # Earlier, a few bad ones could be chance.
            self._check_lost(progress)

    def _check_lost(self, progress: Progress) -> None:
        """Stop if more than a twentieth is lost, of the frames during preparation and of the draws since."""
        before = len(self.broken) / max(self.wanted, 1)
        since = len(progress.lost) / max(progress.step * self.settings.batch_size, 1)
        if before + (1 - before) * since > MAX_LOST:
            drawn = f"no example could be made from {len(progress.lost)} samples in {progress.step} steps"
            told = [*([self._describe_broken()] if self.broken else []), *([drawn] if progress.lost else [])]
            raise BenchError(
                f"{', and '.join(told)}, more than {MAX_LOST:.0%}; they are listed in {self._write_lost(progress)}"
            )

    def _describe_broken(self) -> str:
        return f"{len(self.broken)} of {self.wanted} training frames were lost while preparing faces"

    def _write_lost(self, progress: Progress) -> Path:
        write_json(self._lost_file, [*self.broken, *progress.lost])
        return self._lost_file

    @property
    def _lost_file(self) -> Path:
        return self.folder / "lost_samples.json"

    def _choose_validation(self, validation: Validation) -> dict[str, str | float]:
        """Choose once what to validate in; it is kept with the progress, so that a resumed training does the same."""
        precision, shift = validation.choose_precision(self.detector, self.precision)
        if shift is None:
            return {"precision": precision}
        told = "validation" if precision == self.precision else "validation stays with fp32"
        self.reporter.say(f"{told} in {self.precision}: {shift.describe(self.precision)}")
        return {"precision": precision, "auc_shift": shift.auc, "score_shift": shift.score}

    def _end_epoch(self, progress: Progress, per_epoch: int, best: Weights, validation: Validation) -> Weights:
        """Measure on the validation split, if it is this epoch's turn; later epochs win ties."""
        epoch = progress.step // per_epoch
        means = {name: total / per_epoch for name, total in progress.losses.items()}
        progress.losses = {}
        if epoch % self.settings.val_every and epoch < self.settings.epochs:
            progress.history.append({"epoch": epoch, **means})
            self.reporter.say(f"epoch {epoch}: loss {means.get('loss', float('nan')):.4f}")
            return best
        progress.validation = progress.validation or self._choose_validation(validation)
        auc = validation.compute_auc(self.detector, str(progress.validation["precision"]))
        progress.history.append({"epoch": epoch, "val.video.auc": auc, **means})
        self.reporter.say(f"epoch {epoch}: loss {means.get('loss', float('nan')):.4f}, val video AUC {auc:.4f}")
        if auc >= progress.best_auc:
            progress.best_auc, progress.best_epoch = auc, epoch
            return self.detector.state()
        return best

    def _restore(self, session: TrainingSession) -> tuple[Progress, Weights]:
        self.keeper.sweep()
        if not self.keeper.file.is_file():
            return Progress(), {}
        untouched = session.state()
        try:
            progress, best, packed = self.keeper.read()
            session.restore(packed)
        except FileNotFoundError as error:  # The best weights.
            return self._start_over(error)
        except (OSError, MemoryError):  # The file isn't the problem.
            raise
        except Exception as error:  # For damaged files zipfile, NumPy and the backends raise a dozen types.
            session.restore(untouched)
            return self._start_over(error)
        self.reporter.say(f"resuming training at step {progress.step}")
        return progress, best

    def _start_over(self, error: Exception) -> tuple[Progress, Weights]:
        self.keeper = StateKeeper(self.folder)  # It has read which weights are best.
        problem = f"{type(error).__name__}: {shorten(error)}"
        self.reporter.say(f"{self.keeper.file} can't be read ({problem}): training starts over")
        return Progress(), {}

    def forget(self) -> None:
        """Remove the resume files, once the checkpoint is written."""
        self.keeper.forget()


def _describe_pairs(pairs: dict[str, int]) -> str:
    return (
        f"of {sum(pairs.values())} fake ones, {pairs['found']} have their original at the same frame, "
        f"{pairs['replaced']} at the nearest one with a face, {pairs['lost']} have none"
    )


def _require_both_classes(labels: NDArray[np.int64], purpose: str, what: str) -> None:
    reals, fakes = int((labels == REAL).sum()), int((labels == FAKE).sum())
    if not (reals and fakes):
        raise BenchError(f"nothing to {purpose}: {reals} real and {fakes} fake {what}")
