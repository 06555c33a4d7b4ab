"""Where things are kept, and how they are written so that a kill at any moment leaves nothing half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The files of a run's folder, and of the folders of its test sets.
CHECKPOINT = "checkpoint.safetensors"
PREDICTIONS, SCORECARD, FAILURE = "predictions.parquet", "scorecard.json", "failure.json"


def cache_home() -> Path:
    """Return the folder for face stores, the demo world and models: BENCH_CACHE, else XDG_CACHE_HOME/crossfake."""
    if given := os.environ.get("BENCH_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossfake"


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path` in one step, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since writers such as PyAV and OpenCV choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since no other reader of JSON takes it."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold an inter-process lock named after `path`; the system frees it when its holder is killed."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path.with_name(f".{path.name}.lock"))):
        yield
