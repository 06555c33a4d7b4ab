"""The speed stage: how fast detectors are here, measured separately from other work, stored next to the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...detectors.runtimes import Way
from ..core.cell_description import GIVEN_CHECKPOINT
from ..core.checkpoints import read_header
from ..core.errors import BenchError
from ..core.precisions import AUTO
from ..core.progress import Reporter
from ..core.registry import detectors
from ..core.scorecard import Card, ScoreCard
from ..core.speeds import Speed, read_speeds, speed_folder
from ..core.storage import CHECKPOINT, hold_lock
from . import timing
from .cells import Cell
from .detectors import DetectorRequest, find_detector, load_resolved_settings
from .speed_measurement import Measurement, Subject, measure


def measure_ways(subjects: Sequence[Subject], ways: Sequence[Way], runs: Path, how: Measurement) -> list[Speed]:
    """Measure each architecture with each runtime; with several runtimes, report why one can't run it.

    Raises:
        BenchError: see `measure_subjects`; only if a single runtime is requested.
    """
    found: list[Speed] = []
    for subject in {subject.architecture: subject for subject in subjects}.values():
        for way in ways:
            try:
                found += measure_subjects([subject], runs, replace(how, way=way))
            except BenchError as error:
                if len(ways) == 1:
                    raise
                how.reporter.say(f"{subject.entry.name} isn't measured with {way}: {error}")
    return found


def measure_subjects(subjects: Iterable[Subject], runs: Path, how: Measurement) -> list[Speed]:
    """Measure each architecture once and write its speed below `runs`; existing measurements are reused.

    Raises:
        BenchError: a detector can't be made, or doesn't score.
    """
    found: dict[str, Speed] = {}
    for subject in subjects:
        if subject.architecture not in found:
            found[subject.architecture] = _measure_or_reuse(subject, runs, how)
    return list(found.values())


def _measure_or_reuse(subject: Subject, runs: Path, how: Measurement) -> Speed:
    def find() -> Speed | None:
        return None if how.again else find_kept(subject, read_speeds(runs)[0], how)

    if kept := find():
        return kept
    with hold_lock(speed_folder(runs) / "measuring"):  # Two at once would slow each other down.
        if kept := find():  # The lock's holder has measured it.
            return kept
        how.reporter.say(f"measuring the speed of {subject.entry.name}, at most about {how.effort.seconds:.0f} s")
        speed = measure(subject, how)
        speed.write(runs)
        return speed


def find_kept(subject: Subject, speeds: Sequence[Speed], how: Measurement) -> Speed | None:
    """Return an architecture's measurement on this machine, made in the same way and for as long, if there is one."""
    for speed in speeds:
        same = (speed.architecture, speed.host) == (subject.architecture, how.host)
        enough = speed.seconds >= how.effort.seconds and (speed.videos or not how.time_pipelines)
        if same and enough and _find_versions(speed, speed.provenance.packages) == _find_versions(speed, how.packages):
            return speed
    return None


def _find_versions(speed: Speed, packages: Mapping[str, str]) -> list[str | None]:
    """Return the versions that a speed depends on."""
    return [packages.get(name) for name in ("crossfake", speed.backend, speed.runtime)]


def measure_run(cells: Sequence[Cell], cards: Sequence[Card], reporter: Reporter, command: str) -> list[Speed]:
    """Measure briefly the detectors of cells that have a scorecard; existing measurements are reused.

    A detector that can't be measured affects no other and no result: the reason is reported.
    """
    done = [cell for cell, card in zip(cells, cards, strict=True) if isinstance(card, ScoreCard)]
    how = Measurement(reporter, command, timing.SHORT, cells[0].device if cells else AUTO)
    known = read_speeds(done[0].runs)[0] if done else []
    found: list[Speed] = []
    for subject in {s.architecture: s for s in map(describe_cell, reversed(done))}.values():
        try:
            found.append(find_kept(subject, known, how) or _measure_or_reuse(subject, done[0].runs, how))
        except OSError:
            raise
        except Exception as error:  # A plugin may raise anything for noise images.
            told = error if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            reporter.say(f"the speed of {subject.entry.name} isn't measured: {told}")
    return found[::-1]


def describe_cell(cell: Cell) -> Subject:
    """Return what to measure for a cell: with its own weights, if it has any in a file."""
    kept = cell.folder / CHECKPOINT
    weights = kept if kept.is_file() else cell.checkpoint
    return Subject(cell.entry, cell.settings, weights, f"run {cell.folder.name}", cell.checkpoint is not None)


def describe_asked(request: DetectorRequest) -> Subject:
    """Return what to measure for a named detector or a checkpoint.

    Raises:
        BenchError: see `find_detector` and `load_resolved_settings`.
    """
    entry, made_from = find_detector(request)
    settings = load_resolved_settings(
        entry.name, demo=False, made_from=made_from, config=request.config, overrides=request.overrides
    )
    told = f"checkpoint {request.checkpoint.name}" if request.checkpoint else ""
    return Subject(entry, settings, request.checkpoint, told, request.checkpoint is not None)


def describe_card(card: ScoreCard) -> Subject:
    """Return what to measure for a run's card: with the weights next to it, else random ones.

    Raises:
        BenchError: no detector is registered under its name; a file can't select code to run.
    """
    cell, kept = card.cell, card.folder.parent / CHECKPOINT
    entry = detectors.find_registered(cell.detector, cell.backend if cell.backend != "any" else "")
    header = read_header(kept) if kept.is_file() else {}
    settings = load_resolved_settings(entry.name, demo=False, made_from={**header, "options": cell.options})
    given = cell.weights == GIVEN_CHECKPOINT
    return Subject(entry, settings, kept if kept.is_file() else None, f"run {kept.parent.name}", given)
