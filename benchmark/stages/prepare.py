"""The prepare stage ahead of a run: faces of whole datasets or from another tool, with a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...datasets.base import make_adapter, parse_name
from ...datasets.faces.report import REPORT, select_problem_videos, write_report
from ..core.contracts import FaceReader, ListsParts
from ..core.errors import BenchError
from ..core.parts import Part
from ..core.progress import Reporter
from ..core.settings import FaceSettings
from ..core.types import PrepareResult
from ..core.workers import WorkerPool
from .sources import DataSource


class PreparedSource(NamedTuple):
    """The outcomes of a dataset's videos, those with problems, and the CSV that lists them."""

    source: DataSource
    store: FaceReader
    results: list[PrepareResult]
    problems: list[PrepareResult]
    report: Path

    @property
    def usable(self) -> int:
        """The number of videos with a face."""
        return sum(result.status == "ok" for result in self.results)


def prepare_source(
    source: DataSource,
    splits: Sequence[str],
    faces: FaceSettings,
    reporter: Reporter,
    pool: WorkerPool,
    part: Part | None = None,
) -> PreparedSource:
    """Prepare the faces of some splits, or a part of them, and write a list of problems next to the store."""
    store = source.prepare(splits, faces, reporter, pool, part)
    outcomes = store.outcomes()
    results = [outcomes[v.id] for name in splits for v in source.split(name) if v.id in outcomes]
    problems = select_problem_videos(results)
    report = store.folder / REPORT
    write_report(report, problems)
    return PreparedSource(source, store, results, problems, report)


def list_import_names(format: str, path: Path, landmarks: Path | None = None) -> list[str]:
    """Return the dataset names under which faces from another tool can be used.

    Args:
        format: `deepfakebench[:LIST]`, `caddm-frames`, `crops-csv:FILE` or `folder`.
        path: the folder written by the tool.
        landmarks: CADDM's ldm.json, if it isn't in `path`.

    Raises:
        BenchError: there is no such folder or format.
    """
    if not path.is_dir():
        raise BenchError(f"no folder {path}. Name the folder that the tool wrote")
    entry, _ = parse_name(format)
    adapter = make_adapter(entry)
    if landmarks:
        return [f"{format}:{landmarks.resolve()}"]
    if format == entry.name and isinstance(adapter, ListsParts):
        return [f"{entry.name}:{name}" for name in adapter.names(path)] or [format]
    return [format]
