"""Which commands were typed here, to distinguish them from those in foreign scorecards.

Each line of the cache's file is the hash of a command and of the folder it was typed in. A scorecard can claim any
command and any machine, but it can't write there.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from .errors import BenchError
from .storage import cache_home, make_folder


def remember_command(command: str) -> None:
    """Record that this command was typed here; if the cache isn't writable, it will count as foreign."""
    if was_typed_here(command):
        return
    try:
        make_folder(_find_file().parent)
        handle = os.open(_find_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(handle, "a", encoding="ascii") as file:
            file.write(_hash(command) + "\n")
    except (OSError, BenchError):
        pass


def was_typed_here(command: str) -> bool:
    """Return whether this command was typed in this folder, by a user of this cache."""
    try:
        return _hash(command) in _find_file().read_text(encoding="ascii").split()
    except (OSError, ValueError, BenchError):
        return False


def _find_file() -> Path:
    return cache_home() / "typed_commands.txt"


def _hash(command: str) -> str:
    return hashlib.sha256(f"{os.getcwd()}\0{command}".encode(errors="surrogateescape")).hexdigest()


def start_from(file: str) -> str:
    """Return `--pretrained FILE` as the setting that it is short for, of the form of --set."""
    return f"options.pretrained={json.dumps(file)}"
