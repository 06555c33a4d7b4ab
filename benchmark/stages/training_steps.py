"""A training's steps: each starts before the previous one's losses are read, so that neither side waits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.contracts import LearnsInPieces, RunsBlocksAgain, Trainable, TrainingSession
from ..core.errors import BenchError
from ..core.settings import TrainSettings
from ..core.training_steps import GivesGradients, LaunchesSteps, ReadLosses
from .out_of_memory import explain_training, is_out_of_memory
from .training_state import Progress

Batch = dict[str, np.ndarray]


class StepTaker:
    """Takes a session's steps and accumulates their losses in `progress`, one step late.

    `collect` reads outstanding losses: before computing an epoch's mean, and before saving a state.
    """

    def __init__(self, session: TrainingSession, detector: Trainable, settings: TrainSettings, progress: Progress):
        self.session, self.detector, self.settings, self.progress = session, detector, settings, progress
        self._waiting: ReadLosses | None = None
        self._started = progress.step

    def take(self, batch: Batch, made: int) -> None:
        """Start a step, and collect the previous one.

        `made` is how many examples there are, with those that other processes have of the same batch.

        Raises:
            BenchError: it doesn't fit into memory, or the losses before it aren't finite.
        """
        read = self._launch(batch) if made else None
        self.collect()
        self._waiting, self._started = read, self._started + 1

    def collect(self) -> None:
        """Add up the losses of the last step started.

        Raises:
            BenchError: one isn't finite.
        """
        if self._waiting is None:
            return
        losses, self._waiting = self._read(self._waiting), None
        total = self.progress.losses
        for name, value in losses.items():
            total[name] = total.get(name, 0.0) + value
        if wrong := [name for name, value in total.items() if not np.isfinite(value)]:
            told = f"{wrong[0]} is no longer finite at step {self._started}"
            raise BenchError(f"{told}. Try a lower rate, such as --set train.lr=1e-5")

    def _launch(self, batch: Batch) -> ReadLosses:
        try:
            if isinstance(self.session, LaunchesSteps):
                return self.session.launch(batch)
            losses = self.session.step(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return lambda: losses
        # Out here the error is gone, and with it the memory held by the failed attempt.
        fits = find_fitting(self.session, batch, self._count_at_once() // 2) if self._takes_pieces else None
        raise self._explain(fits)

    def _read(self, read: ReadLosses) -> Mapping[str, float]:
        try:
            return read()
        except (MemoryError, RuntimeError) as error:  # JAX says only now that a step didn't fit.
            if not is_out_of_memory(error):
                raise
            raise self._explain() from error

    def _explain(self, fits: int | None = None) -> BenchError:
        again = isinstance(self.detector, RunsBlocksAgain) and self.detector.runs_blocks_again
        return explain_training(self._count_at_once(), self._takes_pieces, fits, again and not self.settings.remat)

    @property
    def _takes_pieces(self) -> bool:
        return isinstance(self.detector, LearnsInPieces) and not self.detector.needs_whole_batch

    def _count_at_once(self) -> int:
        return min(self.settings.micro_batch or self.settings.batch_size, self.settings.batch_size)


def find_fitting(session: TrainingSession, batch: Batch, most: int) -> int | None:
    """Return how many images of a batch fit into memory, halving `most` until they do; None if that can't be told."""
    while most and isinstance(session, GivesGradients):
        try:
            session.gradients({name: rows[:most] for name, rows in batch.items()})
            return most
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                return None
        most //= 2
    return None
