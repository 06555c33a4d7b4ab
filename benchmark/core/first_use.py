"""The checksums of downloaded files as first used on this machine, for files without a whole published checksum."""

from __future__ import annotations

from pathlib import Path

from .readers import read_json
from .storage import cache_home, write_json


def locate_record() -> Path:
    """Return where the record is: `models/first_use.json` in the cache."""
    return cache_home() / "models" / "first_use.json"


def list_used(name: str) -> list[str]:
    """Return the sha256 of the files used under a name so far, the first one first.

    Raises:
        BenchError: the record can't be read.
    """
    return _read().get(name, [])


def record_use(name: str, sha256: str) -> None:
    """Record a file's sha256 as used under a name."""
    known = _read()
    write_json(locate_record(), {**known, name: [*known.get(name, []), sha256]})


def _read() -> dict[str, list[str]]:
    path = locate_record()
    return read_json(path, dict, f"Remove {path}") if path.is_file() else {}
