"""Whether a board is up to date: made from the same files, by the same code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..benchmark.core.errors import BenchError
from ..benchmark.core.keys import hash_key
from ..benchmark.core.readers import read_json
from ..benchmark.core.registry import ROOT
from ..benchmark.core.storage import write_json

SUFFIXES = ("md", "csv", "json", "html")
_CODE = ("leaderboards", "benchmark/core", "benchmark/stats")
_READ = (".json", ".parquet", ".csv", ".py", ".html", ".css", ".js")


def list_outputs(out: Path, name: str) -> list[Path]:
    """Return where a board's files are."""
    return [out / f"{name}.{suffix}" for suffix in SUFFIXES]


def find_fingerprint(runs: Path, name: str) -> str:
    """Hash the names, sizes and times of the files that a board is made from, and of the code that makes it."""
    outputs = {str(path) for path in list_outputs(runs, name)}
    found = [entry for folder in (runs, *(ROOT / name for name in _CODE)) for entry in _list_files(str(folder))]
    return hash_key(sorted(entry for entry in found if entry[0] not in outputs))


def _list_files(folder: str) -> Iterator[tuple[str, int, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(_READ) and not name.startswith("."):
                path = os.path.join(place, name)
                with suppress(FileNotFoundError):  # Another process has just removed it.
                    found = os.stat(path)
                    yield path, found.st_size, found.st_mtime_ns


def note_written(out: Path, name: str, fingerprint: str, problems: list[str]) -> None:
    """Record what a board was made from, and which files were left out."""
    write_json(_locate_note(out, name), {"fingerprint": fingerprint, "problems": problems})


def read_written(out: Path, name: str, fingerprint: str) -> list[str] | None:
    """Return which files were left out of the board; None if it is missing or out of date."""
    if not all(path.is_file() for path in (_locate_note(out, name), *list_outputs(out, name))):
        return None
    try:
        note = read_json(_locate_note(out, name), dict)
    except BenchError:  # The note is ours alone; without it, the board is written again.
        return None
    problems = note.get("problems")
    told = isinstance(problems, list) and note.get("fingerprint") == fingerprint
    return [str(problem) for problem in problems] if told and isinstance(problems, list) else None


def _locate_note(out: Path, name: str) -> Path:
    return out / f".{name}.written.json"
