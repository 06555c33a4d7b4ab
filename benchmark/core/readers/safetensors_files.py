"""The metadata of a .safetensors file, whose header is checked against its size before anything is read or mapped."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from ..errors import BenchError
from .json_files import parse_json

MOST_HEADER = 100_000_000  # bytes, as the library itself allows
WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
WIDTHS |= {"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


def read_safetensors_metadata(path: Path) -> dict[str, str]:
    """Check the header, and return its `__metadata__`: texts by name.

    Raises:
        BenchError: it is not a .safetensors file, or a length, shape or offset contradicts the file's size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, MOST_HEADER):
            raise BenchError(f"{path} ({size:,} bytes) is cut short or no .safetensors file: its header doesn't fit")
        header = parse_json(file.read(length), dict, f"the header of {path}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise BenchError(f"{path} is not a .safetensors file: its __metadata__ isn't a mapping of strings")
    ends = [_check_tensor(path, name, given) for name, given in header.items()]
    if max(ends, default=0) != size - 8 - length:
        raise BenchError(f"{path} is cut short or damaged: its tensors don't end where the file does ({size:,} bytes)")
    return metadata


def _check_tensor(path: Path, name: str, given: Any) -> int:
    """Return the end of a tensor's data."""
    try:
        shape, (start, end) = given["shape"], given["data_offsets"]
        fits = all(isinstance(n, int) and n >= 0 for n in (*shape, start, end))
        if fits and end - start == math.prod(shape) * WIDTHS.get(given["dtype"], 0):
            return int(end)
    except (KeyError, TypeError, ValueError):
        pass
    raise BenchError(f"{path} is damaged: the size of the tensor {name[:60]!r} doesn't match its shape")
