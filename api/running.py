"""Running a benchmark from Python: plan, run, train, and read the results. Bodies are lazy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from .benchmark.core.progress import Reporter
    from .benchmark.core.registry import Entry
    from .benchmark.core.scorecard import Card
    from .benchmark.core.speeds import Speed
    from .benchmark.core.workers import WorkerPool
    from .benchmark.stages.cells import Cell
    from .benchmark.stages.plan import Request
    from .benchmark.stages.sources import Data

DetectorLike = object
"""A name (`caddm`, `file.py:Class`), a class, or an object with `score(frames)`; see `crossfake.wrap_model`."""
Settings = Mapping[str, object] | Iterable[str]
"""Settings by dotted name, `{"train.epochs": 3}`, or as typed, `["train.epochs=3"]`."""


@dataclass(frozen=True)
class Plan:
    """The checked cells of a request: one detector, train set, seed and test set each."""

    cells: Sequence[Cell]

    def table(self) -> pd.DataFrame:
        """Return one row per cell: names, numbers of videos, whether it is done already, and its folder."""
        import pandas as pd

        from .benchmark.stages.plan import describe_plan

        return pd.DataFrame(describe_plan(list(self.cells)))

    def describe(self) -> dict[str, object]:
        """Return the plan as plain data: its cells, trainings with images and hours, and the faces to be found.

        Hours are estimated from earlier runs of a detector; None if there are none.
        """
        from .benchmark.stages.plan import describe_plan
        from .benchmark.stages.plan_costs import estimate_groups, estimate_preparation

        cells = list(self.cells)
        rows = [row | {"folder": str(row["folder"])} for row in describe_plan(cells)]
        faces = estimate_preparation(cells)._asdict() if cells else None
        return {"cells": rows, "groups": [group.describe() for group in estimate_groups(cells)], "faces": faces}


@dataclass(frozen=True)
class Results:
    """The scorecards of a run, and the cells that failed; `folders` hold the trained detectors.

    `speeds` are the detectors' speeds on this machine; see `crossfake.measure_speed`.
    """

    cards: Sequence[Card]
    folders: Sequence[Path]
    speeds: Sequence[Speed] = ()

    @property
    def failures(self) -> list[Card]:
        """The cells without a scorecard; each has its `error`."""
        return [card for card in self.cards if card.status != "done"]

    def table(self) -> pd.DataFrame:
        """Return one row per cell and metric: detector, train, test, seed, metric, value, lo, hi, n."""
        import pandas as pd

        from .leaderboards.board import list_metric_rows

        columns = ["detector", "train", "test", "seed", "metric", "value", "lo", "hi", "n"]
        return pd.DataFrame(list_metric_rows(self.cards), columns=columns)

    def leaderboard(self, out: Path | str, name: str = "leaderboard") -> list[Path]:
        """Write a board of these cells into the folder `out`, as .md, .csv, .json and .html; return the paths."""
        from .leaderboards.board import write

        return write(list(self.cards), Path(out), name, self.speeds)


def run(
    detectors: DetectorLike | Sequence[DetectorLike],
    train: str | None,
    test: str | Sequence[str],
    *,
    data: Data | None = None,
    val: str = "",
    seeds: int | Sequence[int] = 0,
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    checkpoint: Path | str | None = None,
    limit: int | None = None,
    exclude: Path | str | None = None,
    runs: Path | str = "runs",
    workers: int | None = None,
    batch_size: int = 32,
    engine: str = "inline",
    part: str = "",
    faces_only: bool = False,
    speed: bool = True,
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
    progress: bool | Reporter = True,
    command: str = "",
) -> Results:
    """Train each detector on one dataset, test it on others, and score; existing results are reused.

    Args:
        detectors: names, classes, or objects, which are tested as they are.
        train, test, val: the train set, whose val split fixes thresholds; test sets; `val` and None: see `evaluate`.
        data: their folder, or `demo`, or `{"celebdf": "/here", "": "/there"}`; by default BENCH_DATA, else demo.
        seeds, backend, checkpoint: one seed or several; `torch` (the default) or `jax`; weights to use.
        config, settings: a recipe over the detector's own, and single settings over it: `{"train.epochs": 3}`.
        limit, exclude: at most this many reals and fakes of each split; a file of videos' ids or paths to leave out.
        faces_only, workers, batch_size, speed: open no video; processes; images per batch; measure speed for 20 s.
        runs, engine, part: folder of runs; `inline?devices=2`, `ray:ADDRESS?gpus=2`; `2/8`: the second part of 8.
        runtime, precision: how to score, by default `torch` in `fp32`; `auto`: the fastest that agrees with it.
        device, progress, command: `cpu`, `cuda`, `cuda:1`, `mps`, `tpu`; whether or to whom to report; to record.

    Raises:
        BenchError: something asked for is wrong. A failed cell doesn't stop the others: see `Results.failures`.
    """
    asked = _make_request(
        detectors, train, test, seeds, backend, config, settings, checkpoint, limit, runs, engine, exclude, val, part
    )
    asked = replace(asked, faces_only=faces_only, runtime=runtime, precision=precision, device=device)
    return _run_asked(asked, data, workers, batch_size, speed, make_reporter(progress), command)


def _run_asked(
    asked: Request,
    data: Data | None,
    workers: int | None,
    batch_size: int,
    speed: bool,
    reporter: Reporter,
    command: str,
) -> Results:
    from .benchmark.stages.engines import parse_engine
    from .benchmark.stages.plan import reuse_finished
    from .benchmark.stages.speed import measure_run

    command = command or _remember_command(asked, data)
    with make_pool(workers) as pool:
        cells = _make_plan(asked, data, reporter, pool)
        cards: Sequence[Card] = reuse_finished(cells, reporter) or _run_cells(
            cells, reporter, pool, batch_size, asked.engine, command
        )
    here = not parse_engine(asked.engine).address  # The machine that only submits to a cluster scores nothing.
    speeds = measure_run(cells, cards, reporter, command) if speed and here else []
    return Results(cards, list(dict.fromkeys(cell.folder for cell in cells)), speeds)


def _run_cells(
    cells: list[Cell], reporter: Reporter, pool: WorkerPool, batch_size: int, engine: str, command: str
) -> list[Card]:
    from .benchmark.stages.runner import RunOptions, run

    return list(run(cells, RunOptions(reporter, pool, batch_size, engine, command)))


def plan(
    detectors: DetectorLike | Sequence[DetectorLike],
    train: str | None,
    test: str | Sequence[str],
    *,
    data: Data | None = None,
    val: str = "",
    seeds: int | Sequence[int] = 0,
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    checkpoint: Path | str | None = None,
    limit: int | None = None,
    exclude: Path | str | None = None,
    runs: Path | str = "runs",
    engine: str = "inline",
    part: str = "",
    faces_only: bool = False,
    runtime: str = "",
    precision: str = "",
    device: str = "auto",
    progress: bool | Reporter = True,
) -> Plan:
    """Check everything that `run` checks, and return what it would do; a demo world not yet rendered has no cells.

    Raises:
        BenchError: something asked for is wrong.
    """
    asked = _make_request(
        detectors, train, test, seeds, backend, config, settings, checkpoint, limit, runs, engine, exclude, val, part
    )
    asked = replace(asked, faces_only=faces_only, runtime=runtime, precision=precision, device=device)
    with make_pool(0) as pool:
        return Plan(_make_plan(asked, data, make_reporter(progress), pool, render=False))


def train(
    detectors: DetectorLike | Sequence[DetectorLike],
    train: str,
    *,
    data: Data | None = None,
    seeds: int | Sequence[int] = 0,
    backend: str = "",
    config: Path | str | None = None,
    settings: Settings = (),
    checkpoint: Path | str | None = None,
    limit: int | None = None,
    exclude: Path | str | None = None,
    faces_only: bool = False,
    runs: Path | str = "runs",
    workers: int | None = None,
    batch_size: int = 32,
    engine: str = "inline",
    device: str = "auto",
    progress: bool | Reporter = True,
    command: str = "",
) -> list[Path]:
    """Train detectors, selected on the training set's validation split, and return their checkpoints; see `run`.

    Raises:
        BenchError: something asked for is wrong, or a detector can't be trained.
    """
    from .benchmark.stages.runner import RunOptions, train_cell

    # A cell needs a test set; when only training, the train set stands in, and its test split is never read.
    asked = _make_request(
        detectors, train, train, seeds, backend, config, settings, checkpoint, limit, runs, engine, exclude
    )
    asked = replace(asked, faces_only=faces_only, device=device)
    reporter = make_reporter(progress)
    with make_pool(workers) as pool:
        cells = _make_plan(asked, data, reporter, pool, tests=False)
        options = RunOptions(reporter, pool, batch_size, engine, command or _remember_command(asked, data))
        return [train_cell(cell, options) for cell in cells]


def make_reporter(progress: bool | Reporter) -> Reporter:
    """Return the reporter given, or a new one that prints or stays quiet."""
    from .benchmark.core.progress import Reporter

    quiet_libraries()
    return progress if isinstance(progress, Reporter) else Reporter(quiet=not progress)


def make_pool(workers: int | None, engine: str = "inline") -> WorkerPool:
    """Return a pool of this many worker processes, by default one per core; with Ray, of all its processors."""
    from .benchmark.core.workers import WorkerPool, available_cores
    from .benchmark.stages.engines import check_engine, parse_engine

    if parse_engine(engine).name == "ray":
        from .benchmark.stages.ray_engine import RayPool

        check_engine(engine)
        return RayPool(parse_engine(engine))
    return WorkerPool(available_cores() if workers is None else max(0, workers))


def quiet_libraries() -> None:
    """Silence messages of OpenCV and FFmpeg: unreadable videos are reported by name instead."""
    import os

    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def list_overrides(settings: Settings) -> tuple[str, ...]:
    """Return settings as typed on the command line: `train.epochs=3`."""
    import json

    if isinstance(settings, str):
        return (settings,)
    if isinstance(settings, Mapping):
        return tuple(f"{name}={json.dumps(value)}" for name, value in settings.items())
    return tuple(settings)


def list_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return one or several names, also from `a,b`, without duplicates and in order."""
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(p.strip() for p in parts if p.strip()))


