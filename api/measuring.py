"""How fast detectors are, from Python. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .data import check_dataset_names
from .running import list_names, list_overrides, make_reporter

if TYPE_CHECKING:
    from .benchmark.core.progress import Reporter
    from .benchmark.core.speeds import Speed
    from .benchmark.stages.pipeline_speed import PipelineTimer
    from .benchmark.stages.speed_measurement import Subject
    from .detectors.runtimes import Way
    from .running import Settings


def measure_speed(
    detectors: str | Path | Sequence[str | Path],
    *,
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
    threads: int | None = None,
    batch: int | None = None,
    seconds: float = 60.0,
    test: str = "ff++",
    data: Path | str | None = None,
    videos: bool = True,
    again: bool = False,
    runs: Path | str = "runs",
    progress: bool | Reporter = True,
    command: str = "",
) -> list[Speed]:
    """Measure how fast detectors are on this machine, one after another, and store it in `speed/` of the runs.

    Args:
        detectors: names (with random weights), checkpoints, or folders of runs (with their weights).
        backend, config, settings: see `run`; for detectors given by name.
        runtime, precision: what runs torch's networks (or `all`), and in which precision; by default torch and fp32.
        device, threads: where to score, see `run`, and torch's number of processor threads.
        batch: one batch size; by default the best of 1 to 512.
        seconds: about how long to time one detector without videos. Single images are timed at least 100 times.
        test, data, videos: the dataset to score end to end, by default the tiny demo world's, and whether to do so.
        again, runs: whether to repeat measurements already made here, and where speeds are stored.
        progress, command: see `run`.

    Raises:
        BenchError: no such detector, run, device or dataset, or one that can't be made here.
    """
    from .benchmark.stages.devices import check_device
    from .benchmark.stages.speed import measure_ways
    from .benchmark.stages.speed_measurement import Measurement, make_effort

    reporter, effort = make_reporter(progress), make_effort(seconds)
    subjects = list(_list_subjects(detectors, backend, config, settings, reporter))
    check_device(device, {subject.entry.backend for subject in subjects})
    timer = _make_timer(test, data, reporter, seconds) if videos else None
    how = Measurement(reporter, command, effort, device, threads, batch, again, timer)
    return measure_ways(subjects, _list_ways(runtime, precision), Path(runs), how)


def _list_ways(runtime: str, precision: str) -> list[Way]:
    from .benchmark.core.errors import BenchError
    from .detectors.runtimes import RUNTIMES, parse_way

    ways = [parse_way(one, precision) for one in (RUNTIMES if runtime == "all" else list_names(runtime) or ("",))]
    if any(way.is_open for way in ways):
        raise BenchError(
            "auto is chosen for a run. To measure them all: --runtime all, or name one: " + ", ".join(RUNTIMES)
        )
    return ways


def _list_subjects(
    asked: str | Path | Sequence[str | Path],
    backend: str,
    config: Path | str | None,
    settings: Settings,
    reporter: Reporter,
) -> Iterator[Subject]:
    """Resolve all names, so that a wrong one shows before anything is measured."""
    from .benchmark.core.errors import BenchError
    from .benchmark.stages.detectors import DetectorRequest
    from .benchmark.stages.speed import describe_asked

    several = [asked] if isinstance(asked, str | Path) else asked
    names = [name for one in several for name in (list_names(one) if isinstance(one, str) else [str(one)])]
    if not names:
        raise BenchError("no detector is named. See: bench list detectors")
    recipe, overrides = Path(config) if config else None, list_overrides(settings)
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from _list_runs(path, reporter)
        elif path.suffix != ".py" and path.is_file():
            yield describe_asked(DetectorRequest("", backend, path, recipe, overrides))
        else:
            yield describe_asked(DetectorRequest(name, backend, None, recipe, overrides))


def _list_runs(folder: Path, reporter: Reporter) -> Iterator[Subject]:
    """Return what to measure for the runs below a folder; report what is missing for a user's own class."""
    from .benchmark.core.errors import BenchError
    from .benchmark.core.scorecard import ScoreCard
    from .benchmark.stages.speed import describe_card
    from .leaderboards.load import load_run

    for card in load_run(folder):
        if not isinstance(card, ScoreCard):
            continue
        try:
            yield describe_card(card)
        except BenchError as error:
            reporter.say(f"{card.cell.name} isn't measured: {error}")


def _make_timer(test: str, data: Path | str | None, reporter: Reporter, seconds: float) -> PipelineTimer:
    from .benchmark.core.errors import BenchError
    from .benchmark.stages.pipeline_speed import VIDEOS, PipelineTimer
    from .benchmark.stages.sources import choose_data, find_root, open_source

    names = check_dataset_names(test)
    if len(names) != 1:
        raise BenchError(f"--test {test}: end to end, the videos of one dataset are scored, such as ff++")
    root = find_root(choose_data(data) or "demo:tiny", reporter)
    return PipelineTimer(open_source(names[0], root, VIDEOS // 2), reporter, seconds / 8)
