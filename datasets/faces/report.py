"""The report of `bench data prepare`: a summary per folder, and a file with every problematic video."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from ...benchmark.core.display import escape, neutralise_formula
from ...benchmark.core.storage import write_atomically
from ...benchmark.core.types import LostFrame, PrepareResult

REPORT = "report.csv"
COLUMNS = (
    "video", "status", "frames_wanted", "frames_decoded", "frames_with_a_face", "frames_with_several", "frames_lost",
    "reason", "lost",
)  # fmt: skip

COUNTED: dict[str, Callable[[PrepareResult], int]] = {
    "videos": lambda o: 1,
    "ok": lambda o: o.status == "ok",
    "no face": lambda o: o.status == "no_face",
    "several faces": lambda o: o.several > 0,
    "unreadable": lambda o: o.status == "unreadable",
    "missing": lambda o: o.status == "missing",
    "frames": lambda o: o.decoded,
    "faces": lambda o: len(o.frames),
    "lost": lambda o: len(o.lost),
}


def summarise_results(outcomes: Iterable[PrepareResult]) -> list[dict[str, int | str]]:
    """Count the outcomes of the videos in each folder.

    `frames` were decoded, `faces` were found in them, `lost` frames can't be used because something is broken.
    """
    rows: dict[str, dict[str, int | str]] = {}
    for o in outcomes:
        name = PurePosixPath(o.video).parent.as_posix()
        row = rows.setdefault(name, {"folder": name, **dict.fromkeys(COUNTED, 0)})
        for key, count in COUNTED.items():
            row[key] = int(row[key]) + count(o)
    return [rows[name] for name in sorted(rows)]


def select_problem_videos(outcomes: Iterable[PrepareResult]) -> list[PrepareResult]:
    """Return the videos without a face, with several, with fewer frames than wanted, or with frames without a face."""
    return [
        o
        for o in outcomes
        if o.status != "ok" or o.several or o.reason or o.lost or not o.wanted == o.decoded == len(o.frames)
    ]


def write_report(path: Path, outcomes: Sequence[PrepareResult]) -> None:
    """Write the videos as CSV with `COLUMNS`."""
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for o in outcomes:
            counts = [o.wanted, o.decoded, len(o.frames), o.several, len(o.lost)]
            cells = [o.video, o.status, *counts, o.reason, _name_lost_frames(o.lost)]
            rows.writerow([neutralise_formula(escape(c) if isinstance(c, str) else c) for c in cells])


def _name_lost_frames(lost: Sequence[LostFrame]) -> str:
    """List the lost frames, grouped by reason: `frames 0, 8: why; frame 4: why`."""
    frames: dict[str, list[str]] = {}
    for frame, reason in lost:
        frames.setdefault(reason, []).append(str(frame))
    return "; ".join(f"frame{'s'[: len(n) - 1]} {', '.join(n)}: {reason}" for reason, n in frames.items())
