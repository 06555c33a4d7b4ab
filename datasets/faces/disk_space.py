"""How much disk space a face store needs: warns before hours of work, and stops if it can't fit."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...benchmark.core.display import format_size, say
from ...benchmark.core.errors import BenchError
from .face_store import FaceStore, list_shards

# Bytes of a face of 200 pixels with its context, as measured on videos of 720p; twice as much at 300 pixels.
TYPICAL = {"zstd": 155_000, "png": 172_000, "jpeg95": 43_000, "jpeg444": 62_000}
CERTAIN = 0.1  # Of the estimate: what any faces take, such as those of 60 pixels.


def estimate_bytes(store: FaceStore, faces: int, encoding: str) -> int:
    """Estimate the space for more faces: the same per face as existing ones, or else as faces of 200 pixels."""
    known = len(store)
    if not known:
        return faces * TYPICAL.get(encoding, max(TYPICAL.values()))
    return faces * sum(path.stat().st_size for path in list_shards(store.folder)) // known


def check_space(folder: Path, store: FaceStore, faces: int, encoding: str) -> None:
    """Warn if faces may not fit on the disk.

    Raises:
        BenchError: they can't, or almost certainly can't.
    """
    if not faces:
        return
    needed, free = estimate_bytes(store, faces, encoding), measure_free(folder)
    if needed <= free:
        return
    told = f"{faces} faces take about {format_size(needed)}, and {folder} has {format_size(free)} free"
    remedy = "Make room, name another folder with BENCH_CACHE=DIR, or use --set faces.encoding=jpeg95"
    if len(store) or free < CERTAIN * needed:
        raise BenchError(f"{told}. {remedy}")
    say(f"{told}. {remedy}", aside=True)


def measure_free(folder: Path) -> int:
    """Return the free bytes on the disk of a folder that exists or will be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free
