"""The command that made a row: parsed without trusting it, and narrowed down to the row."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..benchmark.core import environment
from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import shorten
from ..benchmark.core.registry import datasets, detectors
from ..benchmark.core.typed_commands import start_from, was_typed_here
from ..benchmark.stages.sources import Data, parse_data
from .rows import Row

DATA = f"{environment.DATA}="
# Options that don't change a row.
WHERE_AND_HOW = (
    *("--runs", "--workers", "--part", "--export"),
    *("--device", "--devices", "--engine", "--address", "--gpus-per-group"),
)
UNTYPED = "and wasn't typed here: nothing was run. If that class is here and trusted, type it"


@dataclass(frozen=True)
class RecordedCommand:
    """The request of a `bench run`; `is_own`: it was typed here. `tests` and `seeds` are the row's own."""

    text: str
    is_own: bool
    detectors: tuple[str, ...]
    train: str
    named_tests: tuple[str, ...]
    tests: tuple[str, ...]
    seeds: tuple[int, ...]
    backend: str
    overrides: tuple[str, ...]
    config: Path | None
    checkpoint: Path | None
    data: Data | None
    limit: int | None
    exclude: Path | None
    batch_size: int
    runtime: str
    precision: str


class _Parser(argparse.ArgumentParser):
    """A parser with the options of a run, but none that acts during parsing (such as --help)."""

    def error(self, message: str) -> NoReturn:
        raise BenchError(message)


def read_command(row: Row) -> RecordedCommand:
    """Read the command of a row.

    Raises:
        BenchError: it has none, it isn't `bench run`, or it can't be read.
    """
    if not row.commands:
        raise BenchError(f"row {row.key} has no command, so it can't be reproduced")
    text = row.commands[-1]
    data, words = _split_command(text)
    if words[:2] != ["bench", "run"]:
        raise BenchError(f"row {row.key} was made by '{text}': only bench run can be repeated")
    try:
        asked = _build_parser().parse_args(words[2:])
    except BenchError as error:
        raise BenchError(f"the command of row {row.key} can't be run: {error}") from None
    return RecordedCommand(
        text,
        was_typed_here(text),
        _split_names(asked.detector),
        asked.train,
        _split_names(asked.test),
        tuple(test for test, result in row.results.items() if result.done),
        tuple(row.seeds),
        asked.backend,
        tuple(asked.overrides),
        asked.config,
        asked.checkpoint,
        parse_data(asked.data) or data,
        asked.limit,
        asked.exclude if any(c.cell.excluded or c.cell.trained_without for c in row.cards) else None,
        asked.batch_size,
        asked.runtime,
        asked.precision,
    )


def _split_command(command: str) -> tuple[str | None, list[str]]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BenchError(f"the row's command can't be read ({error}): {command}") from None
    return (words[0].removeprefix(DATA), words[1:]) if words[:1] and words[0].startswith(DATA) else (None, words)


def _build_parser() -> _Parser:
    parser = _Parser(prog="bench run", add_help=False)
    for name in ("--detector", "--train", "--test"):
        parser.add_argument(name, required=True)
    for name, kind in (
        ("--config", Path),
        ("--checkpoint", Path),
        ("--limit", int),
        ("--exclude", Path),
    ):
        parser.add_argument(name, type=kind)
    for name in ("--backend", "--runtime", "--precision"):
        parser.add_argument(name, default="")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--pretrained", action="append", default=[], type=start_from, dest="overrides")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--faces-only", action="store_true")
    # Dropped: the row's seeds count, and the folder and the way of working are new.
    for name in ("--seed", *WHERE_AND_HOW):
        parser.add_argument(name)
    parser.add_argument("--no-speed", action="store_true")
    return parser


def narrow_commands(row: Row) -> list[str]:
    """Return the command that made a row, narrowed to the row's detector, test sets and seeds.

    A command that isn't `bench run`, or that can't be split into words, stays as it was recorded.
    """
    commands = row.commands
    try:
        data, words = _split_command(commands[-1]) if commands else (None, [])
    except BenchError:
        return commands
    if words[:2] != ["bench", "run"]:
        return commands
    options = _narrow_options(list(_pair_options(words[2:])), row, len(commands) > 1)
    prefix = [f"{DATA}{shlex.quote(data)}"] if data else []
    return [" ".join([*prefix, "bench run", shlex.join(word for pair in options for word in pair)])]


def _pair_options(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Return each option with its value, `--seed=1` as `--seed 1`; an option without one, or a stray word, alone."""
    place = 0
    while place < len(words):
        name, equals, value = words[place].partition("=")
        place += 1
        if name.startswith("--") and equals:
            yield name, value
        elif name.startswith("--") and place < len(words) and not words[place].startswith("--"):
            yield name, words[place]
            place += 1
        else:
            yield (words[place - 1],)


def _narrow_options(options: list[tuple[str, ...]], row: Row, of_several: bool) -> list[tuple[str, ...]]:
    """Replace detectors and seeds with the row's own, and the test sets if several commands ran them."""
    named = [name for option, *value in options if option == "--detector" for name in _split_names(*value)]
    own = {"--seed": ",".join(map(str, row.seeds))}
    own |= {"--detector": row.cell.detector} if row.cell.detector in named else {}
    own |= {"--test": ",".join(row.results)} if of_several else {}
    kept = [
        (option, own.get(option, value[0])) if value else (option, *value)
        for option, *value in options
        if option not in WHERE_AND_HOW
    ]
    told = any(option == "--seed" for option, *_ in kept) or row.seeds == (0,)
    return kept if told else [*kept, ("--seed", own["--seed"])]


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def require_registered(command: RecordedCommand, detector: str, typed: Collection[str]) -> None:
    """Refuse code that the user didn't type: in a foreign command, and in the test sets that a scorecard names.

    Args:
        command: the row's.
        detector: the row's detector as the user typed it now; empty if it wasn't typed.
        typed: datasets that the user typed now.

    Raises:
        BenchError: it names some; says what to type.
    """
    for name in () if command.is_own or detector else command.detectors:
        if not detectors.is_registered(name):
            raise BenchError(f"the row's command names code, {shorten(name)}, {UNTYPED}: --detector FILE.py:CLASS")
    named = (command.train, *command.named_tests)
    trusted = {*typed, *(named if command.is_own else ())}
    for name in (*named, *command.tests):
        spellings = (name, name.partition(":")[0])
        if name not in trusted and not any(map(datasets.is_registered, spellings)):
            raise BenchError(f"the row's command names code, {shorten(name)}, {UNTYPED}: --dataset {shorten(name)}")


def find_typed_name(names: Sequence[str], row: Row) -> str:
    """Return the row's detector as it was typed among several.

    Raises:
        BenchError: none of them is the row's.
    """
    backend = row.backend if row.backend != "any" else ""
    for name in names:
        if detectors.find(name, backend).name == row.cell.detector:
            return name
    typed = ",".join(names)
    raise BenchError(f"row {row.key} is for {row.cell.detector}, but its command runs {typed}: fix one of them")