def _make_request(
    detectors: DetectorLike | Sequence[DetectorLike],
    train: str | None,
    test: str | Sequence[str],
    seeds: int | Sequence[int],
    backend: str,
    config: Path | str | None,
    settings: Settings,
    checkpoint: Path | str | None,
    limit: int | None,
    runs: Path | str,
    engine: str,
    exclude: Path | str | None,
    val: str = "",
    part: str = "",
) -> Request:
    from .benchmark.core.errors import BenchError
    from .benchmark.core.parts import parse_part
    from .benchmark.stages.plan import Request
    from .benchmark.stages.sources import name_place

    wanted, tests = _list_detectors(detectors), list_names(test)
    if not wanted:
        raise BenchError("--detector is empty. See: bench list detectors")
    if not tests:
        raise BenchError("--test is empty. See: bench list datasets")
    return Request(
        wanted,
        train or "",
        tuple(map(name_place, tests)),
        backend,
        Path(config) if config else None,
        list_overrides(settings),
        (seeds,) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds)),
        Path(runs),
        limit,
        Path(checkpoint) if checkpoint else None,
        engine,
        Path(exclude) if exclude else None,
        val,
        parse_part(part) if part else None,
    )


def _list_detectors(detectors: DetectorLike | Sequence[DetectorLike]) -> tuple[str | Entry, ...]:
    """Return names as they are, and registry entries for classes and objects."""
    several = detectors if isinstance(detectors, list | tuple) else [detectors]
    return tuple(part for one in several for part in (list_names(one) if isinstance(one, str) else [_make_entry(one)]))


