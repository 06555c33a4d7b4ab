"""crossfake's checkpoints: safetensors under the reference's key names, with what made them in the header."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from .errors import BenchError
from .storage import write_atomically


def save(detector: Any, path: Path, content: dict[str, Any]) -> None:
    """Write a detector's weights, with what they were made from in the header."""
    from safetensors.numpy import save_file

    with write_atomically(path) as temporary:
        save_file(detector.state(), temporary, metadata={"crossfake": json.dumps(content)})


def read_header(path: Path) -> dict[str, Any]:
    """Return what a checkpoint was made from; {} for one that crossfake didn't write.

    Raises:
        BenchError: no such file.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    if path.suffix != ".safetensors":
        return {}
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            content = json.loads(file.read(min(length, path.stat().st_size)))
            return json.loads(content.get("__metadata__", {}).get("crossfake", "{}"))
        except (struct.error, ValueError, OverflowError, AttributeError):
            return {}  # Loading it will say what is wrong.
