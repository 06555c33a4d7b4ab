"""Reproducing a row from Python. The body is lazy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .running import make_reporter, run

if TYPE_CHECKING:
    from .benchmark.core.progress import Reporter
    from .leaderboards.recorded_command import RecordedCommand
    from .leaderboards.reproduction import Comparison
    from .leaderboards.rows import Row


def reproduce(
    row: str,
    *,
    runs: Path | str = "runs",
    detector: str = "",
    datasets: Sequence[str] = (),
    confirm: bool | Callable[[str], bool] = False,
    workers: int | None = None,
    progress: bool | Reporter = True,
) -> list[Comparison]:
    """Run a row's command again, narrowed to that row, in a temporary folder; compare on each test set.

    Args:
        row: the row's key on the leaderboard, or the start of it.
        runs: where the runs are.
        detector: the row's detector, if it is your own class.
        datasets: datasets that are your own classes.
        confirm: whether to run a command that wasn't typed here, or a function that is called with it to decide.
        workers: processes; by default the cores.
        progress: see `run`.

    Raises:
        BenchError: no such row, its command can't be run again, or it names code that wasn't typed here.
    """
    from tempfile import TemporaryDirectory

    from .benchmark.core.errors import BenchError
    from .leaderboards.load import load_cards, load_cards_with_problems
    from .leaderboards.recorded_command import read_command
    from .leaderboards.reproduction import compare_with_recorded
    from .leaderboards.rows import find_row

    recorded, problems = load_cards_with_problems(Path(runs))
    reporter = make_reporter(progress)
    for problem in problems:
        reporter.say(f"left out: {problem}")
    if not recorded:
        raise BenchError(f"no scorecards below {runs}. Give the folder with the row: --runs DIR")
    table, found = find_row(recorded, row)
    command = read_command(found)
    reporter.say(f"command: {command.text}")
    with TemporaryDirectory(prefix="crossfake-") as folder:
        _run_again(found, command, Path(folder), detector, datasets, confirm, workers, reporter)
        cards = load_cards(Path(folder))
        return [compare_with_recorded(found, test, cards, table.title) for test in command.tests]


def _run_again(
    row: Row,
    command: RecordedCommand,
    folder: Path,
    detector: str,
    datasets: Sequence[str],
    confirm: bool | Callable[[str], bool],
    workers: int | None,
    reporter: Reporter,
) -> None:
    """Run the command for this row only, once everything in it is trusted."""
    from .benchmark.core.errors import BenchError
    from .leaderboards.recorded_command import find_typed_name, require_registered

    require_registered(command, detector, datasets)
    name = find_typed_name([detector] if detector else command.detectors, row)
    if not command.is_own and not (confirm(command.text) if callable(confirm) else confirm):
        raise BenchError("this command wasn't typed here and wasn't confirmed. To run it: --yes")
    seeds = ", ".join(map(str, command.seeds))
    reporter.say(f"again: {row.name} {row.train} -> {','.join(command.tests)}, seed {seeds}")
    run(
        name,
        command.train,
        command.tests,
        data=command.data,
        seeds=command.seeds,
        backend=command.backend,
        config=command.config,
        settings=command.overrides,
        checkpoint=command.checkpoint,
        limit=command.limit,
        exclude=command.exclude,
        runs=folder,
        workers=workers,
        batch_size=command.batch_size,
        runtime=command.runtime,
        precision=command.precision,
        speed=False,
        progress=reporter,
        command=command.text,
    )
