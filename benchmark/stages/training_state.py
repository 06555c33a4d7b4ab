"""The state from which a killed training resumes: a thread writes a copy while the next steps are taken.

`training_state.npz` is a zip of `progress.json` and `session`, which the training session writes. The best weights so
far are in a separate file, `training_best.EPOCH.npz`, written when they change, before the state.
"""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, Self

import numpy as np
from pydantic import TypeAdapter

from ..core.contracts import Arrays, Snapshots, TrainingSession, WriteState
from ..core.storage import write_atomically

SAVE_EVERY = 60.0
"""Minimum seconds between states within an epoch; the end of an epoch is saved sooner."""
SHARE = 0.05
"""The largest share of time that saving may take."""


@dataclass
class Progress:
    """Training's progress and findings, all of which survive a kill."""

    step: int = 0
    best_epoch: int = -1
    best_auc: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left_out: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    validation: dict[str, str | float] = field(default_factory=dict)  # What was chosen to validate in, and its shift.


class SavedState(NamedTuple):
    """A saved state: the progress, the best weights so far, and the input of the session's `restore`."""

    progress: Progress
    best: dict[str, np.ndarray]
    packed: bytes


class StateKeeper:
    """Saves a training's state in its folder. Use it in a `with` block, so that pending writes finish."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "training_state.npz"
        self._best_epoch = -1
        self._saved, self._cost = time.monotonic(), 0.0
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._join()
        if kind is None:
            self._raise_failure()

    def is_due(self, epoch_ends: bool) -> bool:
        """Return whether to save now: as often as possible while taking only a small share of the time."""
        passed = time.monotonic() - self._saved
        return passed >= self._cost / SHARE and (epoch_ends or passed > SAVE_EVERY)

    def save(self, session: TrainingSession, progress: Progress, best: Arrays) -> None:
        """Copy the state and write it in the background.

        Raises:
            WriteError: the previous state couldn't be written. Earlier states stay.
        """
        self._join()
        self._raise_failure()
        self._saved = time.monotonic()
        write = session.snapshot() if isinstance(session, Snapshots) else _hold(session.state())
        asked = (write, json.dumps(vars(progress)), progress.best_epoch, best)
        self._thread = threading.Thread(target=self._work, args=asked)
        self._thread.start()

    def _work(self, write: WriteState, told: str, epoch: int, best: Arrays) -> None:
        try:
            self._write(write, told, epoch, best)
        except BaseException as error:  # Raised in the training's thread.
            self._failure = error
        self._cost = time.monotonic() - self._saved

    def _write(self, write: WriteState, told: str, epoch: int, best: Arrays) -> None:
        kept = self._name_best(epoch)
        if epoch >= 0 and epoch != self._best_epoch:
            with write_atomically(kept) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **best)
            self._best_epoch = epoch
        with write_atomically(self.file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("progress.json", told)
            with archive.open("session", "w", force_zip64=True) as member:
                _Sink(member).take(write)
        for older in self.folder.glob("training_best.*.npz"):  # Only now no state needs it.
            if older != kept:
                older.unlink()

    def _join(self) -> None:
        if self._thread:
            self._thread.join()
            self._thread = None

    def _raise_failure(self) -> None:
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure

    def _name_best(self, epoch: int) -> Path:
        return self.folder / f"training_best.{epoch}.npz"

    def read(self) -> SavedState:
        """Return the last saved state; can also read states of versions that used a single archive.

        Raises:
            Exception: for a damaged file, anything that zipfile, NumPy and json raise.
        """
        with self.file.open("rb") as file, np.load(file) as packed:
            session = packed["session"]
            if "progress" in packed.files:
                best = {k.removeprefix("best/"): packed[k] for k in packed.files if k.startswith("best/")}
                return SavedState(_parse_progress(str(packed["progress"])), best, session.tobytes())
            progress = _parse_progress(packed["progress.json"])
        self._best_epoch = progress.best_epoch
        return SavedState(progress, self._read_best(progress.best_epoch), session)

    def _read_best(self, epoch: int) -> dict[str, np.ndarray]:
        if epoch < 0:
            return {}
        with self._name_best(epoch).open("rb") as file, np.load(file) as packed:
            return dict(packed)

    def sweep(self) -> None:
        """Remove half-written files of killed runs; the folder is locked, so nobody else is writing."""
        for half_written in self.folder.glob(".training_*.tmp.npz"):
            half_written.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the resume files."""
        for file in (self.file, *self.folder.glob("training_best.*.npz")):
            file.unlink(missing_ok=True)


class _Sink:
    """A writable file that remembers the error: torch replaces it with an uninformative one."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write some bytes, and return how many."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Do nothing: the archive flushes."""

    def take(self, write: WriteState) -> None:
        """Let a session write itself here."""
        try:
            write(self)
        except Exception:
            if self.error:
                raise self.error from None
            raise


def _hold(packed: bytes) -> WriteState:
    return lambda file: file.write(packed)


def _parse_progress(text: str | bytes) -> Progress:
    found: Mapping[str, object] = json.loads(text)
    return TypeAdapter(Progress).validate_python(found)