def _make_entry(given: object) -> Entry:
    from .detectors.common.in_memory import make_entry

    return make_entry(given)


def _make_plan(
    asked: Request,
    data: Data | None,
    reporter: Reporter,
    pool: WorkerPool,
    render: bool = True,
    tests: bool = True,
) -> list[Cell]:
    from .benchmark.stages.plan import make_plan

    return make_plan(asked, data, reporter, pool, render=render, tests=tests)


def _remember_command(asked: Request, data: Data | None) -> str:
    """Return the equivalent command, and record that it was typed here."""
    from .benchmark.core.typed_commands import remember_command

    command = _describe_command(asked, data)
    remember_command(command)
    return command


def _describe_command(asked: Request, data: Data | None) -> str:
    """Return the command line equivalent to a Python call, so that a row says how it was made."""
    import shlex

    from .benchmark.core.registry import Entry

    names = [d.target if isinstance(d, Entry) else d for d in asked.detectors]
    trained = ["run", "--detector", ",".join(names), "--train", asked.train]
    words = ["bench", *(trained if asked.train else ["eval", ",".join(names)]), "--test", ",".join(asked.tests)]
    options = {
        "--backend": asked.backend,
        "--config": asked.config,
        "--checkpoint": asked.checkpoint,
        "--limit": asked.limit,
        "--exclude": asked.exclude,
        "--runs": asked.runs,
        "--seed": ",".join(map(str, asked.seeds)) if asked.train else "",
        "--val": asked.val,
        "--runtime": asked.runtime,
        "--precision": asked.precision,
        "--device": "" if asked.device == "auto" else asked.device,
    }
    places = data if isinstance(data, Mapping) else {"": data} if data else {}
    words += [word for name, place in places.items() for word in ("--data", f"{name}={place}" if name else str(place))]
    words += [word for name, value in options.items() if value not in (None, "") for word in (name, str(value))]
    words += ["--faces-only"] if asked.faces_only else []
    return shlex.join([*words, *(word for one in asked.overrides for word in ("--set", one))])
